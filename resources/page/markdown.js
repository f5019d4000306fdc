// Markdown to elements. Text of a model is hostile: it only ever becomes text nodes, links lead to http and https, and
// pictures become links.

function element(name, ...children) {
  const e = document.createElement(name);
  e.append(...children);
  return e;
}

function link(text, address) {
  let url;
  try {
    url = new URL(address);
  } catch {
    return [text];
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:') return [text];
  const a = element('a', text);
  a.href = url.href;
  a.target = '_blank';
  a.rel = 'noopener noreferrer nofollow';
  return [a];
}

const kInline = /`([^`]+)`|\*\*(.+?)\*\*|__(.+?)__|\*([^*\s][^*]*?)\*|(?<![\p{L}\p{N}_])_([^_\s][^_]*?)_(?![\p{L}\p{N}_])|!?\[([^\]]*)\]\(([^()\s]+)\)/u;

function inline(text, depth = 0) {
  const out = [];
  for (let match; depth < 6 && (match = kInline.exec(text));) {
    out.push(text.slice(0, match.index));
    const [all, code, strong, strong2, em, em2, label, address] = match;
    if (code !== undefined) out.push(element('code', code));
    else if (strong ?? strong2) out.push(element('strong', ...inline(strong ?? strong2, depth + 1)));
    else if (em ?? em2) out.push(element('em', ...inline(em ?? em2, depth + 1)));
    else out.push(...link(label || address, address));
    text = text.slice(match.index + all.length);
  }
  out.push(text);
  return out.filter(x => x !== '');
}

/// Lines with their breaks.
const lines = parts => parts.flatMap((part, i) => i === 0 ? inline(part) : [element('br'), ...inline(part)]);

const kFence = /^\s*(```+|~~~+)\s*[^`]*$/, kHeading = /^(#{1,6})\s+(.*?)\s*#*$/, kRule = /^\s*([-*_])(\s*\1){2,}\s*$/, kItem = /^(\s*)([-*+]|\d{1,9}[.)])\s+(.*)$/,
      kQuote = /^\s*>\s?(.*)$/, kTable = /^\s*\|?(\s*:?-+:?\s*\|)+\s*:?-*:?\s*$/;

const cells = line => line.trim().replace(/^\||\|$/g, '').split('|').map(cell => cell.trim());

function table(rows) {
  const head = element('tr', ...cells(rows[0]).map(c => {
    const th = element('th', ...inline(c));
    th.scope = 'col';
    return th;
  }));
  const body = rows.slice(2).map(row => element('tr', ...cells(row).map(c => element('td', ...inline(c)))));
  const e = element('table', element('thead', head), element('tbody', ...body));
  e.tabIndex = 0;
  return e;
}

/// Items of one list with what is indented below them; returns the list and the line behind it.
function list(all, at, depth) {
  const [, indent, mark] = kItem.exec(all[at]);
  const out = element(/\d/.test(mark) ? 'ol' : 'ul');
  if (/\d/.test(mark)) out.start = parseInt(mark);
  while (at < all.length) {
    const item = kItem.exec(all[at]);
    if (!item || item[1].length < indent.length || /\d/.test(item[2]) !== /\d/.test(mark)) break;
    if (item[1].length > indent.length + 1 && out.lastChild && depth < 6) {
      const [inner, next] = list(all, at, depth + 1);
      out.lastChild.append(inner);
      at = next;
      continue;
    }
    const text = [item[3]];
    for (++at; at < all.length && all[at].trim() && !kItem.test(all[at]) && /^\s/.test(all[at]); ++at) text.push(all[at].trim());
    out.append(element('li', ...lines(text)));
    if (at < all.length && !all[at].trim() && kItem.test(all[at + 1] ?? '')) ++at;
  }
  return [out, at];
}

function blocks(all, depth = 0) {
  const out = [];
  for (let i = 0; i < all.length;) {
    const fence = kFence.exec(all[i]), heading = kHeading.exec(all[i]);
    if (!all[i].trim()) {
      ++i;
    } else if (fence) {
      const text = [];
      for (++i; i < all.length && !all[i].trim().startsWith(fence[1]); ++i) text.push(all[i]);
      ++i;
      const pre = element('pre', element('code', text.join('\n')));
      pre.tabIndex = 0;
      out.push(pre);
    } else if (heading) {
      out.push(element('h4', ...inline(heading[2])));
      ++i;
    } else if (kRule.test(all[i])) {
      out.push(element('hr'));
      ++i;
    } else if (kItem.test(all[i])) {
      const [e, next] = list(all, i, 0);
      out.push(e);
      i = next;
    } else if (kQuote.test(all[i]) && depth < 6) {
      const inner = [];
      for (; i < all.length && kQuote.test(all[i]); ++i) inner.push(kQuote.exec(all[i])[1]);
      out.push(element('blockquote', ...blocks(inner, depth + 1)));
    } else if (all[i].includes('|') && kTable.test(all[i + 1] ?? '')) {
      const from = i;
      for (i += 2; i < all.length && all[i].includes('|') && all[i].trim(); ++i);
      out.push(table(all.slice(from, i)));
    } else {
      const text = [all[i++]];
      while (i < all.length && all[i].trim() && !kFence.test(all[i]) && !kHeading.test(all[i]) && !kItem.test(all[i]) && !(kQuote.test(all[i]) && depth < 6)) text.push(all[i++]);
      out.push(element('p', ...lines(text)));
    }
  }
  return out;
}

export const markdown = text => blocks(text.replace(/\r\n?/g, '\n').split('\n'));
