#include "sql/text_table.h"

#include <fmt/core.h>
#include <utf8proc.h>

#include <algorithm>

#include "base/text.h"

namespace longspan::sql {

namespace {

int64_t width_of(char32_t c) { return utf8proc_charwidth(static_cast<utf8proc_int32_t>(c)); }

/// At most `most` columns, with … in the place of what is cut.
std::string cut(const std::string& text, int64_t most) {
  if (display_width(text) <= most) return text;
  int64_t width = 0;
  size_t end = 0;
  for (size_t i = 0; i < text.size();) {
    width += width_of(next_code_point(text, i));
    if (width > most - 1) break;
    end = i;
  }
  return text.substr(0, end) + "…";
}

std::string padded(const std::string& text, int64_t width, bool right) {
  std::string blanks(static_cast<size_t>(std::max<int64_t>(0, width - display_width(text))), ' ');
  return right ? blanks + text : text + blanks;
}

}  // namespace

int64_t display_width(const std::string& text) {
  int64_t width = 0;
  for (size_t i = 0; i < text.size();) width += width_of(next_code_point(text, i));
  return width;
}

std::string cell_text(const Cell& cell) {
  if (const auto* whole = std::get_if<int64_t>(&cell)) return std::to_string(*whole);
  if (const auto* number = std::get_if<double>(&cell)) return fmt::format("{}", *number);
  if (const auto* text = std::get_if<std::string>(&cell)) return excerpt(*text, 1000);
  return "NULL";
}

std::string aligned_table(const ResultTable& table, int64_t most) {
  size_t count = table.columns.size();
  std::vector<int64_t> widths(count, 1);
  std::vector<bool> numbers(count, !table.rows.empty());
  std::vector<std::vector<std::string>> lines;
  auto add_line = [&](auto text_of) {
    std::vector<std::string>& line = lines.emplace_back();
    for (size_t i = 0; i < count; ++i) {
      line.push_back(cut(text_of(i), most));
      widths[i] = std::max(widths[i], display_width(line.back()));
    }
  };
  add_line([&](size_t i) { return excerpt(table.columns[i], 1000); });
  for (const auto& row : table.rows) {
    add_line([&](size_t i) { return cell_text(row[i]); });
    for (size_t i = 0; i < count; ++i)
      if (std::holds_alternative<std::string>(row[i])) numbers[i] = false;
  }
  std::string out;
  for (size_t l = 0; l < lines.size(); ++l) {
    std::string line, dashes;
    for (size_t i = 0; i < count; ++i) {
      line += (i == 0 ? "" : "  ") + padded(lines[l][i], widths[i], numbers[i]);
      dashes += (i == 0 ? "" : "  ") + std::string(static_cast<size_t>(widths[i]), '-');
    }
    line.resize(line.find_last_not_of(' ') + 1);
    out += line + "\n";
    if (l == 0) out += dashes + "\n";
  }
  return out;
}

}  // namespace longspan::sql
