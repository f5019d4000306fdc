#include "cli/eval_runs.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "base/error.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "eval/diff.h"
#include "report/report.h"
#include "suites/cases.h"
#include "suites/suite.h"

namespace longspan::cli {

namespace {

namespace fs = std::filesystem;

// ---- list

struct SuiteFacts {
  Suite suite;
  std::vector<std::string> tasks;
  int64_t with_data = 0;  // tasks that need --data
  bool runs_now() const { return with_data < std::ssize(tasks); }
};

SuiteFacts facts_of(const std::string& name) {
  SuiteFacts facts{read_suite(name, "", {}, {}), {}};
  for (const Task& task : facts.suite.tasks) {
    facts.tasks.push_back(task.name);
    facts.with_data += needs_data(task);
  }
  return facts;
}

Json suite_json(const SuiteFacts& facts) {
  const Suite& suite = facts.suite;
  return {{"suite", suite.name},  {"what", suite.what}, {"dialects", suite.dialects},
          {"tasks", facts.tasks}, {"data", suite.data}, {"runs_now", facts.runs_now()}};
}

std::string one_line_of(const std::string& name, const SuiteFacts& facts) {
  constexpr size_t kMost = 76;
  std::string what = facts.suite.what;
  if (what.size() > kMost) what = what.substr(0, what.rfind(' ', kMost)) + " ...";
  if (facts.runs_now() && facts.with_data > 0)
    what += fmt::format(" ({} of {} tasks need data)", facts.with_data, facts.tasks.size());
  return fmt::format("  {:<22}{}\n", name, what);
}

std::string all_suites(const std::vector<std::string>& names, const std::vector<SuiteFacts>& facts) {
  std::string now, later;
  for (size_t i = 0; i < names.size(); ++i)
    (facts[i].runs_now() ? now : later) += one_line_of(names[i], facts[i]);
  return "runs now\n" + now + "\nneeds data of yours (--data)\n" + later +
         "\nlongspan eval list NAME tells its tasks, dialects and data\n";
}

std::string details(const std::string& name, const SuiteFacts& facts) {
  std::string out = fmt::format("{}: {}\n", name, facts.suite.what);
  auto line = [&](const char* label, const std::string& text) {
    if (!text.empty()) out += fmt::format("  {:<10}{}\n", label, text);
  };
  line("paper", facts.suite.paper);
  line("dialects", fmt::format("{}", fmt::join(facts.suite.dialects, ", ")));
  line("data", facts.suite.data);
  out += "  tasks\n";
  for (const Task& task : facts.suite.tasks)
    out += fmt::format("    {:<28}{}{}\n", task.name, task.what.empty() ? facts.suite.what : task.what,
                       needs_data(task) ? " (needs data)" : "");
  return out;
}

// ---- diff

/// "runs/a/" -> "a".
std::string short_name(const std::string& folder) {
  fs::path path = fs::path(folder).lexically_normal();
  return (path.has_filename() ? path : path.parent_path()).filename().string();
}

std::string change_line(const std::string& name, const Change& c) {
  std::string verdict =
      c.verdict == Verdict::Noise ? fmt::format("not significant (n = {})", c.change.n) : name_of(c.verdict);
  int digits = c.unit == Unit::Percent ? 1 : 4;
  std::string range = c.change.low == c.change.high
                          ? "-"
                          : fmt::format("{:+.{}f} to {:+.{}f}", c.change.low, digits, c.change.high, digits);
  return fmt::format("  {:<24}{:>9.{}f}{:>9.{}f}{:>+10.{}f}  {:<20} {:>6}  {}\n", name, c.a, digits, c.b,
                     digits, c.change.mean, digits, range,
                     c.p < 0.001 ? "<0.001" : fmt::format("{:.3f}", c.p), verdict);
}

std::string many_table(const std::vector<RunDifference>& all) {
  std::string out = fmt::format("{}: {} is the baseline, in {}\n\n", all.front().suite, all.front().a,
                                name_of(all.front().all.unit));
  auto head = [&](const char* what) {
    out += fmt::format("  {:<24}{:>9}{:>9}{:>10}  {:<20} {:>6}  {}\n", what, "baseline", "score", "change",
                       "95 %", "p", "verdict");
  };
  head("run");
  for (const RunDifference& d : all) out += change_line(short_name(d.b), d.all);
  std::vector<std::string> tasks;
  for (const RunDifference& d : all)
    for (const TaskChange& task : d.tasks)
      if (std::find(tasks.begin(), tasks.end(), task.name) == tasks.end()) tasks.push_back(task.name);
  if (tasks.size() < 2) return out;
  for (const std::string& name : tasks) {
    out += "\n";
    head(excerpt(name, 24).c_str());
    for (const RunDifference& d : all)
      for (const TaskChange& task : d.tasks)
        if (task.name == name) out += change_line(short_name(d.b), task.change);
  }
  return out;
}

/// diff.html, or of several runs diff-2.html, diff-3.html.
fs::path page_of(const std::string& out, size_t run, size_t runs) {
  fs::path page = out;
  if (runs == 2) return page;
  return page.parent_path() /
         fmt::format("{}-{}{}", page.stem().string(), run + 1, page.extension().string());
}

bool worse(const Change& c, double threshold) {
  return c.verdict == Verdict::Worse && std::abs(c.change.mean) > threshold;
}

}  // namespace

int list_suites(const Options& o, const std::vector<std::string>& wanted) {
  std::vector<std::string> names = wanted.empty() ? suite_names() : wanted;
  std::vector<SuiteFacts> facts;
  for (const std::string& name : names) facts.push_back(facts_of(name));
  if (o.json) {
    Json suites = Json::array();
    for (const SuiteFacts& one : facts) suites.push_back(suite_json(one));
    print_json({{"suites", suites}});
  } else if (wanted.empty()) {
    print_now(all_suites(names, facts));
  } else {
    for (size_t i = 0; i < names.size(); ++i) print_now((i > 0 ? "\n" : "") + details(names[i], facts[i]));
  }
  return kExitDone;
}

int diff_runs(const Options& o, const DiffOptions& d) {
  std::vector<RunResults> runs;
  for (const std::string& folder : d.runs) runs.push_back(read_run(folder));
  std::vector<RunDifference> all;
  for (size_t i = 1; i < runs.size(); ++i) all.push_back(compare_runs(runs[0], runs[i]));
  if (o.json) {
    Json list = Json::array();
    for (const RunDifference& one : all) list.push_back(to_json(one));
    print_json(all.size() == 1
                   ? list[0]
                   : Json{{"suite", all[0].suite}, {"baseline", all[0].a}, {"differences", list}});
  } else {
    print_now(all.size() == 1 ? diff_table(all[0]) : many_table(all));
  }
  if (!d.out.empty())
    for (size_t i = 1; i < runs.size(); ++i) {
      fs::path page = page_of(d.out, i, runs.size());
      write_diff_page(page, all[i - 1], runs[0], runs[i]);
      remark(o, "{}", page_remark(page));
    }
  bool failed = false;
  for (const RunDifference& one : all) {
    if (!d.fail_if_worse || !(worse(one.all, d.threshold) || (one.loss && worse(*one.loss, d.threshold))))
      continue;
    print_fault(fmt::format("{} is worse than {}", one.b, one.a));
    failed = true;
  }
  return failed ? kExitFault : kExitDone;
}

}  // namespace longspan::cli
