// THE table of makers: where the cases of a task come from. To add one: its function in a file of its own, a
// declaration in cases.h, a row here.
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/error.h"
#include "base/text.h"
#include "suites/cases.h"

namespace longspan {

namespace {

bool never(const Json&) { return false; }
bool always(const Json&) { return true; }
bool without_resource(const Json& make) { return !make.contains("resource"); }
bool with_facts(const Json& make) { return make.contains("facts_file"); }

const CaseMaker kMakers[] = {
    {"file", "records of a JSONL or JSON file of the user's", always, make_file_cases},
    {"nolima", "NoLiMa's needles, which share no word with their questions", always, make_nolima_cases},
    {"needle", "facts hidden at depths of a long text and asked for", never, make_needle_cases},
    {"needlebench", "NeedleBench's single needles, several needles, and reasoning over them", with_facts,
     make_needlebench_cases},
    {"passkey", "a number hidden in repeated sentences", never, make_passkey_cases},
    {"lines", "LongChat's record of numbered lines, one of which is asked for", never, make_lines_cases},
    {"ruler_niah", "RULER's needles", never, make_ruler_niah_cases},
    {"ruler_vt", "RULER's variable tracking", never, make_ruler_vt_cases},
    {"ruler_cwe", "RULER's most common words", never, make_ruler_cwe_cases},
    {"ruler_fwe", "RULER's most frequent coded words", never, make_ruler_fwe_cases},
    {"ruler_qa", "RULER's questions among distracting documents", always, make_ruler_qa_cases},
    {"perplexity", "windows of long documents whose tokens are scored", never, make_perplexity_cases},
    {"short_loss", "short documents whose tokens are scored", never, make_short_loss_cases},
    {"choice", "questions with several answers, of which the likeliest is taken", without_resource,
     make_choice_cases},
};

/// Tasks by what they say they lack: of 21 tasks that all want a file below one folder three are named.
struct Missing {
  std::vector<std::string> tasks;
  std::string why;
};

std::string listed(const std::vector<std::string>& names) {
  constexpr size_t kMost = 3;
  std::string out = fmt::format(
      "{}",
      fmt::join(names.begin(), names.begin() + static_cast<ptrdiff_t>(std::min(kMost, names.size())), ", "));
  if (names.size() > kMost) out += fmt::format(" and {} more", names.size() - kMost);
  return out;
}

/// Why the length of a case cannot hold it, or "". Long lengths hold every task's smallest text, and are not
/// tried.
std::string fault_of_length(const Case& c) {
  constexpr int64_t kLongest = 4096;
  if (!c.too_short.empty() || c.length <= 0 || c.length > kLongest) return c.too_short;
  try {
    c.text();
  } catch (const DoesNotFit& e) {
    return e.what();
  }
  return "";
}

/// Takes out the generated cases whose length cannot hold their text. Of a task and length the first text is
/// made: what does not fit depends on nothing else.
void leave_out_short_lengths(std::vector<Case>& cases, const Suite& suite,
                             std::vector<std::string>& missing) {
  std::map<std::pair<size_t, int64_t>, std::string> tried;
  std::map<int64_t, std::map<std::string, std::string>> left_out;  // length, task: why
  std::erase_if(cases, [&](const Case& c) {
    std::string why = c.too_short;
    if (why.empty()) {
      auto [known, fresh] = tried.try_emplace({c.task, c.length});
      if (fresh) known->second = fault_of_length(c);
      why = known->second;
    }
    if (!why.empty()) left_out[c.length].try_emplace(suite.tasks[c.task].name, why);
    return !why.empty();
  });
  for (const auto& [length, tasks] : left_out) {
    std::vector<std::string> names;
    for (const auto& [name, why] : tasks) names.push_back(name);
    missing.push_back(names.size() == 1
                          ? tasks.begin()->second
                          : fmt::format("{} at length {}, which cannot hold their smallest texts",
                                        listed(names), grouped(length)));
  }
}

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
  std::vector<Missing> without;
  for (size_t t = 0; t < suite.tasks.size(); ++t) {
    const Task& task = suite.tasks[t];
    try {
      for (Case& c : find_maker(task.maker).make(task, context)) {
        c.task = t;
        if (!ids.insert(c.id).second) fail("{}: two cases have the name {}", task.name, excerpt(c.id));
        cases.push_back(std::move(c));
      }
    } catch (const MissingData& data) {
      const std::string& why = data.why.empty() ? data.what : data.why;
      auto same =
          std::find_if(without.begin(), without.end(), [&](const Missing& m) { return m.why == why; });
      if (same == without.end()) same = without.insert(without.end(), {{}, why});
      bool named = !data.why.empty() && !data.what.empty();
      same->tasks.push_back(named ? fmt::format("{} ({})", task.name, data.what) : task.name);
    }
  }
  for (const Missing& m : without) missing.push_back(fmt::format("{}: {}", listed(m.tasks), m.why));
  leave_out_short_lengths(cases, suite, missing);
  if (cases.empty())
    fail("{}: there is nothing to run{}{}", suite.name,
         missing.empty() ? "" : "; " + fmt::format("{}", fmt::join(missing, "; ")),
         suite.data.empty() ? "" : ". Its data: " + suite.data);
  return cases;
}

Case too_short_case(const Task& task, int64_t length, const std::string& sentence) {
  Case one;
  one.id = fmt::format("{}/{}", task.name, length);
  one.length = length;
  one.too_short = sentence;
  return one;
}

bool needs_data(const Task& task) { return find_maker(task.maker).needs_data(task.make); }

}  // namespace longspan
