// Kinds whose answers are put into the context (facts, multi_needle, key_value), and quote and reading, which
// find their answers there.
#include <algorithm>
#include <array>
#include <cassert>
#include <set>

#include "base/error.h"
#include "synth/maker.h"
#include "synth/reading.h"

namespace longspan {

namespace {

struct Insert {
  std::string text;
  double depth = 0;                // first the wanted one, then the actual one
  std::pair<size_t, size_t> span;  // bytes of the context
};

/// The pieces with the inserts between them. Each insert is followed by the same white space as the piece
/// before it.
std::string insert(const std::vector<std::string>& pieces, std::vector<Insert*> inserts) {
  std::stable_sort(inserts.begin(), inserts.end(), [](auto* a, auto* b) { return a->depth < b->depth; });
  size_t total = 0, before = 0, next = 0;
  for (const std::string& piece : pieces) total += piece.size();
  std::string context;
  for (size_t i = 0; i <= pieces.size(); ++i) {
    const std::string& near = pieces[i > 0 ? i - 1 : 0];
    std::string gap = near.substr(stripped(near).empty() ? 0 : near.find_last_not_of(" \t\r\n") + 1);
    for (;
         next < inserts.size() && (i == pieces.size() || inserts[next]->depth * static_cast<double>(total) <=
                                                             static_cast<double>(before));
         ++next) {
      if (i == pieces.size() && gap.empty()) context += "\n";
      inserts[next]->span = {context.size(), context.size() + inserts[next]->text.size()};
      context += inserts[next]->text + gap;
    }
    if (i == pieces.size()) break;
    context += pieces[i];
    before += pieces[i].size();
  }
  for (Insert* i : inserts)
    i->depth = static_cast<double>(i->span.first) / static_cast<double>(context.size());
  return context;
}

std::string haystack_with(SynthMaker& m, std::vector<Insert>& inserts) {
  int64_t cost = 0;
  std::vector<Insert*> pointers;
  for (Insert& i : inserts) {
    cost += m.tokens(i.text) + 1;
    pointers.push_back(&i);
  }
  if (cost >= m.context_tokens)
    fail("{}: {} inserted facts of {} tokens leave no room for a text in {} tokens; choose fewer --turns",
         m.kind, inserts.size(), cost, m.context_tokens);
  return insert(stretch(m, m.texts("documents"), m.context_tokens - cost), pointers);
}

template <typename Row>
std::vector<const Row*> rows_of(const std::vector<Row>& table, const std::string& language) {
  std::vector<const Row*> rows;
  for (const Row& row : table)
    if (row.language == language) rows.push_back(&row);
  return rows;
}

}  // namespace

namespace {

/// A fact of a row of facts; `turn`: of the question about it, -1: nobody asks.
struct Fact {
  Insert insert;
  int64_t turn = -1;
};

/// What a record of facts has so far.
struct FactsDraft {
  SynthMaker& m;
  std::vector<SynthTurn> turns{};
  std::vector<Fact> facts{};
  std::set<std::string> asked{};  // two facts with the same question would give it two answers

  bool full() const { return static_cast<int64_t>(turns.size()) >= m.turns; }

  void hide(std::string text, double depth, bool asks) {
    facts.push_back({{std::move(text), depth, {}}, asks ? static_cast<int64_t>(turns.size()) : -1});
  }

  /// False when there is such a fact already.
  bool add(const FactTemplate& row, const Slots& slots, bool asks) {
    if (!asked.insert(fill(row.questions[0], slots)).second) return false;
    hide(fill(row.fact, slots), asks ? m.depth() : m.random.uniform(), asks);
    if (asks)
      turns.push_back(
          m.turn(fill(m.any(row.questions), slots), fill(row.answer, slots), fill(row.sentence, slots)));
    return true;
  }

  void add_natural() {
    const NaturalFact& fact = m.sources.natural[m.random.below(m.sources.natural.size())];
    if (!asked.insert(fact.question).second) return;
    hide(fact.passage, m.depth(), true);
    turns.push_back(m.turn(fact.question, fact.answer, fact.sentence));
  }

  /// The same sentence about others: half of them keep all but one of the names by which it is asked for.
  void add_sisters(const FactTemplate& row, const Slots& slots) {
    constexpr uint64_t kMostSisters = 3;
    std::vector<std::string> keys;
    for (const auto& [slot, value] : slots)
      if (row.questions[0].find("{" + slot + "}") != std::string::npos) keys.push_back(slot);
    for (uint64_t n = 1 + m.random.below(kMostSisters); n > 0 && !keys.empty(); --n) {
      Slots other;
      if (m.random.below(2) == 0) {
        other = slots;
        const std::string& changed = keys[m.random.below(keys.size())];
        std::erase_if(other, [&](const auto& slot) {
          bool key = std::find(keys.begin(), keys.end(), slot.first) != keys.end();
          return !key || slot.first == changed;
        });
      }
      draw_slots(row.fact, m.language, m.random, other);
      bool asks = m.random.below(2) == 0 && !full();
      add(row, other, asks);
    }
  }
};

}  // namespace

SynthDraft make_facts(SynthMaker& m) {
  auto rows = rows_of(fact_templates(), m.language);
  FactsDraft all{.m = m};
  bool natural = m.language == "en" && m.job.natural_share > 0;
  while (!all.full()) {
    if (natural && m.random.uniform() < m.job.natural_share) {
      all.add_natural();
      continue;
    }
    const FactTemplate& row = *rows[m.random.below(rows.size())];
    Slots slots;
    draw_slots(row.fact, m.language, m.random, slots);
    if (!all.add(row, slots, true)) continue;
    if (m.job.sister_share > 0 && m.random.uniform() < m.job.sister_share) all.add_sisters(row, slots);
  }
  SynthDraft draft{.opening = m.open(), .context = "", .turns = std::move(all.turns)};
  std::vector<Insert> inserts;
  for (const Fact& fact : all.facts) inserts.push_back(fact.insert);
  draft.context = haystack_with(m, inserts);
  for (size_t i = 0; i < inserts.size(); ++i) {
    if (all.facts[i].turn >= 0) draft.turns[static_cast<size_t>(all.facts[i].turn)].depth = inserts[i].depth;
    draft.masked.push_back(inserts[i].span);
  }
  // Sisters were drawn one after the other, which would show where they stand.
  if (m.job.sister_share > 0) shuffle(draft.turns, m.random);
  return draft;
}

SynthDraft make_reading(SynthMaker& m) {
  SynthDraft draft{.opening = m.open(), .context = "", .turns = {}};
  draft.context = stripped(joined(stretch(m, m.texts("documents"), m.context_tokens)));
  auto size = static_cast<double>(draft.context.size());
  std::array<std::vector<ReadingQuestion>, kReadingKinds> by_kind;
  for (ReadingQuestion& q : reading_questions(draft.context))
    by_kind[static_cast<size_t>(q.kind)].push_back(std::move(q));
  std::array<std::vector<size_t>, kReadingKinds> places;
  std::array<std::vector<bool>, kReadingKinds> used;
  std::vector<size_t> kinds;  // those that have questions left
  for (size_t k = 0; k < by_kind.size(); ++k) {
    for (const ReadingQuestion& q : by_kind[k]) places[k].push_back(q.at);
    used[k].resize(places[k].size());
    if (!places[k].empty()) kinds.push_back(k);
  }
  while (static_cast<int64_t>(draft.turns.size()) < m.turns && !kinds.empty()) {
    size_t at = m.random.below(kinds.size()), k = kinds[at];
    int64_t best = take_nearest(places[k], used[k], m.depth() * size);
    if (best < 0) {
      kinds.erase(kinds.begin() + static_cast<std::ptrdiff_t>(at));
      continue;
    }
    const ReadingQuestion& q = by_kind[k][static_cast<size_t>(best)];
    std::string question =
        q.kind == ReadingKind::Speaker ? m.ask(".speaker", q.question) : m.ask("", q.question);
    draft.turns.push_back(m.turn(std::move(question), q.answer, q.sentence));
    draft.turns.back().depth = static_cast<double>(q.at) / size;
  }
  return draft;
}

SynthDraft make_multi_needle(SynthMaker& m) {
  auto rows = rows_of(list_templates(), m.language);
  SynthDraft draft{.opening = m.open(), .context = "", .turns = {}};
  struct Item {
    std::string name;
    size_t subject = 0;
  };
  std::vector<Item> items;
  std::vector<Insert> inserts;
  std::set<std::string> asked;
  auto subjects = static_cast<size_t>(std::max<int64_t>(1, m.turns / 3));
  while (draft.turns.size() < subjects) {
    const ListTemplate& row = *rows[m.random.below(rows.size())];
    Slots slots = {{"subject", draw_value(row.subject, m.language, m.random)}};
    if (!asked.insert(fill(row.questions[0], slots)).second) continue;
    std::set<std::string> had = {slots["subject"]};
    for (size_t n = 2 + m.random.below(4); n > 0;) {
      slots["item"] = draw_value(row.item, m.language, m.random);
      if (!had.insert(slots["item"]).second) continue;
      inserts.push_back({fill(row.fact, slots), m.depth(), {}});
      items.push_back({slots["item"], draft.turns.size()});
      --n;
    }
    draft.turns.push_back({fill(m.any(row.questions), slots), "", 1});
  }
  draft.context = haystack_with(m, inserts);
  std::vector<size_t> order(items.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return inserts[a].span < inserts[b].span; });
  for (size_t i : order) {
    SynthTurn& turn = draft.turns[items[i].subject];
    if (turn.answer.empty()) turn.depth = inserts[i].depth;
    turn.answer += (turn.answer.empty() ? "" : m.language == "zh" ? "、" : ", ") + items[i].name;
    draft.masked.push_back(inserts[i].span);
  }
  return draft;
}

SynthDraft make_quote(SynthMaker& m) {
  constexpr size_t kLeast = 20, kMost = 400;  // bytes of the sentence that is the answer
  SynthDraft draft{.opening = m.open(), .context = "", .turns = {}};
  draft.context = stripped(joined(stretch(m, m.texts("documents"), m.context_tokens)));
  std::string_view text = draft.context;
  std::vector<Sentence> all = sentences(text);
  auto size = [&](size_t i) { return all[i].end - all[i].begin; };
  std::vector<size_t> places, index;
  for (size_t i = 0; i + 1 < all.size(); ++i)
    if (all[i].joined && quotable(text.substr(all[i].begin, size(i))) && size(i + 1) >= kLeast &&
        size(i + 1) <= kMost) {
      places.push_back(all[i + 1].begin);
      index.push_back(i);
    }
  std::vector<bool> used(places.size());
  while (static_cast<int64_t>(draft.turns.size()) < m.turns) {
    int64_t best = take_nearest(places, used, m.depth() * static_cast<double>(text.size()));
    if (best < 0) break;
    const Sentence &given = all[index[static_cast<size_t>(best)]],
                   &next = all[index[static_cast<size_t>(best)] + 1];
    std::string_view asked = text.substr(given.begin, given.end - given.begin);
    if (text.find(asked) != given.begin || text.find(asked, given.begin + 1) != std::string_view::npos)
      continue;
    draft.turns.push_back({m.ask("", std::string(asked)),
                           std::string(text.substr(next.begin, next.end - next.begin)),
                           static_cast<double>(next.begin) / static_cast<double>(text.size())});
  }
  return draft;
}

namespace {

/// How a table is written; a line holds {k} and {v}.
struct TableStyle {
  const char *begin, *line, *end;
};
constexpr TableStyle kStyles[] = {
    {"", "{k}: {v}\n", ""},
    {"{\n", "  \"{k}\": \"{v}\",\n", "  \"\": \"\"\n}\n"},
    {"| name | entry |\n|---|---|\n", "| {k} | {v} |\n", ""},
    {"", "{k} = {v}\n", ""},
    {"name,entry\n", "{k},{v}\n", ""},
};

struct Names {
  const char* language;
  const char* text;
};
constexpr Names kKeys[] = {
    {"en", "{person} of {town}"}, {"en", "{code}"},     {"en", "house {number} in {town}"},
    {"zh", "{town}的{person}"},   {"zh", "编号{code}"}, {"zh", "{town}{number}号"}};
constexpr Names kValues[] = {{"en", "{object} from {town}"}, {"en", "{number} {food}"},
                             {"en", "{town} {code}"},        {"zh", "{town}的{object}"},
                             {"zh", "{number}份{food}"},     {"zh", "{town}{code}"}};

const char* any_of(SynthMaker& m, std::span<const Names> table) {
  std::vector<const char*> texts;
  for (const Names& row : table)
    if (row.language == m.language) texts.push_back(row.text);
  return texts[m.random.below(texts.size())];
}

}  // namespace

SynthDraft make_key_value(SynthMaker& m) {
  constexpr double kReversed = 0.25;
  const TableStyle& style = kStyles[m.random.below(std::size(kStyles))];
  const char *key_form = any_of(m, kKeys), *value_form = any_of(m, kValues);
  SynthDraft draft{.opening = m.open(), .context = style.begin, .turns = {}};
  std::vector<std::pair<std::string, std::string>> entries;
  std::vector<size_t> places;
  std::set<std::string> keys, values;
  for (int64_t have = 0; have < m.context_tokens;) {
    Slots a, b;
    draw_slots(key_form, m.language, m.random, a);
    draw_slots(value_form, m.language, m.random, b);
    std::string key = fill(key_form, a), value = fill(value_form, b);
    // A duplicate costs one more draw; there are more values than any context holds.
    if (keys.contains(key) || values.contains(value)) continue;
    keys.insert(key);
    values.insert(value);
    std::string line = fill(style.line, {{"k", key}, {"v", value}});
    have += m.tokens(line);
    places.push_back(draft.context.size());
    draft.context += line;
    entries.emplace_back(key, value);
  }
  draft.context += style.end;
  std::vector<bool> used(places.size());
  auto size = static_cast<double>(draft.context.size());
  while (static_cast<int64_t>(draft.turns.size()) < m.turns) {
    int64_t best = take_nearest(places, used, m.depth() * size);
    if (best < 0) break;
    auto i = static_cast<size_t>(best);
    bool reversed = m.random.uniform() < kReversed;
    auto [question, answer] = entries[i];
    if (reversed) std::swap(question, answer);
    draft.turns.push_back(
        {m.ask(reversed ? ".reverse" : "", question), answer, static_cast<double>(places[i]) / size});
  }
  return draft;
}

}  // namespace longspan
