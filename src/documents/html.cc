// A walk over libxml2's events, without a tree: memory is that of the text, and the depth of nesting is
// bounded here.
#include "documents/html.h"

#include <libxml/HTMLparser.h>
#include <libxml/parserInternals.h>

#include <algorithm>
#include <cctype>
#include <cstring>
#include <memory>
#include <unordered_map>
#include <vector>

#include "base/error.h"
#include "base/text.h"
#include "documents/limits.h"
#include "documents/text_builder.h"

namespace longspan::documents {

namespace {

constexpr size_t kMostDepth = 1024;
constexpr size_t kDeclarationBytes = 4096;

enum class Element {
  kParagraph,
  kLine,
  kHeading,
  kSkip,
  kList,
  kItem,
  kTable,
  kRow,
  kCell,
  kPre,
  kTitle,
  kBreak
};

// THE table of elements; all others are words.
const std::unordered_map<std::string_view, Element>& elements() {
  static const std::unordered_map<std::string_view, Element> table = [] {
    std::unordered_map<std::string_view, Element> all;
    auto add = [&](Element element, std::initializer_list<const char*> names) {
      for (const char* name : names) all[name] = element;
    };
    add(Element::kParagraph, {"p",   "div",   "section",    "article", "header",     "footer",  "main",
                              "nav", "aside", "blockquote", "figure",  "figcaption", "address", "dl",
                              "hr",  "form",  "fieldset",   "body",    "details",    "summary", "center"});
    add(Element::kLine, {"dt", "dd", "caption", "legend"});
    add(Element::kHeading, {"h1", "h2", "h3", "h4", "h5", "h6"});
    // The small print over Chinese and Japanese characters (rt, rp) would stand between them.
    add(Element::kSkip, {"script", "style", "noscript", "template", "svg", "rt", "rp", "select", "iframe",
                         "object", "canvas", "audio", "video", "textarea"});
    add(Element::kList, {"ul", "ol", "menu"});
    add(Element::kItem, {"li"});
    add(Element::kTable, {"table"});
    add(Element::kRow, {"tr"});
    add(Element::kCell, {"td", "th"});
    add(Element::kPre, {"pre", "listing", "plaintext", "xmp"});
    add(Element::kTitle, {"title"});
    add(Element::kBreak, {"br"});
    return all;
  }();
  return table;
}

/// One page on its way to text.
struct Page {
  TextBuilder builder;
  std::vector<std::string> open;  // elements
  std::string title, fault;
  xmlParserCtxtPtr parser = nullptr;
  size_t skipped_from = 0;  // depth of the outermost element that is left out; 0: none
  bool in_title = false, in_heading = false, has_heading = false;
  struct List {
    bool numbered;
    int64_t next;
  };
  std::vector<List> lists;

  void stop(std::string why) {
    if (fault.empty()) fault = std::move(why);
    xmlStopParser(parser);
  }
};

const char* attribute(const xmlChar** attributes, const char* name) {
  for (; attributes && attributes[0]; attributes += 2)
    if (std::strcmp(reinterpret_cast<const char*>(attributes[0]), name) == 0)
      return attributes[1] ? reinterpret_cast<const char*>(attributes[1]) : "";
  return nullptr;
}

int64_t number_of(const char* text, int64_t otherwise) {
  constexpr int64_t kMost = 1000000;
  if (!text || !std::isdigit(static_cast<unsigned char>(*text))) return otherwise;
  return std::min<int64_t>(std::strtoll(text, nullptr, 10), kMost);
}

void begin_item(Page& page) {
  if (page.lists.empty()) return page.builder.item(0, 0);
  Page::List& list = page.lists.back();
  page.builder.item(static_cast<int>(page.lists.size()) - 1, list.numbered ? list.next++ : 0);
}

void begin_element(Page& page, const std::string& name, const xmlChar** attributes) {
  TextBuilder& out = page.builder;
  auto known = elements().find(name);
  bool hidden = attribute(attributes, "hidden") != nullptr;
  if (page.skipped_from == 0 && (hidden || (known != elements().end() && known->second == Element::kSkip)))
    page.skipped_from = page.open.size();
  if (page.skipped_from > 0 || known == elements().end()) return;
  switch (known->second) {
    case Element::kParagraph:
      return out.paragraph();
    case Element::kLine:
      return out.line();
    case Element::kHeading:
      page.in_heading = true;
      page.has_heading = page.has_heading || name == "h1";
      return out.heading(name[1] - '0');
    case Element::kList:
      if (page.lists.empty()) out.paragraph();
      return page.lists.push_back({name == "ol", number_of(attribute(attributes, "start"), 1)});
    case Element::kItem:
      return begin_item(page);
    case Element::kTable:
      return out.begin_table();
    case Element::kRow:
      return out.begin_row();
    case Element::kCell:
      return out.begin_cell();
    case Element::kPre:
      return out.begin_preformatted();
    case Element::kTitle:
      page.in_title = true;
      return;
    case Element::kBreak:
      return page.in_heading ? out.words(" ") : out.line_break();
    case Element::kSkip:
      return;
  }
}

void end_element(Page& page, const std::string& name) {
  TextBuilder& out = page.builder;
  auto known = elements().find(name);
  if (known == elements().end()) return;
  switch (known->second) {
    case Element::kParagraph:
      return out.paragraph();
    case Element::kLine:
      return out.line();
    case Element::kHeading:
      page.in_heading = false;
      out.end_prefix();
      return out.paragraph();
    case Element::kList:
      if (!page.lists.empty()) page.lists.pop_back();
      return page.lists.empty() ? out.paragraph() : out.line();
    case Element::kItem:
      out.end_prefix();
      return out.line();
    case Element::kTable:
      return out.end_table();
    case Element::kRow:
      return out.end_row();
    case Element::kCell:
      return out.end_cell();
    case Element::kPre:
      return out.end_preformatted();
    case Element::kTitle:
      page.in_title = false;
      return;
    case Element::kBreak:
    case Element::kSkip:
      return;
  }
}

void on_begin(void* context, const xmlChar* name, const xmlChar** attributes) {
  auto& page = *static_cast<Page*>(context);
  page.open.emplace_back(reinterpret_cast<const char*>(name));
  if (page.open.size() > kMostDepth)
    return page.stop(fmt::format("nests elements more than {} deep", kMostDepth));
  begin_element(page, page.open.back(), attributes);
}

void on_end(void* context, const xmlChar* name) {
  auto& page = *static_cast<Page*>(context);
  if (page.open.empty()) return;
  if (page.skipped_from == 0) end_element(page, reinterpret_cast<const char*>(name));
  if (page.skipped_from == page.open.size()) page.skipped_from = 0;
  page.open.pop_back();
}

void on_words(void* context, const xmlChar* text, int length) {
  auto& page = *static_cast<Page*>(context);
  if (page.skipped_from > 0 || length <= 0) return;
  std::string_view words(reinterpret_cast<const char*>(text), static_cast<size_t>(length));
  if (page.in_title) {
    if (page.title.size() < kDeclarationBytes) page.title += words;
    return;
  }
  page.builder.words(words);
  if (page.builder.size() > kMostTextBytes)
    page.stop(fmt::format("has more than {} of text", human_bytes(static_cast<double>(kMostTextBytes))));
}

void no_message(void*, const char*, ...) {}

std::string one_line(std::string_view text) {
  TextBuilder builder;
  builder.words(text);
  std::string line = builder.finish();
  if (!line.empty()) line.pop_back();
  return line;
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

}  // namespace

std::string declared_encoding(std::string_view bytes) {
  std::string head = lower(bytes.substr(0, kDeclarationBytes));
  auto value_behind = [&](size_t at) {
    at = head.find_first_not_of(" \t\r\n", at);
    if (at == head.npos || head[at] != '=') return std::string();
    at = head.find_first_not_of(" \t\r\n\"'", at + 1);
    if (at == head.npos) return std::string();
    size_t end = std::min(head.find_first_of(" \t\r\n\"';/>?", at), head.size());
    return std::string(bytes.substr(at, end - at));
  };
  if (head.starts_with("<?xml")) {
    size_t end = head.find("?>"), at = head.find("encoding");
    if (end != head.npos && at < end) return value_behind(at + std::strlen("encoding"));
  }
  for (size_t meta = head.find("<meta"); meta != head.npos; meta = head.find("<meta", meta + 1)) {
    size_t end = std::min(head.find('>', meta), head.size()), at = head.find("charset", meta);
    if (at < end) return value_behind(at + std::strlen("charset"));
  }
  return "";
}

std::string html_text(std::string_view page_text, const std::string& source, bool with_title) {
  if (page_text.size() > kMostTextBytes)
    fail("{}: is longer than {}, the most that a page may have", source,
         human_bytes(static_cast<double>(kMostTextBytes)));
  if (page_text.empty()) return "";
  Page page;
  std::unique_ptr<xmlParserCtxt, void (*)(xmlParserCtxtPtr)> parser(
      htmlCreateMemoryParserCtxt(page_text.data(), static_cast<int>(page_text.size())), htmlFreeParserCtxt);
  if (!parser || !parser->sax)
    fail("{}: the HTML parser could not be set up: is there enough memory?", source);
  page.parser = parser.get();
  xmlSAXHandler handler{};
  handler.startElement = on_begin;
  handler.endElement = on_end;
  handler.characters = on_words;
  handler.ignorableWhitespace = on_words;
  handler.warning = no_message;
  handler.error = no_message;
  handler.fatalError = no_message;
  htmlCtxtUseOptions(parser.get(), HTML_PARSE_RECOVER | HTML_PARSE_NONET | HTML_PARSE_NOERROR |
                                       HTML_PARSE_NOWARNING | HTML_PARSE_IGNORE_ENC);
  *parser->sax = handler;
  parser->userData = &page;
  xmlSwitchEncoding(parser.get(), XML_CHAR_ENCODING_UTF8);
  htmlParseDocument(parser.get());
  if (!page.fault.empty()) fail("{}: {}", source, page.fault);
  std::string text = page.builder.finish(), title = one_line(page.title);
  if (with_title && !title.empty() && !page.has_heading)
    text = "# " + title + "\n" + (text.empty() ? "" : "\n") + text;
  return text;
}

}  // namespace longspan::documents
