// Summaries and differences as tables for a terminal.
#include <algorithm>

#include "base/text.h"
#include "eval/diff.h"
#include "eval/summary.h"
#include "eval/wording.h"

namespace longspan {

namespace {

using Rows = std::vector<std::vector<std::string>>;

/// Code points: what a terminal lines up by, as long as no text is Chinese.
size_t width(const std::string& text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

/// Texts to the left, figures to the right. The first row is the head.
std::string table_text(const Rows& rows) {
  std::vector<size_t> widths(rows.front().size(), 0);
  for (const auto& row : rows)
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width(row[i]));
  std::string out;
  for (const auto& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      std::string blank(widths[i] - width(row[i]), ' ');
      bool left = i == 0 || rows[0][i] == "metric" || rows[0][i] == "verdict";
      line += left ? "  " + row[i] + blank : "  " + blank + row[i];
    }
    out += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  return out;
}

std::vector<std::string> score_row(const std::string& name, const std::string& count,
                                   const std::optional<Score>& score) {
  std::vector<std::string> row = {name, count}, cells = score_cells(score);
  row.insert(row.end(), cells.begin(), cells.end());
  return row;
}

std::string by_table(const std::string& key, const std::vector<ScoreBy>& scores) {
  Rows rows = {{key, "n", "score", "95 %"}};
  for (const ScoreBy& by : scores) {
    rows.push_back(score_row(value_text(by.value), std::to_string(by.score.value.n), by.score));
    rows.back().resize(rows.front().size());
  }
  return "\n" + table_text(rows);
}

}  // namespace

std::string summary_table(const Summary& summary) {
  std::string out = headline(summary) + "\n\n";
  Rows rows = {{"task", "n", "score", "95 %", "compat", "clean", "metric"}};
  for (const TaskSummary& task : summary.tasks) {
    rows.push_back(score_row(one_line(task.name), count_of(task), task.score));
    rows.back().push_back(metric_text(task));
  }
  out += table_text(rows);
  if (summary.categories.size() > 1) {
    rows = {{"category", "n", "score", "95 %", "compat", "clean"}};
    for (const CategorySummary& category : summary.categories)
      rows.push_back(
          score_row(one_line(category.name), std::to_string(category.score.value.n), category.score));
    out += "\n" + table_text(rows);
  }
  for (const char* key : {"length", "depth"})
    if (const auto& scores = by_field(summary, key); scores.size() > 1) out += by_table(key, scores);
  std::vector<std::string> sentences = remarks(summary);
  for (const std::string& sentence : sentences) out += "\n" + sentence;
  return out + (sentences.empty() ? "" : "\n");
}

std::string diff_table(const RunDifference& diff) {
  std::string out = diff_headline(diff) + "\n\n";
  auto line = [](const std::string& name, const Change& change) {
    std::vector<std::string> row = {name}, cells = change_cells(change);
    row.insert(row.end(), cells.begin(), cells.end());
    row[1] = std::to_string(change.change.n);
    return row;
  };
  Rows rows = {{"task", "n", "a", "b", "change", "95 %", "p", "verdict"}};
  for (const TaskChange& task : diff.tasks) rows.push_back(line(one_line(task.name), task.change));
  out += table_text(rows);
  for (const auto& [key, changes] : diff.by) {
    if (changes.size() < 2) continue;
    rows = {{key, "n", "a", "b", "change", "95 %", "p", "verdict"}};
    for (const ChangeBy& by : changes) rows.push_back(line(value_text(by.value), by.change));
    out += "\n" + table_text(rows);
  }
  if (!diff.settings.empty()) {
    rows = {{"setting", "a", "b"}};
    for (const SettingChange& change : diff.settings)
      rows.push_back({change.key, setting_text(change.a), setting_text(change.b)});
    out += "\n" + table_text(rows);
  }
  return out;
}

}  // namespace longspan
