// Summaries and differences as tables for a terminal.
#include <algorithm>

#include "base/error.h"
#include "base/text.h"
#include "eval/summary.h"
#include "eval/wording.h"

namespace longspan {

namespace {

/// Code points: what a terminal lines up by, as long as no text is Chinese.
size_t width(const std::string& text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

/// Texts to the left, figures to the right. The first row is the head.
std::string table_text(const std::vector<std::vector<std::string>>& rows) {
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

std::vector<std::string> summary_row(const std::string& name, const Json& entry, const std::string& metric) {
  return {name,
          entry.contains("planned") ? count_of(entry) : std::to_string(entry["n"].get<int64_t>()),
          figure(entry, "score"),
          range_of(entry),
          figure(entry, "compat"),
          figure(entry, "clean"),
          metric};
}

std::string by_table(const std::string& key, const Json& entries) {
  std::vector<std::vector<std::string>> rows = {{key, "n", "score", "95 %"}};
  for (const Json& entry : entries)
    rows.push_back({value_text(entry["value"]), std::to_string(entry["n"].get<int64_t>()),
                    figure(entry, "score"), range_of(entry)});
  return "\n" + table_text(rows);
}

}  // namespace

std::string summary_table(const Json& summary) {
  std::string out = headline(summary) + "\n\n";
  std::vector<std::vector<std::string>> rows = {{"task", "n", "score", "95 %", "compat", "clean", "metric"}};
  for (const Json& task : summary["tasks"])
    rows.push_back(summary_row(value_text(task["name"]), task, metric_text(task)));
  out += table_text(rows);
  if (summary["categories"].size() > 1) {
    rows = {{"category", "n", "score", "95 %", "compat", "clean"}};
    for (const Json& category : summary["categories"]) {
      rows.push_back(summary_row(value_text(category["name"]), category, ""));
      rows.back().pop_back();
    }
    out += "\n" + table_text(rows);
  }
  for (const char* key : {"length", "depth"})
    if (summary["by"].contains(key) && summary["by"][key].size() > 1)
      out += by_table(key, summary["by"][key]);
  for (const std::string& remark : remarks(summary)) out += "\n" + remark;
  return out + (remarks(summary).empty() ? "" : "\n");
}

std::string diff_table(const Json& diff) {
  std::string out = diff_headline(diff) + "\n\n";
  auto line = [](const std::string& name, const Json& entry) -> std::vector<std::string> {
    return {name,
            std::to_string(entry["n"].get<int64_t>()),
            figure(entry, "a"),
            figure(entry, "b"),
            signed_figure(entry, "change"),
            change_range(entry),
            p_text(entry["p"]),
            entry["verdict"]};
  };
  std::vector<std::vector<std::string>> rows = {{"task", "n", "a", "b", "change", "95 %", "p", "verdict"}};
  for (const Json& task : diff["tasks"]) rows.push_back(line(value_text(task["name"]), task));
  out += table_text(rows);
  for (const auto& [key, entries] : diff["by"].items()) {
    if (entries.size() < 2) continue;
    rows = {{key, "n", "a", "b", "change", "95 %", "p", "verdict"}};
    for (const Json& entry : entries) rows.push_back(line(value_text(entry["value"]), entry));
    out += "\n" + table_text(rows);
  }
  if (!diff["settings"].empty()) {
    rows = {{"setting", "a", "b"}};
    for (const Json& change : diff["settings"])
      rows.push_back({change["key"], value_text(change["a"]), value_text(change["b"])});
    out += "\n" + table_text(rows);
  }
  return out;
}

}  // namespace longspan
