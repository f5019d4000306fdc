// The page that shows two runs side by side.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/file.h"
#include "base/text.h"
#include "eval/scores.h"
#include "eval/wording.h"
#include "report/page_parts.h"
#include "report/pictures.h"
#include "report/report.h"

namespace longspan {

namespace {

using Rows = std::vector<std::vector<std::string>>;

constexpr size_t kMostChanged = 40;  // cases shown with both answers
constexpr size_t kMostBytes = 1200;  // of an answer there

std::vector<std::string> change_row(const std::string& name, const Change& change) {
  std::vector<std::string> row = {name}, cells = change_cells(change);
  row.insert(row.end(), cells.begin(), cells.end());
  return row;
}

std::vector<std::string> change_head(const std::string& what) {
  return {what, "pairs", "a", "b", "change", "95 %", "p", "verdict"};
}

std::string task_table(const std::vector<TaskChange>& tasks) {
  if (tasks.empty()) return "";
  Rows rows = {change_head("task")};
  for (const TaskChange& task : tasks) rows.push_back(change_row(task.name, task.change));
  return html_table("Changes of the tasks", rows);
}

std::string field_table(const std::string& field, const std::vector<ChangeBy>& changes) {
  Rows rows = {change_head(field)};
  for (const ChangeBy& by : changes) rows.push_back(change_row(value_text(by.value), by.change));
  return html_table("Changes by " + field, rows);
}

std::string settings_table(const std::vector<SettingChange>& changes) {
  Rows rows = {{"setting", "a", "b"}};
  for (const SettingChange& c : changes) rows.push_back({c.key, setting_text(c.a), setting_text(c.b)});
  return html_heading("Settings that differ") +
         (changes.empty() ? "<p>none</p>\n" : html_table("Settings of a and b", rows, Cells::Sentences));
}

/// A case of both runs with its scores.
struct Pair {
  const CaseResult *a, *b;
  double before, after;
  bool loss() const { return a->kind == CaseKind::Loss; }
};

/// Pairs whose score changed, the largest change first, answers before losses.
std::vector<Pair> most_changed(const RunResults& a, const RunResults& b) {
  std::vector<Pair> pairs;
  const Scoring scoring = a.settings.scoring;
  for (const CaseResult& first : a.cases) {
    const CaseResult* second = find_case(b, first.id);
    const TaskSettings* task = find_task(a.settings, first.task);
    if (second && second->kind == first.kind && task)
      pairs.push_back(
          {&first, second, case_score(first, *task, scoring), case_score(*second, *task, scoring)});
  }
  std::erase_if(pairs, [](const Pair& p) { return p.before == p.after; });
  std::stable_sort(pairs.begin(), pairs.end(), [](const Pair& x, const Pair& y) {
    if (x.loss() != y.loss()) return y.loss();
    return std::abs(x.after - x.before) > std::abs(y.after - y.before);
  });
  if (pairs.size() > kMostChanged) pairs.resize(kMostChanged);
  return pairs;
}

std::string shortened(const std::string& text) {
  if (text.size() <= kMostBytes) return text;
  std::string head = text.substr(0, kMostBytes);
  return head.substr(0, complete_utf8_prefix(head)) + " …";
}

std::string case_part(const Pair& pair) {
  auto score = [&](double x) {
    return pair.loss() ? fmt::format("{:.4f} nats", x) : fmt::format("{:.1f} %", 100 * x);
  };
  std::string out = fmt::format("<details><summary>{}: {} to {}</summary>\n", escape_html(pair.a->id),
                                score(pair.before), score(pair.after));
  auto block = [&](const char* title, const std::string& text) {
    out += fmt::format("<p>{}</p><pre>{}</pre>\n", title, escape_html(shortened(text)));
  };
  const CaseResult &a = *pair.a, &b = *pair.b;
  if (!pair.loss()) {
    std::string references;
    for (const std::string& r : a.references) references += (references.empty() ? "" : "\n") + r;
    block("references", references);
  }
  if (a.kind == CaseKind::Answer) {
    block("answer of a", a.prediction);
    block("answer of b", b.prediction);
  } else if (a.kind == CaseKind::Choice) {
    block("log-probabilities in a", dump_json(a.logprobs));
    block("log-probabilities in b", dump_json(b.logprobs));
  }
  return out + "</details>\n";
}

}  // namespace

void write_diff_page(const std::filesystem::path& file, const RunDifference& diff, const RunResults& a,
                     const RunResults& b) {
  std::string body =
      fmt::format("<p class=\"score\">{}</p>\n<p>a: <code>{}</code><br>b: <code>{}</code></p>\n",
                  escape_html(diff_headline(diff)), escape_html(diff.a), escape_html(diff.b));
  std::filesystem::path folder = file.parent_path();
  body += html_picture(folder.empty() ? "." : folder, file.stem().string(), changes(diff));
  body += html_heading("Tasks") + task_table(diff.tasks);
  for (const auto& [field, changes] : diff.by)
    if (changes.size() > 1) body += html_heading("By " + field) + field_table(field, changes);
  body +=
      "<p>95 %: percentile bootstrap of the pairs (2,000 draws); where a task has fewer than 10 pairs, "
      "Newcombe's interval of hits and misses, else Student's t. p: share of exchanges of a and b, case by "
      "case, with a change at least as large. Better or worse: the interval leaves out 0 and p is at most "
      "0.05; of "
      "twenty lines without any difference, one is expected to say so.</p>\n" +
      settings_table(diff.settings) + html_heading("Cases that changed most");
  std::vector<Pair> pairs = most_changed(a, b);
  if (pairs.empty()) body += "<p>No score changed.</p>\n";
  for (const Pair& pair : pairs) body += case_part(pair);
  write_file_atomic(file, html_page("Two runs of " + diff.suite, body));
}

}  // namespace longspan
