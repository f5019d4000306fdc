// THE table of makers: where the cases of a task come from. To add one: its function in a file of its own, a
// declaration in cases.h, a row here.
#include <fmt/ranges.h>

#include <set>

#include "base/error.h"
#include "base/text.h"
#include "suites/cases.h"

namespace longspan {

namespace {

const CaseMaker kMakers[] = {
    {"file", "records of a JSONL or JSON file of the user's", make_file_cases},
    {"nolima", "NoLiMa's needles, which share no word with their questions", make_nolima_cases},
    {"needle", "facts hidden at depths of a long text and asked for", make_needle_cases},
    {"needlebench", "NeedleBench's single needles, several needles, and reasoning over them",
     make_needlebench_cases},
    {"passkey", "a number hidden in repeated sentences", make_passkey_cases},
    {"lines", "LongChat's record of numbered lines, one of which is asked for", make_lines_cases},
    {"ruler_niah", "RULER's needles", make_ruler_niah_cases},
    {"ruler_vt", "RULER's variable tracking", make_ruler_vt_cases},
    {"ruler_cwe", "RULER's most common words", make_ruler_cwe_cases},
    {"ruler_fwe", "RULER's most frequent coded words", make_ruler_fwe_cases},
    {"ruler_qa", "RULER's questions among distracting documents", make_ruler_qa_cases},
    {"perplexity", "windows of long documents whose tokens are scored", make_perplexity_cases},
    {"short_loss", "short documents whose tokens are scored", make_short_loss_cases},
    {"choice", "questions with several answers, of which the likeliest is taken", make_choice_cases},
};

}  // namespace

std::span<const CaseMaker> case_makers() { return kMakers; }

const CaseMaker& find_maker(std::string_view name) {
  std::vector<const char*> names;
  for (const CaseMaker& maker : kMakers) {
    if (name == maker.name) return maker;
    names.push_back(maker.name);
  }
  fail("there is no maker {}; there are {}", excerpt(name), fmt::join(names, ", "));
}

std::vector<Case> make_cases(const Suite& suite, const MakeContext& context,
                             std::vector<std::string>& missing) {
  std::vector<Case> cases;
  std::set<std::string> ids;
  for (size_t t = 0; t < suite.tasks.size(); ++t) {
    const Task& task = suite.tasks[t];
    try {
      for (Case& c : find_maker(task.maker).make(task, context)) {
        c.task = t;
        if (!ids.insert(c.id).second) fail("{}: two cases have the name {}", task.name, excerpt(c.id));
        cases.push_back(std::move(c));
      }
    } catch (const MissingData& data) {
      missing.push_back(fmt::format("{}: {}", task.name, data.what));
    }
  }
  if (cases.empty())
    fail("{}: there is nothing to run{}{}", suite.name,
         missing.empty() ? "" : "; " + fmt::format("{}", fmt::join(missing, "; ")),
         suite.data.empty() ? "" : ". Its data: " + suite.data);
  return cases;
}

}  // namespace longspan
