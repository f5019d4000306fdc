// Kinds whose context is existing text that already contains the answers: articles with questions, numbered
// passages, chapters.
#include <algorithm>
#include <map>
#include <set>

#include "base/error.h"
#include "synth/maker.h"

namespace longspan {

namespace {

double part(size_t at, size_t size) {
  return static_cast<double>(at) / static_cast<double>(std::max<size_t>(size, 1));
}

/// A turn about an article that begins at `at` in the context. Its depth is where the article quotes the
/// answer, or else where the article begins.
SynthTurn question_turn(SynthMaker& m, const SourceQuestion& q, std::string_view article, size_t at,
                        size_t size) {
  size_t found = article.find(q.answer);
  return {m.ask("", q.question), q.answer, part(at + (found == std::string_view::npos ? 0 : found), size)};
}

}  // namespace

SynthDraft make_multi_document_qa(SynthMaker& m) {
  constexpr int64_t kLeastArticles = 3;
  constexpr size_t kLeastAnswer = 4;
  SynthDraft draft{.opening = m.open(), .context = "", .turns = {}};
  std::vector<const SourceText*> articles = m.texts("questions"), shown;
  shuffle(articles, m.random);
  std::vector<size_t> places;
  std::set<std::string_view> seen;
  int64_t have = 0;
  for (const SourceText* article : articles) {
    if (have >= m.context_tokens) break;
    std::string block = article->text + "\n\n";
    int64_t cost = m.tokens(block);
    if (cost > m.context_tokens / kLeastArticles || !seen.insert(article->text).second) continue;
    places.push_back(draft.context.size());
    shown.push_back(article);
    draft.context += block;
    have += cost;
  }
  if (have < m.context_tokens)
    fail(
        "{}: the articles in language {} that are no longer than a third of a context hold {} tokens and it "
        "needs "
        "{}; give more --questions or fewer --tokens",
        m.kind, m.language, have, m.context_tokens);
  std::vector<bool> used(places.size());
  while (static_cast<int64_t>(draft.turns.size()) < m.turns) {
    int64_t best = take_nearest(places, used, m.depth() * static_cast<double>(draft.context.size()));
    if (best < 0) break;
    auto i = static_cast<size_t>(best);
    // "Summarize the meeting" does not say which one; a question whose answer is quoted mostly does. Very
    // short answers such as "No" are found everywhere.
    std::vector<SourceQuestion> quoted;
    for (const SourceQuestion& q : shown[i]->questions)
      if (q.answer.size() >= kLeastAnswer && shown[i]->text.find(q.answer) != std::string::npos)
        quoted.push_back(q);
    if (quoted.empty()) continue;
    const SourceQuestion& q = quoted[m.random.below(quoted.size())];
    draft.turns.push_back(question_turn(m, q, shown[i]->text, places[i], draft.context.size()));
  }
  return draft;
}

namespace {

/// As many pieces of the article, from a random place on, as `tokens` allow.
std::string excerpt(SynthMaker& m, const SourceText& article, int64_t tokens) {
  return std::string(stripped(joined(stretch(m, {&article}, tokens))));
}

}  // namespace

/// A document longer than the context is cut, and only questions that the remainder answers are asked; a
/// shorter one is surrounded by other text.
SynthDraft make_document_qa(SynthMaker& m) {
  SynthDraft draft{.opening = m.open(), .context = "", .turns = {}};
  std::vector<const SourceText*> articles = m.texts("questions"), large;
  for (const SourceText* article : articles)
    if (static_cast<int64_t>(article->text.size()) >= m.job.target_tokens) large.push_back(article);
  // Long documents are the point of this kind: at least about a quarter of the context, where there are any.
  const std::vector<const SourceText*>& from = large.empty() ? articles : large;
  const SourceText& article = *from[m.random.below(from.size())];
  int64_t length = m.tokens(article.text);
  bool cut = length > m.context_tokens;
  std::string text = cut ? excerpt(m, article, m.context_tokens) : article.text;
  std::string before, behind;
  if (!cut && length < m.context_tokens) {
    auto others = m.texts(m.sources.bytes("documents", m.language) > 0 ? "documents" : "questions");
    std::erase(others, &article);
    std::vector<std::string> pieces = stretch(m, others, m.context_tokens - length);
    auto split = static_cast<std::ptrdiff_t>(m.depth() * static_cast<double>(pieces.size()));
    before = joined({pieces.begin(), pieces.begin() + split});
    behind = joined({pieces.begin() + split, pieces.end()});
    if (!before.empty()) before = std::string(stripped(before)) + "\n\n";
    if (!behind.empty()) behind = "\n\n" + std::string(stripped(behind));
  }
  draft.context = before + text + behind;
  std::vector<SourceQuestion> questions = article.questions;
  shuffle(questions, m.random);
  for (const SourceQuestion& q : questions) {
    if (static_cast<int64_t>(draft.turns.size()) >= m.turns) break;
    if (cut && text.find(q.answer) == std::string::npos) continue;
    draft.turns.push_back(question_turn(m, q, text, before.size(), draft.context.size()));
  }
  return draft;
}

namespace {

struct Passages {
  std::string context;
  std::vector<size_t> places;  // where each begins, at its header
};

Passages number(const std::vector<std::string>& passages, const std::string& language) {
  Passages numbered;
  for (size_t i = 0; i < passages.size(); ++i) {
    numbered.places.push_back(numbered.context.size());
    numbered.context += fmt::format(
        language == "zh" ? fmt::runtime("[第{}段]\n{}\n\n") : fmt::runtime("[Passage {}]\n{}\n\n"), i + 1,
        passages[i]);
  }
  return numbered;
}

/// The pieces joined into groups of about `bytes` bytes.
std::vector<std::string> grouped_pieces(const std::vector<std::string>& pieces, size_t bytes) {
  std::vector<std::string> groups;
  std::string group;
  for (const std::string& piece : pieces) {
    group += piece;
    if (group.size() < bytes) continue;
    groups.emplace_back(stripped(group));
    group.clear();
  }
  if (!stripped(group).empty()) groups.emplace_back(stripped(group));
  return groups;
}

}  // namespace

SynthDraft make_passage_retrieval(SynthMaker& m) {
  SynthDraft draft{.opening = m.open(), .context = "", .turns = {}};
  size_t bytes = 400 + m.random.below(800);
  std::vector<std::string> passages =
      grouped_pieces(stretch(m, m.texts("documents"), m.context_tokens), bytes);
  shuffle(passages, m.random);
  Passages numbered = number(passages, m.language);
  draft.context = numbered.context;
  std::string_view text = draft.context;
  std::vector<bool> used(passages.size());
  while (static_cast<int64_t>(draft.turns.size()) < m.turns) {
    int64_t best = take_nearest(numbered.places, used, m.depth() * static_cast<double>(text.size()));
    if (best < 0) break;
    auto i = static_cast<size_t>(best);
    std::vector<std::string_view> candidates;
    for (const Sentence& s : sentences(passages[i]))
      if (auto sentence = std::string_view(passages[i]).substr(s.begin, s.end - s.begin); quotable(sentence))
        candidates.push_back(sentence);
    if (candidates.empty()) continue;
    std::string_view chosen = candidates[m.random.below(candidates.size())];
    size_t at = text.find(chosen);
    if (text.find(chosen, at + 1) != std::string_view::npos) continue;
    draft.turns.push_back(
        {m.ask("", std::string(chosen)), m.reply("", std::to_string(i + 1)), part(at, text.size())});
  }
  return draft;
}

SynthDraft make_passage_count(SynthMaker& m) {
  SynthDraft draft{.opening = m.open(), .context = "", .turns = {}};
  int64_t most = std::clamp<int64_t>(m.context_tokens / 150, 4, 40);
  int64_t total = 4 + static_cast<int64_t>(m.random.below(static_cast<uint64_t>(most) - 3));
  int64_t repeated = 1 + static_cast<int64_t>(m.random.below(static_cast<uint64_t>(total) / 3));
  std::vector<std::string> pieces =
      stretch(m, m.texts("documents"), m.context_tokens * (total - repeated) / total);
  size_t bytes = joined(pieces).size() / static_cast<size_t>(total - repeated);
  std::vector<std::string> passages = grouped_pieces(pieces, bytes);
  size_t different = passages.size();
  for (int64_t i = 0; i < repeated; ++i) passages.push_back(passages[m.random.below(different)]);
  shuffle(passages, m.random);
  std::map<std::string_view, std::vector<size_t>> copies;
  for (size_t i = 0; i < passages.size(); ++i) copies[passages[i]].push_back(i);
  Passages numbered = number(passages, m.language);
  draft.context = numbered.context;
  draft.turns.push_back({m.ask("", ""), m.reply("", std::to_string(copies.size())), 0});
  for (const auto& [text, at] : copies) {
    if (at.size() < 2 || static_cast<int64_t>(draft.turns.size()) >= m.turns) continue;
    size_t asked = at[m.random.below(at.size())];
    std::string others;
    for (size_t i : at)
      if (i != asked)
        others += (others.empty() ? "" : m.language == "zh" ? "、" : ", ") + std::to_string(i + 1);
    draft.turns.push_back({m.ask(".same", std::to_string(asked + 1)), m.reply(".same", others),
                           part(numbered.places[at[0]], draft.context.size())});
  }
  return draft;
}

namespace {

/// A heading, where its section ends, and whether no other heading has the same words.
struct Section {
  std::string title;
  size_t begin = 0, body = 0, end = 0;
  bool unique = true;
};

std::vector<Section> sections(std::string_view text) {
  std::vector<Section> found;
  std::map<std::string, int> times;
  for (const Sentence& h : headings(text)) {
    if (!found.empty()) found.back().end = h.begin;
    found.push_back({std::string(text.substr(h.begin, h.end - h.begin)), h.begin, h.end, text.size()});
    ++times[found.back().title];
  }
  for (Section& s : found) s.unique = times[s.title] == 1;
  return found;
}

/// A sentence of the section that occurs nowhere else in the text; empty when there is none.
std::string_view sentence_under(SynthMaker& m, std::string_view text, const Section& section) {
  std::string_view body = text.substr(section.body, section.end - section.body);
  std::vector<std::string_view> candidates;
  for (const Sentence& s : sentences(body)) {
    std::string_view sentence = body.substr(s.begin, s.end - s.begin);
    if (quotable(sentence)) candidates.push_back(sentence);
  }
  if (candidates.empty()) return {};
  std::string_view chosen = candidates[m.random.below(candidates.size())];
  return text.find(chosen, text.find(chosen) + 1) == std::string_view::npos ? chosen : std::string_view();
}

/// Adds a turn for each section that allows one.
void ask_sections(SynthMaker& m, const std::vector<Section>& all, SynthDraft& draft) {
  std::string_view text = draft.context;
  std::vector<size_t> places;
  for (const Section& s : all) places.push_back(s.begin);
  std::vector<bool> used(all.size());
  while (static_cast<int64_t>(draft.turns.size()) < m.turns) {
    int64_t best = take_nearest(places, used, m.depth() * static_cast<double>(text.size()));
    if (best < 0) break;
    auto i = static_cast<size_t>(best);
    if (!all[i].unique) continue;
    std::string_view sentence = sentence_under(m, text, all[i]);
    if (!sentence.empty())
      draft.turns.push_back({m.ask(".section", std::string(sentence)), m.reply(".section", all[i].title),
                             part(all[i].begin, text.size())});
    else if (i + 1 < all.size())
      draft.turns.push_back(
          {m.ask(".next", all[i].title), all[i + 1].title, part(all[i].begin, text.size())});
  }
}

}  // namespace

SynthDraft make_summary(SynthMaker& m) {
  constexpr size_t kLeastHeadings = 3, kMostListed = 60;
  constexpr int kTries = 20;
  SynthDraft draft{.opening = m.open(), .context = "", .turns = {}};
  std::vector<const SourceText*> texts = m.texts("documents");
  std::erase_if(texts, [](const SourceText* t) { return t->headings < kLeastHeadings; });
  if (texts.empty())
    fail(
        "summary: no document in language {} has {} headings (\"Chapter 3\", \"# Title\", \"4.1. Title\", "
        "\"第三回\"); give others or leave summary out of --mix",
        m.language, kLeastHeadings);
  for (int i = 0; i < kTries; ++i) {
    draft.context = stripped(joined(stretch(m, texts, m.context_tokens)));
    std::vector<Section> all = sections(draft.context);
    if (all.size() < kLeastHeadings && i + 1 < kTries) continue;
    if (all.empty()) break;
    std::string list;
    for (const Section& s : all) list += (list.empty() ? "" : "\n") + s.title;
    if (all.size() <= kMostListed)
      draft.turns.push_back({m.ask("", ""), m.reply("", list), part(all[0].begin, draft.context.size())});
    ask_sections(m, all, draft);
    break;
  }
  return draft;
}

}  // namespace longspan
