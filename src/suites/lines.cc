// LongChat's lines: a list of lines with a number each, one of which is asked for (Li et al. 2023). The
// published files were drawn without a seed: the sentences are theirs, the words and numbers are drawn here.
#include <fmt/core.h>

#include <algorithm>
#include <memory>
#include <set>

#include "base/error.h"
#include "base/random.h"
#include "base/resource.h"
#include "suites/cases.h"
#include "suites/grid.h"
#include "suites/prompt.h"

namespace longspan {

namespace {

constexpr int64_t kMostNumber = 50000;

/// Words without spaces, hyphens and capitals, so that adjective-noun is unambiguous.
std::vector<std::string> plain_words(const char* name) {
  std::vector<std::string> words;
  std::string_view text = resource(name);
  for (size_t at = 0; at < text.size();) {
    size_t end = std::min(text.find('\n', at), text.size());
    std::string_view word = text.substr(at, end - at);
    if (!word.empty() && word.find_first_not_of("abcdefghijklmnopqrstuvwxyz") == word.npos)
      words.emplace_back(word);
    at = end + 1;
  }
  return words;
}

struct LineWords {
  std::vector<std::string> adjectives = plain_words("words/adjectives.txt"),
                           nouns = plain_words("words/nouns.txt");
};

struct LinePlan {
  int64_t lines = 0, asked = 0;
  uint64_t seed = 0;
};

CaseText record_text(const Task& task, const LineWords& words, const LinePlan& plan) {
  Random random(plan.seed);
  std::set<std::string> used;
  std::string record, key, number;
  for (int64_t i = 0; i < plan.lines; ++i) {
    std::string name;
    do
      name = words.adjectives[random.below(words.adjectives.size())] + "-" +
             words.nouns[random.below(words.nouns.size())];
    while (!used.insert(name).second);
    uint64_t value = random.below(kMostNumber) + 1;
    record += fmt::format("line {}: REGISTER_CONTENT is <{}>\n", name, value);
    if (i == plan.asked) key = name, number = std::to_string(value);
  }
  CaseText text = fill_task(task, {{"record", record}, {"key", key}}, task.name);
  text.references = {number};
  return text;
}

}  // namespace

std::vector<Case> make_lines_cases(const Task& task, const MakeContext& context) {
  Settings row = make_settings(task);
  std::vector<int64_t> counts;
  int64_t samples = 50;
  row.read("lines", counts, 1);
  row.read("samples", samples, 1, 100000);
  row.done();
  auto words = std::make_shared<const LineWords>();
  if (counts.empty()) row.refuse("lines", "at least one is needed");
  // Drawing names stays fast as long as most of them are unused.
  auto most = static_cast<int64_t>(words->adjectives.size() * words->nouns.size() / 2);
  std::vector<Case> cases;
  for (int64_t lines : counts) {
    if (lines > most) row.refuse("lines", fmt::format("{} is too large: at most {}", lines, most));
    for (int64_t k = 0; k < samples; ++k) {
      Case one;
      one.id = fmt::format("{}/{}/{}", task.name, lines, k);
      LinePlan plan{lines, 0, case_seed(context.seed, one.id)};
      plan.asked = static_cast<int64_t>(Random(plan.seed + 1).below(static_cast<uint64_t>(lines)));
      one.cell.fields = {{"lines", lines}, {"depth", plan.asked * 10 / lines * 10}};
      one.text = [&task, words, plan] { return record_text(task, *words, plan); };
      cases.push_back(std::move(one));
    }
  }
  keep_limit(cases, context.limit);
  return cases;
}

}  // namespace longspan
