// RULER's counting tasks: the words of a numbered list that occur most often (cwe), and the most frequent
// coded words of a text whose frequencies follow a zeta distribution (fwe).
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "suites/ruler.h"

namespace longspan {
namespace {

// cwe

constexpr int64_t kCweStep = 10, kCweFirst = 4096;

struct CweOptions {
  int64_t common = 10;                         // words that are asked for
  int64_t common_times = 30, other_times = 3;  // that each occurs
};

/// Which words a list of a given size holds, and how often.
struct ListSize {
  int64_t words, common_times, other_times;
};

struct CweInputs {
  CweOptions options;
  std::vector<std::string> words;       // in the original's order, by the seed
  std::vector<std::string> more_words;  // used instead when those are too few
};

/// The list as text; `common` receives the words that are asked for.
std::string numbered_list(const CweInputs& inputs, const ListSize& size, const RulerRun& run,
                          PythonRandom& random, std::vector<std::string>& common) {
  const auto wanted = static_cast<size_t>(size.words);
  const bool enough = wanted <= inputs.words.size();
  const std::vector<std::string>& source = enough ? inputs.words : inputs.more_words;
  if (wanted > source.size())
    fail(
        "{0} at length {1}: {2} different words are needed and there are {3}; give RULER's "
        "english_words.json "
        "as --set {0}.make.words=FILE",
        run.name, grouped(run.length), grouped(size.words),
        grouped(std::ssize(source.empty() ? inputs.words : source)));
  std::vector<size_t> list;
  const std::vector<size_t> drawn = random.sample(source.size(), wanted);
  const size_t commons = std::min(static_cast<size_t>(inputs.options.common), wanted);
  common.clear();
  for (size_t i = 0; i < commons; ++i) common.push_back(source[drawn[i]]);
  for (int64_t t = 0; t < size.common_times; ++t)
    list.insert(list.end(), drawn.begin(), drawn.begin() + static_cast<ptrdiff_t>(commons));
  for (int64_t t = 0; t < size.other_times; ++t)
    list.insert(list.end(), drawn.begin() + static_cast<ptrdiff_t>(commons), drawn.end());
  PythonRandom(run.seed).shuffle(list);
  std::string text;
  for (size_t i = 0; i < list.size(); ++i)
    text += fmt::format("{}{}. {}", i > 0 ? " " : "", i + 1, source[list[i]]);
  return text;
}

RulerSample cwe_trial(const CweInputs& inputs, const RulerRun& run, PythonRandom& random, int64_t words) {
  const bool is_short = run.length < kRulerShort;
  const ListSize example_size = is_short ? ListSize{20, 3, 1} : ListSize{40, 10, 3};
  const ListSize size = is_short ? ListSize{words, 6, 1}
                                 : ListSize{words, inputs.options.common_times, inputs.options.other_times};
  RulerSample sample;
  const auto ask = [&](const std::string& list) {
    return fill_slots(run.prompt, {{"context", list}, {"num_cw", inputs.options.common}}, run.name);
  };
  sample.user = ask(numbered_list(inputs, example_size, run, random, sample.answers)) + run.prefix;
  for (size_t i = 0; i < sample.answers.size(); ++i)
    sample.user += fmt::format(" {}. {}", i + 1, sample.answers[i]);
  sample.user += "\n" + ask(numbered_list(inputs, size, run, random, sample.answers));
  sample.prefix = run.prefix;
  return sample;
}

/// {"1": "word", ...}, in the order of the file. Too many keys for our JSON object, whose lookup is linear.
std::vector<std::string> read_word_file(const std::string& file) {
  std::vector<std::string> words;
  bool strange = false;
  const auto keep = [&](int depth, Json::parse_event_t event, Json& value) {
    if (event == Json::parse_event_t::key) return false;
    if (event == Json::parse_event_t::value) {
      strange = strange || depth != 1 || !value.is_string();
      if (!strange) words.push_back(value.get<std::string>());
    }
    return true;
  };
  const Json json = Json::parse(read_file(file), keep, false);
  if (strange || !json.is_object())
    fail("{}: one object of words was expected, as RULER's english_words.json", file);
  return words;
}

// fwe

struct FweOptions {
  double alpha = 2.0;       // of the zeta distribution
  int64_t word_length = 6;  // letters
};

std::string draw_word(int64_t letters, PythonRandom& random) {
  std::string word;
  for (const size_t i : random.choices(26, static_cast<size_t>(letters))) word += static_cast<char>('a' + i);
  return word;
}

/// By rank; the first is the noise word.
std::vector<std::string> draw_vocabulary(const FweOptions& options, const RulerRun& run, PythonRandom& random,
                                         int64_t size) {
  std::set<std::string> distinct;
  for (int64_t drawn = 0; drawn < size || std::ssize(distinct) < size; ++drawn)
    distinct.insert(draw_word(options.word_length, random));
  std::vector<std::string> words(distinct.begin(), distinct.end());
  PythonRandom(run.seed).shuffle(words);
  words[0] = "...";
  return words;
}

RulerSample coded_text(const FweOptions& options, const RulerRun& run,
                       const std::vector<std::string>& vocabulary, int64_t words) {
  std::vector<size_t> text;
  const double zeta = std::riemann_zeta(options.alpha);
  for (size_t k = 0; k < vocabulary.size(); ++k) {
    const double times =
        static_cast<double>(words) * std::pow(static_cast<double>(k + 1), -options.alpha) / zeta;
    text.insert(text.end(), static_cast<size_t>(times), k);
  }
  PythonRandom(run.seed).shuffle(text);
  std::string context;
  for (const size_t k : text) context += (context.empty() ? "" : " ") + vocabulary[k];
  return {fill_slots(run.prompt, {{"context", std::move(context)}}, run.name),
          run.prefix,
          {vocabulary.begin() + 1, vocabulary.begin() + 4}};
}

RulerMaker begin_cwe(const CweInputs& given, RulerRun run, RulerRandom& random) {
  const auto inputs = std::make_shared<CweInputs>(given);
  PythonRandom(run.seed).shuffle(inputs->words);
  run.prefix = fill_slots(run.prefix, {{"num_cw", given.options.common}}, run.name);
  const RulerTrial trial = [inputs, run](RulerRandom& stream, int64_t, int64_t words) {
    return cwe_trial(*inputs, run, stream.python, words);
  };
  RulerSample first = cwe_trial(*inputs, run, random.python, kCweFirst);
  const double tokens_of_word = static_cast<double>(run.count(first)) / kCweFirst;
  const auto most = static_cast<int64_t>(std::floor(static_cast<double>(run.length) / tokens_of_word)) * 2;
  return shrunk_to_fit(run, kCweStep, search_size(run, random, kCweStep, most, 0, trial), trial);
}

RulerMaker begin_fwe(const FweOptions& options, RulerRun run, RulerRandom& random) {
  const int64_t room = run.length - run.new_tokens, step = room / 32, size = room / 50;
  if (size < 4)
    throw DoesNotFit(fmt::format("{} at length {}: its vocabulary needs four words; ask for a greater length",
                                 run.name, grouped(run.length)));
  run.prefix = fill_slots(run.prefix, Json::object(), run.name);

  const std::vector<std::string> vocabulary = draw_vocabulary(options, run, random.python, size);
  int64_t words = room / options.word_length;
  auto tokens_of = [&](int64_t n) {
    RulerSample sample = coded_text(options, run, vocabulary, n);
    return run.count(sample);
  };
  while (tokens_of(words) < room) words += step;
  words -= step;
  return [=](RulerRandom& stream, int64_t) {
    const std::vector<std::string> own = draw_vocabulary(options, run, stream.python, size);
    for (int64_t used = words; used > 0; used -= step) {
      RulerSample sample = coded_text(options, run, own, used);
      if (run.count(sample) <= room) return sample;
    }
    throw DoesNotFit(fmt::format("{} at length {}: no coded text fits; ask for a greater length", run.name,
                                 grouped(run.length)));
  };
}

}  // namespace

RulerPlan plan_ruler_cwe(const Task& task) {
  Settings row = make_settings(task);
  RulerPlan plan;
  read_ruler_keys(row, plan);
  CweInputs inputs;
  std::string file;
  row.read("num_cw", inputs.options.common, 1, 20);
  row.read("freq_cw", inputs.options.common_times, 1, 1000);
  row.read("freq_ucw", inputs.options.other_times, 1, 1000);
  row.read("words", file);
  row.done();
  for (const char* list : {"nouns", "adjectives", "verbs"})
    for (std::string& word : ruler_words(list)) inputs.words.push_back(std::move(word));
  inputs.words = sorted_set(std::move(inputs.words));
  if (!file.empty()) inputs.more_words = read_word_file(file);
  plan.begin = [inputs](const RulerRun& run, RulerRandom& random) { return begin_cwe(inputs, run, random); };
  return plan;
}

RulerPlan plan_ruler_fwe(const Task& task) {
  Settings row = make_settings(task);
  RulerPlan plan;
  read_ruler_keys(row, plan);
  FweOptions options;
  row.read("alpha", options.alpha, 1.01, 100);
  row.read("coded_wordlen", options.word_length, 4, 100);
  row.done();
  plan.begin = [options](const RulerRun& run, RulerRandom& random) {
    return begin_fwe(options, run, random);
  };
  return plan;
}

std::vector<Case> make_ruler_cwe_cases(const Task& task, const MakeContext& context) {
  return ruler_cases(task, context, plan_ruler_cwe(task));
}

std::vector<Case> make_ruler_fwe_cases(const Task& task, const MakeContext& context) {
  return ruler_cases(task, context, plan_ruler_fwe(task));
}

}  // namespace longspan
