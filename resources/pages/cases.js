'use strict';
(() => {
const data = id => JSON.parse((document.getElementById(id) || {textContent: '[]'}).textContent);
const grids = data('grids'), cases = data('cases');
const taskNames = [...new Set(cases.map(c => c.task))], natural = new Intl.Collator('en', {numeric: true});
cases.sort((a, b) => taskNames.indexOf(a.task) - taskNames.indexOf(b.task) || natural.compare(a.id, b.id));
// Texts come from models and files: they only ever become text nodes. Control characters get their pictures.
const visible = s => String(s).replace(/[\x00-\x08\x0b-\x1f\x7f]/g,
    c => String.fromCharCode(c === '\x7f' ? 0x2421 : 0x2400 + c.charCodeAt(0)));
function add(parent, tag, text, cls) {
  const e = parent.appendChild(document.createElement(tag));
  if (text !== undefined) e.textContent = visible(text);
  if (cls) e.className = cls;
  return e;
}
const isLoss = c => c.kind === 'loss';
const digits = (c, x) => x === null ? '-' : isLoss(c) ? x.toFixed(4) + ' nats' : x.toFixed(1) + ' %';
const cellText = cell => Object.entries(cell || {}).map(([k, v]) => k + ' ' + v).join(', ');

// ---- one case
const dialog = document.querySelector('main').appendChild(document.createElement('dialog'));
dialog.setAttribute('aria-label', 'cases');
const close = add(dialog, 'button', 'close');
close.onclick = () => dialog.close();
const inside = add(dialog, 'div');
dialog.onclick = e => { if (e.target === dialog) dialog.close(); };

function block(title, text) {
  if (text === undefined || text === null) return;
  add(inside, 'strong', title);
  add(inside, 'pre', text).tabIndex = 0;  // it scrolls, by keys as well
}
function showCase(c) {
  add(inside, 'h2', c.id + ': ' + digits(c, c.score));
  const facts = [cellText(c.cell), c.source, (c.prompt_tokens ?? '?') + ' tokens'];
  if (c.cut_tokens) facts.push(c.cut_tokens + ' of them cut');
  if (c.new_tokens !== undefined) facts.push(c.new_tokens + ' new tokens, ended by ' + c.stop);
  if (isLoss(c)) facts.push(c.tokens + ' counted', 'sum of losses ' + c.nll);
  for (const [metric, s] of Object.entries(c.scores || {}))
    facts.push(metric + ' compat ' + s.compat.toFixed(4) + ', clean ' + s.clean.toFixed(4));
  add(inside, 'p', facts.filter(f => f).join('; '));
  block('prediction', c.prediction);
  block('answer that was scored', c.answer);
  if (c.references) block(c.kind === 'choice' ? 'choices' : 'references', c.references.join('\n'));
  if (c.logprobs) block('log-probabilities of the choices (* the right one)', c.logprobs.map((p, i) =>
      (i === c.correct ? '* ' : '  ') + Number(p).toFixed(4) + (c.bytes ? ', ' + c.bytes[i] + ' bytes' : '')).join('\n'));
  if (c.prompt && c.prompt.head !== undefined) {
    block('prompt, its beginning', c.prompt.head);
    block('prompt, its end', c.prompt.tail);
  } else block('prompt', c.prompt);
}
function open(list) {
  inside.replaceChildren();
  if (!list.length) add(inside, 'p', 'no case');
  list.slice(0, 50).forEach(showCase);
  if (list.length > 50) add(inside, 'p', 'and ' + (list.length - 50) + ' more');
  dialog.showModal();
  dialog.scrollTop = 0;
}

// ---- heat maps
for (const button of document.querySelectorAll('button[data-grid]')) {
  const {grid, row, column} = button.dataset, g = grids[grid];
  button.onclick = () => open(cases.filter(c => c.task === g.task && c.cell && c.cell[g.across] === g.lengths[column] &&
      c.cell.depth === g.depths[row] && Object.entries(g.of).every(([k, v]) => c.cell[k] === v)));
}

// ---- list of cases
const list = document.getElementById('list');
if (list) {
  const bar = add(list, 'div', undefined, 'bar'), found = add(list, 'p'), table = add(list, 'table', undefined, 'list');
  found.setAttribute('role', 'status');
  add(table, 'caption', 'Cases; a name opens its case');
  const head = add(add(table, 'thead'), 'tr'), body = add(table, 'tbody');
  for (const name of ['case', 'score', 'answer']) add(head, 'th', name).scope = 'col';
  const more = add(list, 'button', 'more');
  const choose = (name, names) => {
    const select = add(add(bar, 'label', name), 'select');
    names.forEach(n => add(select, 'option', n));
    select.onchange = () => fill();
    return select;
  };
  const kinds = [['all', () => true], ['below 100 %', c => !isLoss(c) && c.score < 100],
    ['cut', c => c.cut_tokens > 0], ['stopped by the limit', c => c.stop === 'length'],
    ['empty answers', c => c.kind === 'answer' && !c.prediction.trim()]];
  const task = choose('task', ['all tasks', ...taskNames]), kind = choose('which cases', kinds.map(k => k[0]));
  const text = add(add(bar, 'label', 'text in name, answer or references'), 'input');
  text.oninput = () => fill();
  let shown = 0, matching = [];
  const grow = () => {
    for (const c of matching.slice(shown, shown + 100)) {
      const row = add(body, 'tr'), name = add(add(row, 'td'), 'button', c.id);
      name.type = 'button';
      name.onclick = () => open([c]);
      add(row, 'td', digits(c, c.score));
      add(row, 'td', String(c.prediction ?? '').slice(0, 90));
    }
    shown = Math.min(shown + 100, matching.length);
    more.hidden = shown >= matching.length;
  };
  const fill = () => {
    const part = text.value.toLowerCase();
    matching = cases.filter(c => (task.selectedIndex === 0 || c.task === taskNames[task.selectedIndex - 1]) &&
        kinds[kind.selectedIndex][1](c) &&
        (c.id + '\n' + (c.prediction ?? '') + '\n' + (c.references ?? []).join('\n')).toLowerCase().includes(part));
    found.textContent = matching.length + ' of ' + cases.length + ' cases';
    body.replaceChildren();
    shown = 0;
    grow();
  };
  more.onclick = grow;
  fill();
}
})();
