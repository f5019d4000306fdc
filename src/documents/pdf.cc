#include "documents/pdf.h"

#include <poppler-document.h>
#include <poppler-global.h>
#include <poppler-page.h>

#include <memory>

#include "base/error.h"
#include "base/text.h"
#include "documents/limits.h"

namespace longspan::documents {

namespace {

/// Line feeds only, no blanks at the ends of lines, no control characters, at most one blank line.
std::string tidy(std::string_view page) {
  std::string out;
  for (char c : page) {
    if (c == '\n') {
      while (!out.empty() && out.back() == ' ') out.pop_back();
      if (out.empty() || out.ends_with("\n\n")) continue;
    }
    if (static_cast<unsigned char>(c) >= 0x20 || c == '\n' || c == '\t') out += c;
  }
  while (!out.empty() && (out.back() == '\n' || out.back() == ' ')) out.pop_back();
  return out;
}

/// "1, 3-7, 9 and 12 more".
std::string ranges(const std::vector<int>& pages) {
  constexpr int kMost = 8;
  std::string out;
  int shown = 0;
  for (size_t i = 0; i < pages.size(); ++shown) {
    size_t end = i + 1;
    while (end < pages.size() && pages[end] == pages[end - 1] + 1) ++end;
    if (shown == kMost) return out + fmt::format(" and {} more", pages.size() - i);
    out += fmt::format("{}{}", out.empty() ? "" : ", ", pages[i]);
    if (end > i + 1) out += fmt::format("-{}", pages[end - 1]);
    i = end;
  }
  return out;
}

int64_t count_of(std::string_view text, std::string_view what) {
  int64_t count = 0;
  for (size_t at = text.find(what); at != text.npos; at = text.find(what, at + what.size())) ++count;
  return count;
}

}  // namespace

std::string pdf_text(std::string_view bytes, const std::string& source, std::vector<std::string>& remarks) {
  if (bytes.size() > kMostTextBytes)
    fail("{}: is a PDF of more than {}, the most that is read", source,
         human_bytes(static_cast<double>(kMostTextBytes)));
  poppler::set_debug_error_function([](const std::string&, void*) {}, nullptr);
  std::unique_ptr<poppler::document> document(
      poppler::document::load_from_raw_data(bytes.data(), static_cast<int>(bytes.size())));
  if (!document) fail("{}: is a damaged PDF; is it complete?", source);
  if (document->is_locked())
    fail("{}: is a PDF that needs a password; save a copy without it first (qpdf --decrypt --password=...)",
         source);
  std::string text;
  std::vector<int> empty;
  int64_t unmapped = 0;
  const int pages = document->pages();
  for (int i = 0; i < pages; ++i) {
    std::unique_ptr<poppler::page> page(document->create_page(i));
    poppler::byte_array words;
    if (page) words = page->text(poppler::rectf(), poppler::page::non_raw_non_physical_layout).to_utf8();
    std::string tidied = tidy({words.data(), words.size()});
    if (tidied.empty()) {
      empty.push_back(i + 1);
      continue;
    }
    unmapped += count_of(tidied, "\uFFFD");
    text += fmt::format("{}[page {}]\n{}\n", text.empty() ? "" : "\n", i + 1, tidied);
    if (text.size() > kMostTextBytes)
      fail("{}: has more than {} of text", source, human_bytes(static_cast<double>(kMostTextBytes)));
  }
  if (text.empty())
    fail("{}: is a PDF of {} page{} without text; if it is a scan, run OCR over it first (ocrmypdf)", source,
         pages, pages == 1 ? "" : "s");
  if (!empty.empty())
    remarks.push_back(
        fmt::format("{}: no text on page{} {}", source, empty.size() == 1 ? "" : "s", ranges(empty)));
  if (unmapped > 0)
    remarks.push_back(
        fmt::format("{}: {} characters have no meaning in the PDF's fonts and are read as U+FFFD", source,
                    grouped(unmapped)));
  return text;
}

}  // namespace longspan::documents
