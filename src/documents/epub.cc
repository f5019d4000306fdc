#include "documents/epub.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <map>
#include <set>
#include <vector>

#include "base/error.h"
#include "base/text.h"
#include "documents/decode.h"
#include "documents/html.h"
#include "documents/limits.h"
#include "documents/text_builder.h"
#include "documents/xml.h"

namespace longspan::documents {

namespace {

struct Package {
  std::vector<std::string> titles, authors;
  std::map<std::string, std::string> files;  // id -> path in the archive, of the pages
  std::vector<std::string> spine;            // ids
};

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/// "ch%201.xhtml#top" in the folder "OEBPS" -> "OEBPS/ch 1.xhtml".
std::string path_in_archive(const std::string& folder, const std::string& reference) {
  std::string path;
  for (size_t i = 0; i < reference.size() && reference[i] != '#'; ++i) {
    int high = i + 2 < reference.size() && reference[i] == '%' ? hex_digit(reference[i + 1]) : -1;
    int low = high >= 0 ? hex_digit(reference[i + 2]) : -1;
    if (low >= 0) i += 2;
    path += low >= 0 ? static_cast<char>(16 * high + low) : reference[i];
  }
  return (std::filesystem::path(folder) / path).lexically_normal().generic_string();
}

std::string package_path(ZipFile& archive, const std::string& source) {
  std::string path;
  read_xml(archive.read("META-INF/container.xml"), source,
           {.begin =
                [&](const XmlElement& element) {
                  if (path.empty() && element.name() == "rootfile") path = element.attribute("full-path");
                },
            .end = [](const std::string&) {},
            .text = [](std::string_view) {}});
  if (path.empty()) fail("{}: is damaged: its container.xml names no package", source);
  return path;
}

Package read_package(std::string_view xml, const std::string& folder, const std::string& source) {
  Package package;
  std::string* words = nullptr;
  read_xml(xml, source,
           {.begin =
                [&](const XmlElement& element) {
                  std::string name = element.name(), type = element.attribute("media-type");
                  if (name == "title" || name == "creator") {
                    auto& list = name == "title" ? package.titles : package.authors;
                    words = &list.emplace_back();
                  }
                  if (name == "item" && (type == "application/xhtml+xml" || type == "text/html"))
                    package.files[element.attribute("id")] =
                        path_in_archive(folder, element.attribute("href"));
                  if (name == "itemref") package.spine.push_back(element.attribute("idref"));
                },
            .end =
                [&](const std::string& name) {
                  if (name == "title" || name == "creator") words = nullptr;
                },
            .text =
                [&](std::string_view text) {
                  if (words) *words += text;
                }});
  return package;
}

/// Paths that META-INF/encryption.xml lists. Fonts that are merely obfuscated are listed there as well.
std::set<std::string> encrypted_files(ZipFile& archive, const std::string& source) {
  constexpr const char* kName = "META-INF/encryption.xml";
  std::set<std::string> files;
  if (!archive.has(kName)) return files;
  read_xml(archive.read(kName), source,
           {.begin =
                [&](const XmlElement& element) {
                  if (element.name() == "CipherReference")
                    files.insert(path_in_archive("", element.attribute("URI")));
                },
            .end = [](const std::string&) {},
            .text = [](std::string_view) {}});
  return files;
}

void add_line(TextBuilder& out, const std::string& text) {
  out.words(text);
  out.line();
}

}  // namespace

std::string epub_text(ZipFile& archive, const std::string& source) {
  const std::string path = package_path(archive, source);
  Package package =
      read_package(archive.read(path), std::filesystem::path(path).parent_path().generic_string(), source);
  std::set<std::string> encrypted = encrypted_files(archive, source);
  TextBuilder head;
  for (const std::string& title : package.titles) add_line(head, title);
  for (const std::string& author : package.authors) add_line(head, author);
  std::string text = head.finish();
  int chapters = 0;
  std::set<std::string> seen;
  for (const std::string& id : package.spine) {
    auto file = package.files.find(id);
    if (file == package.files.end() || !seen.insert(file->second).second) continue;
    if (encrypted.contains(file->second))
      fail("{}: is protected (DRM); longspan cannot read it, only the shop's own reader can", source);
    const std::string where = fmt::format("{}: {}", source, excerpt(file->second));
    std::vector<std::string>
        remarks;  // the standard allows UTF-8 and UTF-16; what else a page declares is right
    std::string chapter =
        html_text(decode_text(archive.read(file->second), where, "", remarks), where, false);
    if (chapter.empty()) continue;
    text += fmt::format("{}[chapter {}]\n\n{}", text.empty() ? "" : "\n", ++chapters, chapter);
    if (text.size() > kMostTextBytes)
      fail("{}: has more than {} of text", source, human_bytes(static_cast<double>(kMostTextBytes)));
  }
  if (chapters == 0) fail("{}: is an EPUB without text; are its pages pictures?", source);
  return text;
}

}  // namespace longspan::documents
