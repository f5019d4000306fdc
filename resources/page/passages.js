// A document as passages, and those that an answer shares its words with. This compares words; it does not know what
// the model attended to.

const kMostCharacters = 700;

/// {text, page, chapter} in order. The server's reader puts lines [page N] and [chapter N] into PDFs and EPUBs.
export function passages(text) {
  const out = [];
  let page, chapter, current = '';
  const close = () => {
    if (current.trim()) out.push({text: current.trim(), page, chapter});
    current = '';
  };
  for (const block of text.split(/\n/)) {
    const mark = /^\[(page|chapter) (\d+)\]$/.exec(block);
    if (mark) {
      close();
      if (mark[1] === 'page') page = mark[2];
      else chapter = mark[2];
    } else if (!block.trim()) {
      close();
    } else {
      // Long paragraphs end after a sentence.
      for (const sentence of block.length > kMostCharacters ? block.match(/.+?(?:[.!?]+\s+|[。！？]+|$)/gu) ?? [block] : [block]) {
        if (current && current.length + sentence.length > kMostCharacters) close();
        current += sentence;
      }
      current += '\n';
    }
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
