// The page: documents at the side, a conversation about them, and the text of a document with the passages that an
// answer shares its words with. Elements are made by hand; nothing ever parses HTML that came from outside.

import {markdown} from './markdown.js';
import {attended, passages, related} from './passages.js';
import {messagesOf, ReadingClock} from './prompt.js';
import * as server from './server.js';
import * as store from './store.js';
import {duration, language, number, say, translate} from './words.js';

const $ = id => document.getElementById(id);

function element(name, properties = {}, ...children) {
  const e = Object.assign(document.createElement(name), properties);
  e.append(...children);
  return e;
}
const button = (text, onclick, properties = {}) => element('button', {type: 'button', textContent: text, onclick, ...properties});

let model = null;            // {name, window}
let documents = [];          // {id, name, tokens, text, passages}
let conversation = fresh();
let running = null;          // AbortController while an answer comes
let editing = null;          // number of the turn that is being changed
let loading = 0;             // files on their way

function fresh() {
  return {id: store.idOf(`${Date.now()} ${Math.random()}`), time: Date.now(), title: '', documents: [], turns: []};
}

function warn(text) {
  const line = element('p', {}, element('span', {textContent: text}));
  const close = button('×', () => line.remove());
  close.setAttribute('aria-label', say('dismiss'));
  line.append(close);
  $('alerts').append(line);
}

function failed(error) {
  if (error.status === 401) return askForKey();
  warn(error.message || say('broken'));
}

function askForKey() {
  $('key-value').value = '';
  $('key').showModal();
}

function status(text) {
  if ($('status').textContent !== text) $('status').textContent = text;
}

// Documents

async function addFiles(files) {
  for (const file of files) {
    ++loading;
    status(say('uploading', file.name));
    try {
      const read = await server.readDocument(file);
      const id = store.idOf(read.text);
      if (!documents.some(d => d.id === id)) {
        documents.push({id, name: file.name, tokens: read.tokens, text: read.text, passages: passages(read.text)});
        await store.keepText(id, read.text);
      }
      for (const remark of read.remarks ?? []) warn(remark);
    } catch (error) {
      failed(error);
    }
    --loading;
  }
  if (!loading && !running) status('');
  keepDocuments();
  showDocuments();
}

function keepDocuments() {
  conversation.documents = documents.map(({id, name, tokens}) => ({id, name, tokens}));
  if (conversation.turns.length) store.keep(conversation);
}

function removeDocument(document) {
  documents = documents.filter(d => d !== document);
  if ($('reader').dataset.id === document.id) closeReader();
  keepDocuments();
  showDocuments();
  $('files').focus();
}

function showDocuments() {
  $('documents').replaceChildren(...documents.map(d => {
    const open = button(d.name, () => openReader(d), {title: say('open', d.name)});
    open.append(element('small', {textContent: say('tokens', number(d.tokens))}));
    const remove = button('×', () => removeDocument(d), {className: 'remove', disabled: Boolean(running)});
    remove.setAttribute('aria-label', say('remove', d.name));
    return element('li', {}, open, remove);
  }));
  showFill();
}

/// Tokens as the server counted them last, else those of the documents.
function showFill(counted) {
  if (!model) return;
  const tokens = counted ?? documents.reduce((sum, d) => sum + d.tokens, 0);
  const over = tokens > model.window;
  $('fill').value = Math.min(1, tokens / model.window);
  $('fill-text').textContent = say(over ? 'fill_over' : 'fill_text', number(tokens), number(model.window));
  $('fill-text').classList.toggle('over', over);
}

// The text of a document

function placeOf(passage, index) {
  return passage.page ? say('place', passage.page) : passage.chapter ? say('chapter', passage.chapter) : say('passage', number(index + 1));
}

function openReader(document, hits = [], jump = null) {
  $('reader').hidden = false;
  $('reader').dataset.id = document.id;
  $('reader-title').textContent = document.name;
  let mark = '';
  const parts = [];
  document.passages.forEach((passage, i) => {
    const place = passage.page ? say('place', passage.page) : passage.chapter ? say('chapter', passage.chapter) : '';
    if (place !== mark) parts.push(element('h3', {textContent: mark = place}));
    const p = element('p', {id: `passage-${i}`, textContent: passage.text, tabIndex: -1});
    if (hits.includes(i)) p.classList.add('hit');
    parts.push(p);
  });
  $('passages').classList.toggle('many', parts.length > 3000);
  $('passages').replaceChildren(...parts);
  const target = jump === null ? null : $(`passage-${jump}`);
  if (target) {
    const show = () => target.scrollIntoView({block: 'center', behavior: 'instant'});
    show();
    target.focus({preventScroll: true});
    requestAnimationFrame(show);  // of a long document the heights before it are known only once they are laid out
  } else {
    $('passages').scrollTop = 0;
    $('reader-title').focus();
  }
}

let opener = null;
function closeReader() {
  $('reader').hidden = true;
  delete $('reader').dataset.id;
  if (opener?.isConnected) opener.focus();
  else $('question').focus();
}

// Turns

function foundIn(turn) {
  if (!turn.found) return [];
  const known = turn.found.map(f => ({...f, document: documents.find(d => d.id === f.id)})).filter(f => f.document?.passages[f.index]);
  if (!turn.found.length) return [element('p', {className: 'remark', textContent: say('nothing_found')})];
  if (!known.length) return [];
  const box = element('div', {className: 'found'}, element('p', {textContent: say(turn.by === 'attention' ? 'found_attention' : 'found')}));
  for (const {document, index, share} of known) {
    const passage = document.passages[index];
    const hits = known.filter(f => f.document === document).map(f => f.index);
    const line = `${share ? say('share', (100 * share).toFixed(1)) + ', ' : ''}${documents.length > 1 ? document.name + ', ' : ''}${placeOf(passage, index)}: ${passage.text.replace(/\s+/g, ' ').slice(0, 140)}${passage.text.length > 140 ? '…' : ''}`;
    box.append(button(line, event => {
      opener = event.currentTarget;
      openReader(document, hits, index);
    }));
  }
  return [box];
}

function toolsOf(turn, i) {
  const tools = element('div', {className: 'tools'});
  if (turn.role === 'user') tools.append(button(say('edit'), () => edit(i), {disabled: Boolean(running)}));
  else tools.append(button(say('copy'), async event => {
    const from = event.currentTarget;
    await navigator.clipboard?.writeText(turn.text);
    from.textContent = say('copied');
  }));
  if (turn.note) tools.append(element('span', {textContent: say(turn.note)}));
  if (turn.figures) tools.append(element('span', {textContent: say('figures', ...turn.figures.map(number))}));
  return tools;
}

function turnElement(turn, i) {
  const text = element('div', {className: 'text'});
  if (turn.role === 'user') text.textContent = turn.text;
  else text.append(...markdown(turn.text));
  return element('article', {className: `turn ${turn.role === 'user' ? 'user' : 'answer'}`}, element('h2', {textContent: say(turn.role === 'user' ? 'you' : 'answer')}), text, toolsOf(turn, i), ...foundIn(turn));
}

function showTurns() {
  const turns = conversation.turns.map(turnElement);
  if (!turns.length) turns.push(element('p', {className: 'empty', textContent: say('empty')}));
  $('turns').replaceChildren(...turns);
  $('turns').scrollTop = $('turns').scrollHeight;
}

function edit(i) {
  editing = i;
  $('question').value = conversation.turns[i].text;
  $('editing').hidden = false;
  $('question').focus();
}

function leaveEditing() {
  editing = null;
  $('editing').hidden = true;
}

// Asking

function setRunning(controller) {
  running = controller;
  $('send').hidden = Boolean(controller);
  $('stop').hidden = !controller;
  $('new').disabled = Boolean(controller);
  for (const e of document.querySelectorAll('#history button, #documents .remove, .user .tools button')) e.disabled = Boolean(controller);
  if (!controller) $('reading').hidden = true;
}

async function ask(question) {
  if (running || !question.trim()) return;
  if (editing !== null) conversation.turns.length = editing;
  leaveEditing();
  conversation.turns.push({role: 'user', text: question});
  conversation.title ||= question.slice(0, 80);
  conversation.documents = documents.map(({id, name, tokens}) => ({id, name, tokens}));
  const answer = {role: 'assistant', text: ''};
  const controller = new AbortController();
  $('question').value = '';
  const messages = messagesOf(documents, conversation.turns);
  conversation.turns.push(answer);
  showTurns();
  setRunning(controller);
  try {
    await receive(messages, answer, controller);
    status(say('done'));
  } catch (error) {
    if (controller.signal.aborted) {
      answer.note = 'stopped';
      status(say('stopped'));
    } else {
      if (answer.text) answer.note = 'broken';
      status('');
      failed(error);
    }
  }
  finish(question, answer);
}

async function receive(messages, answer, controller) {
  status(say('counting'));
  const total = await server.countTokens(messages, controller.signal);
  showFill(total);
  if (total >= model.window) throw new server.ServerError(say('too_long', number(total), number(model.window)), 400);
  const clock = new ReadingClock(), start = performance.now();
  let drawn = false;
  const draw = () => {
    drawn = false;
    const text = $('turns').lastElementChild?.querySelector('.text');
    if (!text) return;
    const below = $('turns').scrollHeight - $('turns').scrollTop - $('turns').clientHeight < 80;
    text.replaceChildren(...markdown(answer.text));
    if (below) $('turns').scrollTop = $('turns').scrollHeight;
  };
  for await (const news of server.chat(messages, controller.signal)) {
    if (news.progress) showProgress(news.progress, total, clock, (performance.now() - start) / 1000);
    if (news.text) {
      $('reading').hidden = true;
      status(say('writing'));
      answer.text += news.text;
      if (!drawn) requestAnimationFrame(draw);
      drawn = true;
    }
    if (news.attention) answer.attention = news.attention;
    if (news.finish === 'length') answer.note = 'cut';
    if (news.usage) {
      const seconds = news.timings ? (news.timings.prompt_ms + news.timings.predicted_ms) / 1000 : (performance.now() - start) / 1000;
      answer.figures = [news.usage.prompt_tokens, news.usage.prompt_tokens_details?.cached_tokens ?? 0, news.usage.completion_tokens, Math.round(seconds * 10) / 10];
      showFill(news.usage.total_tokens);
    }
  }
}

function showProgress(progress, total, clock, seconds) {
  if (progress.place > 0) return status(say('waiting', number(progress.place)));
  clock.add(progress.processed, seconds);
  const left = clock.left(total), read = say('reading', number(progress.processed), number(total));
  $('reading').hidden = false;
  $('reading').value = total ? progress.processed / total : 0;
  status(left === null ? read : say('left', read, duration(left)));
}

function finish(question, answer) {
  if (!answer.text) {  // nothing came: the question goes back to where it was typed
    conversation.turns.length -= 2;
    if (!$('question').value) $('question').value = question;
  } else if (documents.length) {
    const looked = answer.attention ? attended(documents, answer.attention) : [];
    const found = looked.length ? looked : related(documents, question, answer.text);
    answer.by = looked.length ? 'attention' : 'words';
    answer.found = found.map(({document, index, share}) => ({id: documents[document].id, index, share}));
  }
  delete answer.attention;
  setRunning(null);
  showTurns();
  try {
    if (conversation.turns.length) store.keep(conversation);
  } catch (error) {
    warn(error.message);
  }
  showHistory();
  showDocuments();
  $('question').focus();
}

// Conversations

async function open(kept) {
  leaveEditing();
  closeReader();
  conversation = structuredClone(kept);
  documents = [];
  for (const d of kept.documents) {
    const text = await store.textOf(d.id);
    if (text === undefined) warn(say('missing', d.name));
    else documents.push({...d, text, passages: passages(text)});
  }
  showAll();
  $('side').classList.remove('open');
  $('menu').setAttribute('aria-expanded', 'false');
}

function begin() {
  leaveEditing();
  conversation = fresh();
  conversation.documents = documents.map(({id, name, tokens}) => ({id, name, tokens}));
  showAll();
  $('question').focus();
}

function showHistory() {
  $('history').replaceChildren(...store.conversations().map(kept => {
    const title = kept.title || say('untitled');
    const opened = button(title, () => open(kept), {disabled: Boolean(running)});
    if (kept.id === conversation.id) opened.setAttribute('aria-current', 'true');
    opened.append(element('small', {textContent: new Date(kept.time).toLocaleString(language())}));
    const remove = button('×', () => {
      store.forget(kept.id);
      if (kept.id === conversation.id) begin();
      showHistory();
      store.tidy(documents.map(d => d.id)).catch(() => {});
    }, {className: 'remove', disabled: Boolean(running)});
    remove.setAttribute('aria-label', say('remove', title));
    return element('li', {}, opened, remove);
  }));
}

function showAll() {
  showDocuments();
  showHistory();
  showTurns();
  $('model').textContent = model ? say('model', model.name, number(model.window)) : '';
}

// The page itself

function setTheme(theme) {
  const dark = theme === 'dark' || (theme !== 'light' && matchMedia('(prefers-color-scheme: dark)').matches);
  document.documentElement.dataset.theme = dark ? 'dark' : 'light';
}

async function connect() {
  try {
    model = await server.model();
    showAll();
  } catch (error) {
    if (error.status === 401) askForKey();
    else warn(say('model_error'));
  }
}

function listen() {
  $('ask').addEventListener('submit', event => {
    event.preventDefault();
    ask($('question').value);
  });
  $('question').addEventListener('keydown', event => {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    ask($('question').value);
  });
  $('stop').addEventListener('click', () => running?.abort());
  $('keep').addEventListener('click', () => {
    leaveEditing();
    $('question').value = '';
  });
  $('new').addEventListener('click', begin);
  $('close').addEventListener('click', closeReader);
  $('files').addEventListener('change', async () => {
    await addFiles([...$('files').files]);
    $('files').value = '';
  });
  $('menu').addEventListener('click', () => $('menu').setAttribute('aria-expanded', String($('side').classList.toggle('open'))));
  document.addEventListener('keydown', event => {
    if (event.key !== 'Escape' || $('key').open) return;
    if (!$('reader').hidden) closeReader();
    else running?.abort();
  });
  // Files dropped anywhere are meant for us; the browser would leave the page for them.
  document.addEventListener('dragover', event => {
    event.preventDefault();
    document.body.classList.add('dropping');
  });
  document.addEventListener('dragleave', event => {
    if (!event.relatedTarget) document.body.classList.remove('dropping');
  });
  document.addEventListener('drop', event => {
    event.preventDefault();
    document.body.classList.remove('dropping');
    if (event.dataTransfer.files.length) addFiles([...event.dataTransfer.files]);
  });
  $('key').addEventListener('close', () => {
    if ($('key').returnValue !== 'ok') return;
    server.setKey($('key-value').value.trim());
    connect();
  });
  $('language').addEventListener('change', () => {
    translate($('language').value);
    store.setSettings({language: language()});
    showAll();
  });
  $('theme').addEventListener('change', () => {
    setTheme($('theme').value);
    store.setSettings({theme: $('theme').value});
  });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => setTheme($('theme').value));
}

const kept = store.settings();
translate(kept.language ?? (navigator.language.toLowerCase().startsWith('zh') ? 'zh' : 'en'));
$('language').value = language();
$('theme').value = ['light', 'dark'].includes(kept.theme) ? kept.theme : 'auto';
setTheme($('theme').value);
listen();
showAll();
connect();
