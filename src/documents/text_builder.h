// Plain text from structured documents: paragraphs between blank lines, headings with number signs as in
// Markdown, list items with dashes or numbers, tables as lines with tabs. HTML, EPUB, DOCX and ODT all write
// through this.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace longspan::documents {

class TextBuilder {
 public:
  /// Words; white space is collapsed to one space, except inside of preformatted text.
  void words(std::string_view text);
  /// Words whose white space counts, as in word processors; line feeds begin a line.
  void exact(std::string_view text);
  /// A new line, or a new paragraph: a blank line before what follows. Nothing at the beginning of a
  /// document.
  void line();
  void paragraph();
  /// A line feed that the author wrote (<br>); two of them make a blank line.
  void line_break();
  /// The paragraph that begins is a heading of this level, from 1.
  void heading(int level);
  /// The line that begins is an item of a list; depth from 0; number 0: a dash.
  void item(int depth, int64_t number);
  /// A heading or item ends; one without words leaves nothing.
  void end_prefix();
  void begin_preformatted();
  void end_preformatted();

  /// Cells of a row become a line with tabs. A table that holds other tables, or paragraphs of some length,
  /// was made for layout: its cells become paragraphs. Ends without a beginning are ignored.
  void begin_table();
  void begin_row();
  void begin_cell();
  void end_cell();
  void end_row();
  void end_table();
  int open_tables() const { return static_cast<int>(tables_.size()); }

  /// Closes what is open. The text ends with one line feed, or is empty.
  std::string finish();
  size_t size() const { return written_; }

 private:
  /// The text of the document or of a cell.
  struct Flow {
    std::string text;
    int feeds = 0;       // line feeds owed before the next word
    bool space = false;  // a space is owed
    std::string prefix;  // of the line that begins: "## ", "- "
  };
  struct Table {
    std::vector<std::vector<std::string>> rows;
    Flow outside;  // the flow that the table interrupts, kept while a cell is open
    bool in_cell = false, layout = false;
  };

  void put(std::string_view text);
  void begin_word();

  Flow flow_;
  std::vector<Table> tables_;
  int preformatted_ = 0;
  size_t written_ = 0;
};

}  // namespace longspan::documents
