#include "documents/document.h"

#include <algorithm>

#include "base/compressed.h"
#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "documents/decode.h"
#include "documents/encoding.h"
#include "documents/epub.h"
#include "documents/folder.h"
#include "documents/html.h"
#include "documents/limits.h"
#include "documents/office.h"
#include "documents/pdf.h"
#include "documents/zip_file.h"

namespace longspan::documents {

namespace {

namespace fs = std::filesystem;

/// Bytes that are text or HTML.
Reading read_text(std::string bytes, const std::string& source, const std::string& encoding) {
  Reading reading;
  reading.text = decode_text(std::move(bytes), source, encoding, reading.remarks);
  if (is_html(reading.text, source)) reading.text = html_text(reading.text, source);
  normalise_line_ends(reading.text);
  return reading;
}

/// ODF encrypts the parts of an archive, not the archive.
bool has_password(ZipFile& archive) {
  constexpr const char* kManifest = "META-INF/manifest.xml";
  return archive.has(kManifest) && archive.read(kManifest).find("encryption-data") != std::string::npos;
}

Reading read_zip(std::string_view bytes, const std::string& source) {
  ZipFile archive(bytes, source);
  std::string type = archive.has("mimetype") ? archive.read("mimetype") : "";
  type.resize(std::min(type.size(), type.find_last_not_of(" \r\n") + 1));
  Reading reading;
  if (archive.has("word/document.xml"))
    reading.text = docx_text(archive, source);
  else if (type == "application/epub+zip" || archive.has("META-INF/container.xml"))
    reading.text = epub_text(archive, source);
  else if (type == "application/vnd.oasis.opendocument.text" && has_password(archive))
    fail("{}: needs a password; save a copy without it first", source);
  else if (type == "application/vnd.oasis.opendocument.text")
    reading.text = odt_text(archive, source);
  else if (archive.has("xl/workbook.xml") || type == "application/vnd.oasis.opendocument.spreadsheet")
    fail("{}: is a spreadsheet; save its sheets as .csv first", source);
  else if (archive.has("ppt/presentation.xml") || type == "application/vnd.oasis.opendocument.presentation")
    fail("{}: is a presentation; save it as PDF first", source);
  else
    fail("{}: is a ZIP archive; unpack it, and give its files or the folder", source);
  normalise_line_ends(reading.text);
  return reading;
}

const char* const kStandardInput = "standard input";

std::string name_of(const fs::path& file) { return file == "-" ? kStandardInput : file.string(); }

/// A film of 40 GiB is refused by its first bytes.
void refuse_before_reading(const fs::path& file) {
  constexpr size_t kHeadBytes = 1024;
  InputFile input(file, InputFile::Pipes::Refused);
  std::string head(kHeadBytes, '\0');
  head.resize(input.read(head.data(), head.size()));
  if (Sort sort = sort_of(head, file); sort.kind == Kind::kForeign && !is_packed(head))
    fail("{}", refusal_of(sort, file.string()));
  if (auto size = fs::file_size(file); size > kMostTextBytes)
    fail("{}: has {}; one document may have {} at most", file.string(),
         human_bytes(static_cast<double>(size)), human_bytes(static_cast<double>(kMostTextBytes)));
}

/// The name that the line before a file's text shows: without folders where that is clear.
std::string shown_name(const fs::path& file, const std::vector<fs::path>& all) {
  auto same = std::count_if(all.begin(), all.end(),
                            [&](const fs::path& other) { return other.filename() == file.filename(); });
  return file == "-" ? kStandardInput : same > 1 ? file.string() : file.filename().string();
}

}  // namespace

std::string refusal_of(const Sort& sort, const std::string& source) {
  return fmt::format("{}: is {}; {}", source, sort.what, sort.way_out);
}

Reading read_unpacked(std::string bytes, const std::string& source, const std::string& encoding) {
  Sort sort = sort_of(bytes, source);
  switch (sort.kind) {
    case Kind::kForeign:
      fail("{}", refusal_of(sort, source));
    case Kind::kPdf: {
      Reading reading;
      reading.text = pdf_text(bytes, source, reading.remarks);
      return reading;
    }
    case Kind::kZip:
      return read_zip(bytes, source);
    case Kind::kText:
      break;
  }
  return read_text(std::move(bytes), source, encoding);
}

Reading read_document(std::string bytes, const std::string& source, const std::string& encoding) {
  const fs::path name = source;
  if (is_packed(bytes) || content_name(name) != name.filename()) bytes = unpack(bytes, source);
  return read_unpacked(std::move(bytes), source, encoding);
}

Reading read_document(const fs::path& file, const std::string& encoding) {
  if (file != "-" && fs::is_regular_file(file)) refuse_before_reading(file);
  return read_document(read_text_file(file), name_of(file), encoding);
}

Reading read_documents(const std::vector<fs::path>& files, const std::string& encoding) {
  Reading all;
  std::vector<fs::path> single;
  for (const fs::path& file : files) {
    if (!fs::is_directory(file)) {
      single.push_back(file);
      continue;
    }
    Folder folder = list_folder(file);
    if (folder.files.empty() && folder.left.empty())
      fail("{}: is a folder without files; a text was expected", name_of(file));
    if (folder.files.empty()) fail("{}", folder.remark);
    all.remarks.push_back(folder.remark);
    single.insert(single.end(), folder.files.begin(), folder.files.end());
  }
  for (const fs::path& file : single) {
    Reading one = read_document(file, encoding);
    if (one.text.empty()) fail("{}: is empty; a text was expected", name_of(file));
    all.remarks.insert(all.remarks.end(), one.remarks.begin(), one.remarks.end());
    if (single.size() == 1) {
      all.text = std::move(one.text);
      break;
    }
    if (!all.text.empty()) all.text += all.text.ends_with('\n') ? "\n" : "\n\n";
    all.text += fmt::format("[file: {}]\n\n{}", excerpt(shown_name(file, single), 200), one.text);
  }
  return all;
}

}  // namespace longspan::documents
