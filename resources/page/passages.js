// A document as passages, and those that an answer drew on: by the model's attention where the server measures it, else
// by the words that they share with the answer, which is no measure of the model.

const kMostCharacters = 700;

/// {text, start, page, chapter} in order; start is where it begins in the text. The server's reader puts lines [page N]
/// and [chapter N] into PDFs and EPUBs.
export function passages(text) {
  const out = [];
  let page, chapter, current = '', start = 0, at = 0;
  const close = () => {
    if (current.trim()) out.push({text: current.trim(), start, page, chapter});
    current = '';
  };
  for (const line of text.split('\n')) {
    const mark = /^\[(page|chapter) (\d+)\]$/.exec(line);
    if (mark) {
      close();
      if (mark[1] === 'page') page = mark[2];
      else chapter = mark[2];
    } else if (!line.trim()) {
      close();
    } else {
      // Long paragraphs end after a sentence.
      let within = at;
      for (const sentence of line.length > kMostCharacters ? line.match(/.+?(?:[.!?]+\s+|[。！？]+|$)/gu) ?? [line] : [line]) {
        if (current && current.length + sentence.length > kMostCharacters) close();
        if (!current) start = within;
        current += sentence;
        within += sentence.length;
      }
      current += '\n';
    }
    at += line.length + 1;
  }
  close();
  return out;
}

/// Words, and pairs of characters where a script has no spaces.
function wordsOf(text) {
  const out = new Set();
  for (const [word] of text.toLowerCase().matchAll(/[\p{L}\p{N}]+/gu)) {
    if (!/[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}]/u.test(word)) {
      if (word.length > 1) out.add(word);
      continue;
    }
    const characters = [...word];
    for (let i = 0; i + 1 < characters.length; ++i) out.add(characters[i] + characters[i + 1]);
    if (characters.length === 1) out.add(word);
  }
  return out;
}

/// The `most` passages of several documents that share the most with the answer, and a little with the question; rare
/// words weigh more (inverse document frequency). {document, index, score}, best first.
export function related(documents, question, answer, most = 3) {
  const all = documents.flatMap((document, d) => document.passages.map((passage, index) => ({document: d, index, words: wordsOf(passage.text)})));
  const wanted = new Map();
  for (const word of wordsOf(question)) wanted.set(word, 0.4);
  for (const word of wordsOf(answer)) wanted.set(word, 1);
  const seen = new Map();
  for (const {words} of all) for (const word of words) if (wanted.has(word)) seen.set(word, (seen.get(word) ?? 0) + 1);
  const weight = word => wanted.get(word) * Math.log((all.length + 1) / (seen.get(word) + 0.5));
  const scored = all.map(({document, index, words}) => {
    let score = 0;
    for (const word of words) if (wanted.has(word)) score += Math.max(0, weight(word));
    return {document, index, score: score / Math.sqrt(20 + words.size)};
  });
  scored.sort((a, b) => b.score - a.score);
  const best = scored[0]?.score ?? 0;
  return scored.slice(0, most).filter(s => s.score > 0.2 && s.score > best / 3);
}

/// Where the model looked: `windows` are parts of the prompt, {share, text}, with their share of the attention. The
/// passages of documents that hold the most of it: {document, index, share}, best first.
export function attended(documents, windows, most = 3) {
  const sums = new Map();
  for (const {share, text} of windows) {
    const part = text.replace(/^\uFFFD+|\uFFFD+$/g, '').trim();
    if (part.length < 8) continue;
    documents.forEach((document, d) => {
      const at = document.text.indexOf(part);
      if (at < 0) return;
      const middle = at + part.length / 2;
      let index = document.passages.findIndex(p => p.start > middle);
      index = index < 0 ? document.passages.length - 1 : index - 1;
      const key = `${d} ${index}`;
      if (index >= 0) sums.set(key, (sums.get(key) ?? 0) + share);
    });
  }
  return [...sums].sort((a, b) => b[1] - a[1]).slice(0, most).map(([key, share]) => {
    const [document, index] = key.split(' ').map(Number);
    return {document, index, share};
  });
}
