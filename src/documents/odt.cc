// OpenDocument text (ISO 26300): content.xml is the text.
#include <algorithm>
#include <vector>

#include "documents/office.h"
#include "documents/text_builder.h"
#include "documents/xml.h"

namespace longspan::documents {

namespace {

class ContentReader {
 public:
  std::string read(std::string_view xml, const std::string& source) {
    read_xml(xml, source,
             {.begin = [this](const XmlElement& element) { begin(element); },
              .end = [this](const std::string& name) { end(name); },
              .text =
                  [this](std::string_view text) {
                    if (paragraphs_ > 0 && skipped_ == 0) flow().words(text);
                  }});
    for (size_t i = 0; i < notes_.size(); ++i) {
      i == 0 ? out_.paragraph() : out_.line();
      out_.exact("[" + std::to_string(i + 1) + "] ");
      out_.words(notes_[i].finish());
    }
    return out_.finish();
  }

 private:
  TextBuilder& flow() { return in_note_ ? notes_.back() : out_; }

  void begin(const XmlElement& element) {
    std::string name = element.name();
    if (skipped_ > 0 || name == "tracked-changes" || name == "annotation" || name == "note-citation" ||
        name == "title" || name == "desc" || name == "ruby-text" || name == "styles" ||
        name == "automatic-styles") {
      ++skipped_;
      return;
    }
    TextBuilder& out = flow();
    if (name == "h") {
      ++paragraphs_;
      out.heading(static_cast<int>(std::clamp<int64_t>(element.number("outline-level", 1), 1, 6)));
    } else if (name == "p") {
      ++paragraphs_;
      lists_ > 0 ? out.line() : out.paragraph();
    } else if (name == "list") {
      if (lists_++ == 0) out.paragraph();
    } else if (name == "list-item") {
      out.item(lists_ - 1, 0);
    } else if (name == "s" && paragraphs_ > 0) {
      out.exact(std::string(static_cast<size_t>(std::clamp<int64_t>(element.number("c", 1), 1, 80)), ' '));
    } else if (name == "tab" && paragraphs_ > 0) {
      out.exact("\t");
    } else if (name == "line-break") {
      out.line_break();
    } else if (name == "note") {
      out.exact("[" + std::to_string(notes_.size() + 1) + "]");
      notes_.emplace_back();
      in_note_ = true;
    } else if (name == "table") {
      out.begin_table();
    } else if (name == "table-row") {
      out.begin_row();
    } else if (name == "table-cell") {
      out.begin_cell();
    }
  }

  void end(const std::string& name) {
    if (skipped_ > 0) {
      --skipped_;
      return;
    }
    TextBuilder& out = flow();
    if ((name == "h" || name == "p") && paragraphs_ > 0) {
      --paragraphs_;
      if (name == "h") out.end_prefix();
      lists_ > 0 ? out.line() : out.paragraph();
    } else if (name == "list" && lists_ > 0) {
      if (--lists_ == 0) out.paragraph();
    } else if (name == "list-item") {
      out.end_prefix();
      out.line();
    } else if (name == "note") {
      in_note_ = false;
    } else if (name == "table") {
      out.end_table();
    } else if (name == "table-row") {
      out.end_row();
    } else if (name == "table-cell") {
      out.end_cell();
    }
  }

  TextBuilder out_;
  std::vector<TextBuilder> notes_;
  int paragraphs_ = 0, lists_ = 0, skipped_ = 0;
  bool in_note_ = false;
};

}  // namespace

std::string odt_text(ZipFile& archive, const std::string& source) {
  return ContentReader().read(archive.read("content.xml"), source);
}

}  // namespace longspan::documents
