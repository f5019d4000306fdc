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
const dialog = document.body.appendChild(document.createElement('dialog'));
const close = add(dialog, 'button', 'close');
close.onclick = () => dialog.close();
const inside = add(dialog, 'div');
dialog.onclick = e => { if (e.target === dialog) dialog.close(); };

function block(title, text) {
  if (text === undefined || text === null) return;
  add(inside, 'strong', title);
  add(inside, 'pre', text);
}
function showCase(c) {
  add(inside, 'h3', c.id + ': ' + digits(c, c.score));
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
const red = [229, 72, 77], yellow = [244, 207, 78], green = [48, 164, 108];
function colour(score) {
  const [a, b, t] = score < 50 ? [red, yellow, score / 50] : [yellow, green, score / 50 - 1];
  return 'rgb(' + a.map((x, i) => Math.round(x + (b[i] - x) * t)).join(',') + ')';
}
const tokens = n => n > 0 && n % 1024 === 0 ? n / 1024 + 'K' : String(n);
function drawGrid(place, grid) {
  const table = add(place, 'table', undefined, grid.lengths.length > 12 ? 'heat' : 'heat roomy');
  grid.depths.forEach((depth, d) => {
    const row = add(table, 'tr');
    add(row, 'th', depth + ' %');
    grid.lengths.forEach((length, l) => {
      const cell = grid.cells[d][l], td = add(row, 'td');
      if (!cell) { td.className = 'none'; td.title = 'no case'; return; }
      const button = add(td, 'button', cell.score.toFixed(0));
      button.style.background = colour(cell.score);
      button.title = grid.across + ' ' + length + ', depth ' + depth + ' %: ' + cell.score.toFixed(1) + ' % of ' + cell.n;
      button.onclick = () => open(cases.filter(c => c.task === grid.task && c.cell && c.cell[grid.across] === length &&
          c.cell.depth === depth && Object.entries(grid.of).every(([k, v]) => c.cell[k] === v)));
    });
  });
  const foot = add(table, 'tr');
  add(foot, 'th', grid.across);
  grid.lengths.forEach(length => add(foot, 'th', tokens(length)));
}
const heat = document.getElementById('heat');
for (const task of new Set(grids.map(g => g.task))) {
  const own = grids.filter(g => g.task === task), box = add(heat, 'div');
  add(box, 'h3', task);
  const select = add(box, 'select'), place = add(box, 'div', undefined, 'wide');
  own.forEach(g => add(select, 'option', cellText(g.of) || 'all cases'));
  select.hidden = own.length < 2;
  select.onchange = () => { place.replaceChildren(); drawGrid(place, own[select.selectedIndex]); };
  select.onchange();
}

// ---- list of cases
const list = document.getElementById('list');
if (list) {
  const bar = add(list, 'div', undefined, 'bar'), found = add(list, 'p'), table = add(list, 'table');
  const more = add(list, 'button', 'more');
  const choose = names => {
    const select = add(bar, 'select');
    names.forEach(n => add(select, 'option', n));
    select.onchange = () => fill();
    return select;
  };
  const kinds = [['all', () => true], ['below 100 %', c => !isLoss(c) && c.score < 100],
    ['cut', c => c.cut_tokens > 0], ['stopped by the limit', c => c.stop === 'length'],
    ['empty answers', c => c.kind === 'answer' && !c.prediction.trim()]];
  const task = choose(['all tasks', ...taskNames]), kind = choose(kinds.map(k => k[0]));
  const text = add(bar, 'input');
  text.placeholder = 'text in id, answer or references';
  text.oninput = () => fill();
  let shown = 0, matching = [];
  const grow = () => {
    for (const c of matching.slice(shown, shown + 100)) {
      const row = add(table, 'tr');
      add(row, 'td', c.id);
      add(row, 'td', digits(c, c.score));
      add(row, 'td', String(c.prediction ?? '').slice(0, 90));
      row.tabIndex = 0;
      row.onclick = () => open([c]);
      row.onkeydown = e => { if (e.key === 'Enter') open([c]); };
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
    table.replaceChildren();
    shown = 0;
    grow();
  };
  more.onclick = grow;
  fill();
}
})();
