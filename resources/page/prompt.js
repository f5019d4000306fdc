// The messages of a conversation: the documents stand before the first question, so that whatever is asked later
// begins with the same text, which the server has read already. The words are those of `longspan ask`.

export function messagesOf(documents, turns) {
  const text = documents.length === 1 ? documents[0].text : documents.map(d => `[file: ${d.name}]\n${d.text}`).join('\n');
  return turns.map((turn, i) => ({
    role: turn.role,
    content: i === 0 && documents.length ? `Read the text and answer the question that follows it.\n\nText:\n${text}\n\nQuestion: ${turn.text}` : turn.text,
  }));
}

/// When the rest will be read, from how long the part before took: tokens become slower as the text grows.
export class ReadingClock {
  constructor() {
    this.points = [];
  }
  add(tokens, seconds) {
    const last = this.points.at(-1);
    if (!last || tokens > last.tokens) this.points.push({tokens, seconds});
  }
  /// Seconds; null while nothing can be said.
  left(total) {
    const first = this.points[0], last = this.points.at(-1);
    if (this.points.length < 3 || last.seconds - first.seconds < 1) return null;
    const middle = this.points[Math.floor(this.points.length / 2)];
    const pace = (a, b) => (b.seconds - a.seconds) / (b.tokens - a.tokens);
    const early = pace(first, middle), late = pace(middle, last);
    const slope = Math.max(0, (late - early) / ((last.tokens - first.tokens) / 2));
    const rest = total - last.tokens;
    return rest * (late + slope * (rest + (last.tokens - middle.tokens)) / 2);
  }
}
