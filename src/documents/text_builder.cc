#include "documents/text_builder.h"

#include <algorithm>

namespace longspan::documents {

namespace {

/// A cell this long with lines of its own is not one of a table of data.
constexpr size_t kLayoutBytes = 400;

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v'; }

void trim_end(std::string& text) {
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.pop_back();
}

std::string one_line(const std::string& text) {
  std::string out;
  for (char c : text)
    if (!is_space(c))
      out += c;
    else if (!out.empty() && out.back() != ' ')
      out += ' ';
  trim_end(out);
  return out;
}

}  // namespace

/// Pays what is owed before a word.
void TextBuilder::begin_word() {
  if (flow_.feeds > 0) {
    trim_end(flow_.text);
    if (!flow_.text.empty()) flow_.text.append(static_cast<size_t>(flow_.feeds), '\n');
    flow_.feeds = 0;
    flow_.space = false;
  }
  if (!flow_.prefix.empty()) {
    flow_.text += flow_.prefix;
    flow_.prefix.clear();
    flow_.space = false;
  }
  if (flow_.space && !flow_.text.empty() && !is_space(flow_.text.back())) flow_.text += ' ';
  flow_.space = false;
}

void TextBuilder::put(std::string_view text) {
  begin_word();
  flow_.text += text;
  written_ += text.size();
}

void TextBuilder::words(std::string_view text) {
  if (preformatted_ > 0) return exact(text);
  // A no-break space is a space to the reader; a soft hyphen is none.
  constexpr std::string_view kNoBreak = "\u00A0", kSoft = "\u00AD";
  size_t begin = 0;
  auto flush = [&](size_t end) {
    if (end > begin) put(text.substr(begin, end - begin));
  };
  for (size_t i = 0; i < text.size();) {
    bool no_break = text.substr(i).starts_with(kNoBreak), soft = text.substr(i).starts_with(kSoft);
    if (!is_space(text[i]) && !no_break && !soft) {
      ++i;
      continue;
    }
    flush(i);
    if (!soft) flow_.space = true;
    begin = i += no_break || soft ? kSoft.size() : 1;
  }
  flush(text.size());
}

void TextBuilder::exact(std::string_view text) {
  for (size_t begin = 0; begin < text.size();) {
    size_t end = std::min(text.find('\n', begin), text.size());
    if (end > begin) put(text.substr(begin, end - begin));
    if (end < text.size()) line_break();
    begin = end + 1;
  }
}

// A dash or number signs that wait for their words: these may lie in a paragraph of their own.
void TextBuilder::line() {
  if (flow_.prefix.empty()) flow_.feeds = std::max(flow_.feeds, 1);
}
void TextBuilder::paragraph() {
  if (flow_.prefix.empty()) flow_.feeds = std::max(flow_.feeds, 2);
}
void TextBuilder::end_prefix() { flow_.prefix.clear(); }
void TextBuilder::line_break() {
  flow_.feeds = preformatted_ > 0 ? flow_.feeds + 1 : std::min(flow_.feeds + 1, 2);
}

void TextBuilder::heading(int level) {
  end_prefix();
  paragraph();
  flow_.prefix = std::string(static_cast<size_t>(std::clamp(level, 1, 6)), '#') + " ";
}

void TextBuilder::item(int depth, int64_t number) {
  end_prefix();
  line();
  flow_.prefix = std::string(2 * static_cast<size_t>(std::clamp(depth, 0, 16)), ' ') +
                 (number > 0 ? std::to_string(number) + ". " : "- ");
}

void TextBuilder::begin_preformatted() {
  paragraph();
  ++preformatted_;
}

void TextBuilder::end_preformatted() {
  if (preformatted_ > 0 && --preformatted_ == 0) {
    flow_.feeds = 0;  // those at its end
    paragraph();
  }
}

void TextBuilder::begin_table() {
  if (!tables_.empty()) {
    tables_.back().layout = true;
    if (!tables_.back().in_cell) begin_cell();
  }
  paragraph();
  tables_.emplace_back();
}

void TextBuilder::begin_row() {
  if (tables_.empty()) return;
  end_cell();
  tables_.back().rows.emplace_back();
}

void TextBuilder::begin_cell() {
  if (tables_.empty()) return;
  end_cell();
  Table& table = tables_.back();
  if (table.rows.empty()) table.rows.emplace_back();
  table.outside = std::move(flow_);
  flow_ = {};
  table.in_cell = true;
}

void TextBuilder::end_cell() {
  if (tables_.empty() || !tables_.back().in_cell) return;
  Table& table = tables_.back();
  trim_end(flow_.text);
  table.layout =
      table.layout || (flow_.text.size() > kLayoutBytes && flow_.text.find('\n') != std::string::npos);
  table.rows.back().push_back(std::move(flow_.text));
  flow_ = std::move(table.outside);
  table.in_cell = false;
}

void TextBuilder::end_row() { end_cell(); }

void TextBuilder::end_table() {
  if (tables_.empty()) return;
  end_cell();
  Table table = std::move(tables_.back());
  tables_.pop_back();
  size_t columns = 0;
  for (const auto& row : table.rows) columns = std::max(columns, row.size());
  for (const auto& row : table.rows) {
    std::string tabbed;
    for (const std::string& cell : row) {
      if (!table.layout && columns > 1) {
        tabbed += (&cell == &row.front() ? "" : "\t") + one_line(cell);
      } else if (!cell.empty()) {
        paragraph();
        begin_word();
        flow_.text += cell;
        paragraph();
      }
    }
    trim_end(tabbed);
    if (tabbed.empty()) continue;
    line();
    begin_word();
    flow_.text += tabbed;
  }
  paragraph();
}

std::string TextBuilder::finish() {
  while (!tables_.empty()) end_table();
  trim_end(flow_.text);
  while (!flow_.text.empty() && is_space(flow_.text.back())) flow_.text.pop_back();
  if (!flow_.text.empty()) flow_.text += '\n';
  return std::move(flow_.text);
}

}  // namespace longspan::documents
