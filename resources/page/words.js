// The page's words in its languages. {n} stands for what is filled in.

const en = {
  skip: 'To the question', menu: 'Documents and conversations', side: 'Documents and conversations', language: 'Language', theme: 'Colours',
  theme_auto: 'as the system', theme_light: 'light', theme_dark: 'dark', documents: 'Documents',
  drop: 'Drop documents here, or choose files: text, PDF, EPUB, DOCX, ODT, HTML', history: 'Conversations', new: 'New conversation',
  kept: 'Conversations and documents are kept in this browser only.', turns: 'Conversation', question: 'Question',
  placeholder: 'Ask about the documents. Enter sends, Shift+Enter begins a line.', send: 'Ask', stop: 'Stop', close: 'Close', passages: 'Text of the document',
  editing: 'You are changing an earlier question; what follows it will be replaced.', keep: 'Leave it as it is', fill: 'Share of the window that is filled',
  reading_bar: 'Share of the text that has been read', key_title: 'API key', key_text: 'This server asks for a key. It is kept until the tab is closed.', key: 'Key', key_ok: 'Use it', cancel: 'Cancel',
  model: '{0}, window of {1} tokens', model_error: 'The server does not answer.', tokens: '{0} tokens', fill_text: '{0} of {1} tokens of the window', fill_over: '{0} tokens: more than the window of {1}. Remove a document.',
  uploading: 'Reading {0} …', remove: 'Remove {0}', open: 'Show the text of {0}', you: 'You', answer: 'Answer', edit: 'Edit', copy: 'Copy', copied: 'Copied', again: 'Ask again',
  counting: 'Counting tokens …', waiting: 'Waiting: place {0} in the queue', reading: 'Reading {0} of {1} tokens', left: '{0}, about {1} left', writing: 'Writing …', done: 'Done.', stopped: 'Stopped.',
  cut: 'The answer reached its limit.', broken: 'The connection broke off.', figures: '{0} tokens read, {1} of them before; {2} written in {3} s', empty: 'Drop a document on the page, then ask about it.',
  found: 'Passages with the most words in common with the answer (a comparison of words, not the model’s attention):', found_attention: 'Passages with the most attention while the first words of the answer were written (mean over all layers and heads; it shows where the model looked, not why):', share: '{0} %',
  nothing_found: 'No passage shares rare words with the answer.', place: 'page {0}', chapter: 'chapter {0}', passage: 'passage {0}',
  seconds: '{0} s', minutes: '{0} min', untitled: 'Untitled', dismiss: 'Dismiss', missing: 'The text of {0} is no longer in this browser; add the file again.', too_long: 'The text needs {0} tokens and the window has {1}; remove a document or begin a new conversation.',
};

const zh = {
  skip: '跳到提问', menu: '文档与对话', side: '文档与对话', language: '语言', theme: '颜色',
  theme_auto: '跟随系统', theme_light: '浅色', theme_dark: '深色', documents: '文档',
  drop: '把文档拖到这里，或选择文件：文本、PDF、EPUB、DOCX、ODT、HTML', history: '对话', new: '新对话',
  kept: '对话和文档只保存在此浏览器中。', turns: '对话', question: '问题',
  placeholder: '就文档提问。回车发送，Shift+回车换行。', send: '提问', stop: '停止', close: '关闭', passages: '文档正文',
  editing: '正在修改之前的问题；其后的内容将被替换。', keep: '保持原样', fill: '窗口占用比例',
  reading_bar: '已读取的比例', key_title: 'API 密钥', key_text: '此服务器需要密钥。密钥保存到标签页关闭为止。', key: '密钥', key_ok: '使用', cancel: '取消',
  model: '{0}，窗口 {1} 个词元', model_error: '服务器没有响应。', tokens: '{0} 个词元', fill_text: '窗口 {1} 个词元，已占用 {0}', fill_over: '{0} 个词元：超过窗口的 {1}。请移除文档。',
  uploading: '正在读取 {0} …', remove: '移除 {0}', open: '显示 {0} 的正文', you: '你', answer: '回答', edit: '编辑', copy: '复制', copied: '已复制', again: '重新提问',
  counting: '正在计算词元 …', waiting: '排队中：第 {0} 位', reading: '已读 {0} / {1} 个词元', left: '{0}，约剩 {1}', writing: '正在回答 …', done: '完成。', stopped: '已停止。',
  cut: '回答达到长度上限。', broken: '连接中断。', figures: '读取 {0} 个词元，其中 {1} 个此前已读；{3} 秒写出 {2} 个', empty: '把文档拖到页面上，然后提问。',
  found: '与回答共有词语最多的段落（只比较词语，不是模型的注意力）：', found_attention: '写出回答开头时注意力最集中的段落（所有层与头的平均；表示模型看向何处，而非原因）：', share: '{0} %',
  nothing_found: '没有段落与回答共有少见的词语。', place: '第 {0} 页', chapter: '第 {0} 章', passage: '第 {0} 段',
  seconds: '{0} 秒', minutes: '{0} 分钟', untitled: '未命名', dismiss: '关闭提示', missing: '{0} 的正文已不在此浏览器中，请重新添加文件。', too_long: '文本需要 {0} 个词元，窗口只有 {1} 个；请移除文档或开始新对话。',
};

const languages = {en, zh};
let now = 'en';

export const language = () => now;

export function say(key, ...values) {
  return languages[now][key].replace(/\{(\d)\}/g, (_, i) => values[i]);
}

export const number = n => new Intl.NumberFormat(now).format(n);

export const duration = seconds => seconds < 90 ? say('seconds', Math.max(1, Math.round(seconds))) : say('minutes', Math.round(seconds / 60));

/// Takes the language and fills everything that names a word of it.
export function translate(to) {
  now = languages[to] ? to : 'en';
  document.documentElement.lang = now;
  for (const e of document.querySelectorAll('[data-text]')) e.textContent = say(e.dataset.text);
  for (const e of document.querySelectorAll('[data-label]')) e.setAttribute('aria-label', say(e.dataset.label));
  for (const e of document.querySelectorAll('[data-placeholder]')) e.placeholder = say(e.dataset.placeholder);
}
