#include "sql/writer.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <optional>
#include <set>

#include "base/text.h"
#include "generate/answer_text.h"
#include "grammar/matcher.h"

namespace longspan::sql {

namespace {

/// Another way to go on from a statement that was written: its first tokens, and one more.
struct Branch {
  std::vector<int32_t> ids;
  float loss = 0;  // logits given up against greedy, over all such decisions of the way
};

class Writer {
 public:
  Writer(Sequence& sequence, const Engine& engine, const WriteOptions& options)
      : sequence_(sequence),
        engine_(engine),
        options_(options),
        prompt_(std::ssize(sequence.ids())),
        first_logits_(sequence.logits().begin(), sequence.logits().end()),
        ends_(engine.tokenizer().stop_ids()) {
    std::vector<int32_t> stops = stop_tokens(engine.tokenizer(), options.stops);
    ends_.insert(ends_.end(), stops.begin(), stops.end());
    branches_.push_back({});
  }

  bool any_left() const { return !branches_.empty(); }

  /// The text behind the likeliest way that was not taken yet; nothing when it was interrupted.
  std::optional<std::string> next(const std::function<bool()>& go_on) {
    auto best = std::min_element(branches_.begin(), branches_.end(),
                                 [](const Branch& a, const Branch& b) { return a.loss < b.loss; });
    Branch way = std::move(*best);
    branches_.erase(best);
    AnswerText text(options_.stops);
    std::optional<GrammarMatcher> grammar;
    if (options_.grammar) grammar.emplace(options_.grammar, engine_.token_trie(), ends_);
    sequence_.truncate(prompt_);
    whole_ = false;
    std::vector<int32_t> ids;
    auto take = [&](int32_t id) {
      ids.push_back(id);
      if (std::ssize(ids) > std::ssize(way.ids)) written_.push_back(id);
      text.add(engine_.tokenizer().token_bytes(id));
      if (grammar) grammar->accept(id);
      whole_ = text.stopped() || (grammar && grammar->finished());
    };
    for (int32_t id : way.ids) take(id);
    if (!ids.empty()) sequence_.feed(ids);
    while (!whole_ && std::ssize(ids) < options_.most_tokens) {
      if (!go_on()) return std::nullopt;
      std::vector<float> first;
      if (ids.empty()) first = first_logits_;
      std::span<float> logits = ids.empty() ? std::span<float>(first) : sequence_.logits();
      if (grammar) grammar->mask(logits);
      int32_t id = choose(logits, ids, way.loss);
      if (grammar) id = grammar->nearest_allowed(id);
      whole_ = std::find(ends_.begin(), ends_.end(), id) != ends_.end();
      if (whole_) break;
      take(id);
      if (!whole_ && std::ssize(ids) < options_.most_tokens) sequence_.feed_each(std::span(&ids.back(), 1));
    }
    text.finish();
    return text.text();
  }

  /// Tokens of all texts, each once.
  std::vector<int32_t> written() && { return std::move(written_); }
  /// Whether the text ended by itself, and not with its last token.
  bool whole() const { return whole_; }

 private:
  /// The likeliest token; the next best becomes a branch.
  int32_t choose(std::span<const float> logits, const std::vector<int32_t>& ids, float loss) {
    int32_t best = -1, second = -1;
    auto at = [&](int32_t id) { return logits[static_cast<size_t>(id)]; };
    for (int32_t id = 0; id < std::ssize(logits); ++id) {
      if (std::isnan(at(id)) || std::isinf(at(id))) continue;
      if (best < 0 || at(id) > at(best)) {
        second = best;
        best = id;
      } else if (second < 0 || at(id) > at(second)) {
        second = id;
      }
    }
    bool ends = second >= 0 && std::find(ends_.begin(), ends_.end(), second) != ends_.end();
    if (options_.tries > 1 && second >= 0 && !ends) {
      Branch branch{ids, loss + at(best) - at(second)};
      branch.ids.push_back(second);
      branches_.push_back(std::move(branch));
    }
    return std::max(best, 0);  // where no logit is a number
  }

  Sequence& sequence_;
  const Engine& engine_;
  const WriteOptions& options_;
  int64_t prompt_;
  std::vector<float> first_logits_;  // behind the prompt
  std::vector<int32_t> ends_;
  std::vector<Branch> branches_;
  std::vector<int32_t> written_;
  bool whole_ = false;
};

std::string trimmed(std::string_view text) {
  size_t first = text.find_first_not_of(" \t\r\n"), last = text.find_last_not_of(" \t\r\n");
  return first == text.npos ? "" : std::string(text.substr(first, last + 1 - first));
}

/// Where `word` begins, in either case and as a word of its own; npos.
size_t find_word(std::string_view text, std::string_view word) {
  auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  for (size_t at = 0; at + word.size() <= text.size(); ++at) {
    bool same = std::equal(word.begin(), word.end(), text.begin() + static_cast<ptrdiff_t>(at),
                           [](char a, char b) { return a == (b >= 'A' && b <= 'Z' ? b - 'A' + 'a' : b); });
    bool alone = (at == 0 || !letter(text[at - 1])) &&
                 (at + word.size() == text.size() || !letter(text[at + word.size()]));
    if (same && alone) return at;
  }
  return text.npos;
}

bool starts_with_word(std::string_view text, std::string_view word) {
  size_t first = text.find_first_not_of(" \t\r\n");
  return first != text.npos && find_word(text, word) == first;
}

}  // namespace

std::string statement_in(const std::string& answer) {
  std::string_view text = answer;
  if (size_t fence = text.find("```"); fence != text.npos) {
    size_t begin = text.find('\n', fence);
    if (begin != text.npos) text = text.substr(begin + 1, text.find("```", begin) - begin - 1);
  }
  // Remarks before the statement; but an answer that begins with another statement is that one, and the check
  // says what is wrong with it.
  size_t select = find_word(text, "select");
  if (select != text.npos && text.substr(0, select).find(';') == text.npos && !starts_with_word(text, "with"))
    text = text.substr(select);
  char quote = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (quote) {
      if (text[i] == quote) quote = 0;
    } else if (text[i] == '\'' || text[i] == '"') {
      quote = text[i];
    } else if (text[i] == ';') {
      text = text.substr(0, i);
    }
  }
  return trimmed(text);
}

WrittenStatement write_statement(Sequence& sequence, const Engine& engine, const WriteOptions& options,
                                 const std::function<std::string(const std::string&)>& check,
                                 const std::function<bool()>& go_on) {
  auto start = std::chrono::steady_clock::now();
  Writer writer(sequence, engine, options);
  WrittenStatement result;
  result.generation.reason = StopReason::EndToken;
  std::set<std::string> seen;
  for (int64_t i = 0; i < options.tries && writer.any_left(); ++i) {
    std::optional<std::string> text = writer.next(go_on);
    if (!text) result.generation.reason = StopReason::Interrupted;
    if (!text) break;
    std::string statement = statement_in(*text);
    if (!seen.insert(statement).second) continue;
    std::string fault = !writer.whole()
                            ? fmt::format("it does not end within {} tokens (-n)", options.most_tokens)
                        : statement.empty() ? "the answer holds no statement"
                                            : check(statement);
    if (fault.empty()) {
      result.statement = std::move(statement);
      break;
    }
    result.refused.push_back({std::move(statement), std::move(fault)});
  }
  if (result.statement.empty() && result.generation.reason != StopReason::Interrupted && !writer.whole())
    result.generation.reason = StopReason::Length;
  result.generation.ids = std::move(writer).written();
  result.generation.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

}  // namespace longspan::sql
