// RULER's needles: a value for each key, hidden in one sentence repeated again and again, in essays, or among
// needles of other keys.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "base/compressed.h"
#include "base/error.h"
#include "base/text.h"
#include "documents/document.h"
#include "score/punkt.h"
#include "score/words.h"
#include "suites/haystack.h"
#include "suites/ruler.h"

namespace longspan {
namespace {

constexpr int kDepths = 40;

struct NiahOptions {
  std::string haystack = "essay";                  // "noise", "essay", "needle"
  std::string keys = "words", values = "numbers";  // "words", "numbers", "uuids"
  int64_t needle_keys = 1, needle_values = 1, needle_queries = 1;
  std::shared_ptr<const std::vector<std::string>> essay = {};  // its words
};

/// The sorted set of every "adjective-noun", six million words, by index. Words with one adjective are
/// contiguous, unless it is a prefix of another ("wide-", "wide-eyed-"): such a family is sorted in full.
class NeedleWords {
 public:
  NeedleWords() : nouns_(sorted_set(ruler_words("nouns"))) {
    std::vector<std::string> heads = ruler_words("adjectives");
    for (std::string& head : heads) head += '-';
    heads = sorted_set(std::move(heads));
    for (size_t i = 0; i < heads.size();) {
      size_t end = i + 1;
      while (end < heads.size() && heads[end].starts_with(heads[i])) ++end;
      add_family({heads.begin() + static_cast<ptrdiff_t>(i), heads.begin() + static_cast<ptrdiff_t>(end)});
      i = end;
    }
  }

  size_t size() const { return families_.back().end; }
  std::string operator[](size_t index) const {
    const auto family = std::upper_bound(families_.begin(), families_.end(), index,
                                         [](size_t at, const Family& f) { return at < f.end; });
    const size_t within = index - (family == families_.begin() ? 0 : std::prev(family)->end);
    return family->words.empty() ? family->head + nouns_[within] : family->words[within];
  }

 private:
  struct Family {
    std::string head;
    std::vector<std::string> words;  // empty: the head before each noun
    size_t end;
  };

  void add_family(const std::vector<std::string>& heads) {
    const size_t begin = families_.empty() ? 0 : families_.back().end;
    if (heads.size() == 1) {
      families_.push_back({heads[0], {}, begin + nouns_.size()});
      return;
    }
    std::vector<std::string> words;
    for (const std::string& head : heads)
      for (const std::string& noun : nouns_) words.push_back(head + noun);
    words = sorted_set(std::move(words));
    const size_t end = begin + words.size();
    families_.push_back({"", std::move(words), end});
  }

  std::vector<std::string> nouns_;
  std::vector<Family> families_;
};

const NeedleWords& needle_words() {
  static const NeedleWords words;
  return words;
}

std::string draw(const std::string& kind, PythonRandom& random) {
  if (kind == "numbers") return std::to_string(random.randint(1'000'000, 9'999'999));
  if (kind == "uuids") return random.uuid4();
  return needle_words()[random.choice(needle_words().size())];
}

std::string needle(const std::string& kind, const std::string& key, const std::string& value) {
  return fmt::format("One of the special magic {} for {} is: {}.", kind, key, value);
}

/// A question for one value is put into the singular, word by word.
std::string singular(std::string text) {
  text = replaced(std::move(text), "Some", "A");
  text = replaced(std::move(text), "are all", "is");
  text = replaced(std::move(text), "are", "is");
  return replaced(std::move(text), "answers", "answer");
}

/// RULER's PaulGrahamEssays.json, {"text": ...}, or any other haystack.
std::string essay_text(const std::string& name, const TextReading& how) {
  if (name.ends_with(".json")) {
    const Json json =
        parse_json(documents::read_document(std::filesystem::path(name), how.encoding).text, name);
    if (!json.is_object() || !json.contains("text") || !json["text"].is_string())
      fail("{}: an object with the field \"text\" was expected, as in RULER's PaulGrahamEssays.json", name);
    return json["text"].get<std::string>();
  }
  return fmt::format("{}", fmt::join(haystack_documents(name, how), "\n\n"));
}

/// Words between white space, with an empty one where the text begins or ends with white space: re.split.
std::vector<std::string> essay_words(std::string_view text) {
  std::vector<std::string> words(1);
  bool blank = false;
  for (size_t i = 0; i < text.size();) {
    const size_t begin = i;
    if (is_python_space(next_code_point(text, i))) {
      if (!blank) words.emplace_back();
      blank = true;
    } else {
      words.back() += text.substr(begin, i - begin);
      blank = false;
    }
  }
  return words;
}

/// The first `n` words of the essay, which is repeated when it ends.
std::string first_words(const std::vector<std::string>& words, int64_t n) {
  std::string text;
  for (int64_t i = 0; i < n; ++i) {
    if (i > 0) text += ' ';
    text += words[static_cast<size_t>(i) % words.size()];
  }
  text.erase(0, text.find_first_not_of(' '));
  text.erase(text.find_last_not_of(' ') + 1);
  return text;
}

std::string in_essay(const std::vector<std::string>& words, int64_t n,
                     const std::vector<std::string>& needles, PythonRandom& random) {
  const std::vector<std::string> sentences = punkt_sentences(first_words(words, n));
  std::vector<size_t> ends;
  for (const size_t d : random.sample(kDepths, needles.size())) {
    const double depth = std::nearbyint(static_cast<double>(d) * 100 / (kDepths - 1)) / 100;
    ends.push_back(static_cast<size_t>(static_cast<double>(sentences.size()) * depth));
  }
  std::sort(ends.begin(), ends.end());
  ends.push_back(sentences.size());
  std::string text;
  for (size_t i = 0, at = 0; i < ends.size(); ++i) {
    // Between two adjacent needles there is nothing but both of their spaces.
    const auto part = std::span(sentences).subspan(at, ends[i] - at);
    text += fmt::format("{}{}", i > 0 ? " " : "", fmt::join(part, " "));
    if (i < needles.size()) text += " " + needles[i];
    at = ends[i];
  }
  return text;
}

std::string in_lines(std::vector<std::string> lines, const std::vector<std::string>& needles,
                     PythonRandom& random) {
  std::vector<size_t> places = random.sample(lines.size(), needles.size());
  std::sort(places.rbegin(), places.rend());
  for (size_t i = 0; i < needles.size(); ++i)
    lines.insert(lines.begin() + static_cast<ptrdiff_t>(places[i]), needles[i]);
  return fmt::format("{}", fmt::join(lines, "\n"));
}

std::string haystack_with(const NiahOptions& options, int64_t units, const std::vector<std::string>& needles,
                          PythonRandom& random) {
  if (options.haystack == "essay") return in_essay(*options.essay, units, needles, random);
  std::vector<std::string> lines(static_cast<size_t>(units), kRulerNoise);
  if (options.haystack == "needle") {
    for (std::string& line : lines) {
      const std::string key = draw(options.keys, random);
      line = needle(options.values, key, draw(options.values, random));
    }
  }
  return in_lines(std::move(lines), needles, random);
}

/// "a", "a, and b", "a, b, and c".
std::string listed(const std::vector<std::string>& keys) {
  if (keys.size() == 1) return keys[0];
  const auto first = std::span(keys).first(keys.size() - 1);
  return fmt::format("{}, and {}", fmt::join(first, ", "), keys.back());
}

std::optional<RulerSample> niah_trial(const NiahOptions& options, const RulerRun& run, PythonRandom& random,
                                      int64_t units) {
  std::vector<std::string> keys, needles;
  std::vector<std::vector<std::string>> values;
  for (int64_t k = 0; k < options.needle_keys; ++k) {
    keys.push_back(draw(options.keys, random));
    values.emplace_back();
    for (int64_t v = 0; v < options.needle_values; ++v) {
      values.back().push_back(draw(options.values, random));
      needles.push_back(needle(options.values, keys.back(), values.back().back()));
    }
  }
  PythonRandom(run.seed).shuffle(needles);
  const size_t places = options.haystack == "essay" ? kDepths : static_cast<size_t>(units);
  if (needles.size() > places) return std::nullopt;
  std::string context = haystack_with(options, units, needles, random);

  RulerSample sample;
  std::vector<std::string> asked;
  for (const size_t i : random.sample(keys.size(), static_cast<size_t>(options.needle_queries))) {
    asked.push_back(keys[i]);
    sample.answers.insert(sample.answers.end(), values[i].begin(), values[i].end());
  }
  std::string kind = options.values;
  if (sample.answers.size() == 1) kind.pop_back();
  const Json fields = {{"type_needle_v", kind}, {"context", std::move(context)}, {"query", listed(asked)}};
  sample.user = fill_slots(run.prompt, fields, run.name);
  sample.prefix = fill_slots(run.prefix, fields, run.name);
  return sample;
}

RulerMaker begin_niah(const NiahOptions& options, RulerRun run, RulerRandom& random) {
  if (options.needle_queries * options.needle_values == 1) {
    run.prompt = singular(run.prompt);
    run.prefix = singular(run.prefix);
  }
  const int64_t step = options.haystack == "essay" ? 500 : run.length < kRulerShort ? 5 : 25;
  const RulerTrial trial = [options, run](RulerRandom& stream, int64_t, int64_t units) {
    return niah_trial(options, run, stream.python, units);
  };
  const int64_t most = estimated_size(run, random, step, trial);
  return shrunk_to_fit(run, step, search_size(run, random, step, most, 0, trial), trial);
}

}  // namespace

RulerPlan plan_ruler_niah(const Task& task, const TextReading& how) {
  Settings row = make_settings(task);
  RulerPlan plan;
  read_ruler_keys(row, plan);
  NiahOptions options;
  std::string essays = "haystack/essays_en.jsonl.zst";
  row.read("type_haystack", options.haystack, {"noise", "essay", "needle"});
  row.read("type_needle_k", options.keys, {"words", "numbers", "uuids"});
  row.read("type_needle_v", options.values, {"words", "numbers", "uuids"});
  row.read("num_needle_k", options.needle_keys, 1, kDepths);
  row.read("num_needle_v", options.needle_values, 1, kDepths);
  row.read("num_needle_q", options.needle_queries, 1, kDepths);
  row.read("haystack", essays);
  row.done();
  options.needle_keys = std::max(options.needle_keys, options.needle_queries);
  if (options.needle_keys * options.needle_values > kDepths)
    row.refuse("num_needle_v", fmt::format("a text has room for {} needles", kDepths));
  if (options.haystack == "essay") {
    options.essay = std::make_shared<const std::vector<std::string>>(essay_words(essay_text(essays, how)));
    plan.cell.add("haystack", content_name(essays).stem().string());
  }
  plan.begin = [options](const RulerRun& run, RulerRandom& random) {
    return begin_niah(options, run, random);
  };
  return plan;
}

std::vector<Case> make_ruler_niah_cases(const Task& task, const MakeContext& context) {
  return ruler_cases(task, context, plan_ruler_niah(task, context.reading));
}

}  // namespace longspan
