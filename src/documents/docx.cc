// Office Open XML (ECMA-376): word/document.xml is the text; styles.xml says which paragraphs are headings,
// numbering.xml which lists have numbers, footnotes.xml and endnotes.xml hold the notes.
#include <array>
#include <map>
#include <vector>

#include "documents/office.h"
#include "documents/text_builder.h"
#include "documents/xml.h"

namespace longspan::documents {

namespace {

constexpr int64_t kLevels = 9;

/// What a paragraph is besides text.
struct ParagraphKind {
  int64_t heading = 0;  // level from 1; 0: none
  std::string list;     // id of its numbering; "" or "0": none
  int64_t depth = 0;    // in the list
};

struct Styles {
  std::map<std::string, ParagraphKind> kinds;               // by id of the style
  std::map<std::string, std::string> abstract_of;           // list id -> id of its description
  std::map<std::string, std::array<bool, kLevels>> bullet;  // by that id: whether a level has bullets
};

int64_t clamped_level(int64_t level) { return level < 0 || level >= kLevels ? 0 : level; }

void read_styles(ZipFile& archive, const std::string& source, Styles& styles) {
  constexpr const char* kName = "word/styles.xml";
  if (!archive.has(kName)) return;
  std::string id;
  read_xml(
      archive.read(kName), source,
      {.begin =
           [&](const XmlElement& element) {
             std::string name = element.name();
             if (name == "style") id = element.attribute("styleId");
             ParagraphKind& kind = styles.kinds[id];
             if (name == "name") {
               // The name is English in every language of Word, the id is not.
               std::string value = element.attribute("val");
               if (value.starts_with("heading ") && value.size() == 9 && value[8] >= '1' && value[8] <= '9')
                 kind.heading = value[8] - '0';
               if (value == "Title") kind.heading = 1;
             } else if (name == "outlineLvl" && kind.heading == 0) {
               int64_t level = element.number("val", kLevels);
               if (level >= 0 && level < kLevels) kind.heading = level + 1;
             } else if (name == "numId") {
               kind.list = element.attribute("val");
             } else if (name == "ilvl") {
               kind.depth = clamped_level(element.number("val", 0));
             }
           },
       .end = [](const std::string&) {},
       .text = [](std::string_view) {}});
}

void read_numbering(ZipFile& archive, const std::string& source, Styles& styles) {
  constexpr const char* kName = "word/numbering.xml";
  if (!archive.has(kName)) return;
  std::string abstract, list;
  int64_t level = 0;
  read_xml(archive.read(kName), source,
           {.begin =
                [&](const XmlElement& element) {
                  std::string name = element.name();
                  if (name == "abstractNum") {
                    abstract = element.attribute("abstractNumId");
                    styles.bullet[abstract].fill(true);
                  } else if (name == "num") {
                    list = element.attribute("numId");
                  } else if (name == "abstractNumId") {
                    styles.abstract_of[list] = element.attribute("val");
                  } else if (name == "lvl") {
                    level = clamped_level(element.number("ilvl", 0));
                  } else if (name == "numFmt" && styles.bullet.contains(abstract)) {
                    std::string format = element.attribute("val");
                    styles.bullet[abstract][static_cast<size_t>(level)] =
                        format == "bullet" || format == "none";
                  }
                },
            .end = [](const std::string&) {},
            .text = [](std::string_view) {}});
}

/// Reads one part: the body, or the notes.
class PartReader {
 public:
  PartReader(const Styles& styles, TextBuilder& out) : styles_(styles), out_(&out) {}

  void read(std::string_view xml, const std::string& source) {
    read_xml(xml, source,
             {.begin = [this](const XmlElement& element) { begin(element); },
              .end = [this](const std::string& name) { end(name); },
              .text =
                  [this](std::string_view text) {
                    if (in_text_ && skipped_ == 0) {
                      start_paragraph();
                      out_->exact(text);
                    }
                  }});
  }

  /// Each note as a text, by its id; the part was footnotes.xml or endnotes.xml.
  std::map<std::string, std::string> notes;
  /// "footnote 3" in the order in which the body refers to them.
  std::vector<std::string> references;

 private:
  struct Paragraph {
    ParagraphKind kind;
    bool started = false;
  };

  void begin(const XmlElement& element) {
    std::string name = element.name();
    // Fallback repeats what its Choice has; moveFrom is text that a tracked change has moved elsewhere.
    if (skipped_ > 0 || name == "Fallback" || name == "moveFrom" || name == "del") {
      ++skipped_;
      return;
    }
    if (name == "p") paragraphs_.emplace_back();
    if (name == "r") ++runs_;
    if (name == "t") in_text_ = true;
    if (name == "tbl") out_->begin_table();
    if (name == "tr") out_->begin_row();
    if (name == "tc") out_->begin_cell();
    if (name == "footnote" || name == "endnote") begin_note(element);
    if (paragraphs_.empty()) return;
    runs_ > 0 ? begin_in_run(element, name) : begin_property(element, name);
  }

  void begin_property(const XmlElement& element, const std::string& name) {
    ParagraphKind& kind = paragraphs_.back().kind;
    if (name == "pStyle") {
      auto style = styles_.kinds.find(element.attribute("val"));
      if (style != styles_.kinds.end()) kind = style->second;
    } else if (name == "numId") {
      kind.list = element.attribute("val");
    } else if (name == "ilvl") {
      kind.depth = clamped_level(element.number("val", 0));
    } else if (name == "outlineLvl") {
      int64_t level = element.number("val", kLevels);
      if (level >= 0 && level < kLevels) kind.heading = level + 1;
    }
  }

  void begin_in_run(const XmlElement& element, const std::string& name) {
    if (name == "tab" || name == "noBreakHyphen") {
      start_paragraph();
      out_->exact(name == "tab" ? "\t" : "-");
    } else if (name == "br" || name == "cr") {
      start_paragraph();
      element.attribute("type") == "page" ? out_->paragraph() : out_->line_break();
    } else if (name == "footnoteReference" || name == "endnoteReference") {
      references.push_back((name[0] == 'f' ? "footnote " : "endnote ") + element.attribute("id"));
      start_paragraph();
      out_->exact("[" + std::to_string(references.size()) + "]");
    }
  }

  /// At the first word, because an empty paragraph is nothing.
  void start_paragraph() {
    if (paragraphs_.empty() || paragraphs_.back().started) return;
    Paragraph& paragraph = paragraphs_.back();
    paragraph.started = true;
    const ParagraphKind& kind = paragraph.kind;
    if (kind.heading > 0) return out_->heading(static_cast<int>(kind.heading));
    if (!kind.list.empty() && kind.list != "0") return begin_item(kind);
    out_->paragraph();
  }

  void begin_item(const ParagraphKind& kind) {
    auto abstract = styles_.abstract_of.find(kind.list);
    auto bullet =
        abstract == styles_.abstract_of.end() ? styles_.bullet.end() : styles_.bullet.find(abstract->second);
    auto depth = static_cast<size_t>(kind.depth);
    auto& counters = counters_[kind.list];
    for (size_t deeper = depth + 1; deeper < counters.size(); ++deeper) counters[deeper] = 0;
    int64_t number = ++counters[depth];
    bool dashed = bullet == styles_.bullet.end() || bullet->second[depth];
    out_->item(static_cast<int>(depth), dashed ? 0 : number);
  }

  void begin_note(const XmlElement& element) {
    note_id_ = element.attribute("id");
    note_ = TextBuilder();
    body_ = out_;
    out_ = &note_;
  }

  void end(const std::string& name) {
    if (skipped_ > 0) {
      --skipped_;
      return;
    }
    if (name == "r" && runs_ > 0) --runs_;
    if (name == "t") in_text_ = false;
    if (name == "tbl") out_->end_table();
    if (name == "tr") out_->end_row();
    if (name == "tc") out_->end_cell();
    if (name == "p" && !paragraphs_.empty()) end_paragraph();
    if ((name == "footnote" || name == "endnote") && body_) {
      notes[note_id_] = note_.finish();
      out_ = body_;
      body_ = nullptr;
    }
  }

  void end_paragraph() {
    Paragraph paragraph = std::move(paragraphs_.back());
    paragraphs_.pop_back();
    if (!paragraph.started) return;
    out_->end_prefix();
    bool item = paragraph.kind.heading == 0 && !paragraph.kind.list.empty() && paragraph.kind.list != "0";
    item ? out_->line() : out_->paragraph();
  }

  const Styles& styles_;
  TextBuilder* out_;
  TextBuilder* body_ = nullptr;  // while a note is read
  TextBuilder note_;
  std::string note_id_;
  std::vector<Paragraph> paragraphs_;  // a text box has paragraphs inside of one
  std::map<std::string, std::array<int64_t, kLevels>> counters_;
  int runs_ = 0, skipped_ = 0;
  bool in_text_ = false;
};

}  // namespace

std::string docx_text(ZipFile& archive, const std::string& source) {
  Styles styles;
  read_styles(archive, source, styles);
  read_numbering(archive, source, styles);
  TextBuilder out;
  PartReader body(styles, out);
  body.read(archive.read("word/document.xml"), source);
  std::map<std::string, std::string> notes;
  for (const char* kind : {"footnote", "endnote"}) {
    std::string part = std::string("word/") + kind + "s.xml";
    if (!archive.has(part)) continue;
    TextBuilder none;
    PartReader reader(styles, none);
    reader.read(archive.read(part), source);
    for (auto& [id, text] : reader.notes) notes[std::string(kind) + " " + id] = std::move(text);
  }
  for (size_t i = 0; i < body.references.size(); ++i) {
    i == 0 ? out.paragraph() : out.line();
    out.exact("[" + std::to_string(i + 1) + "] ");
    out.words(notes[body.references[i]]);
  }
  return out.finish();
}

}  // namespace longspan::documents
