// What kind of file some bytes are: the documents that longspan reads, and files that hold no text, with what
// to do about them. The bytes decide, not the name; the name only helps where a text could be either, or
// wraps what it holds (a notebook, a message).
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace longspan::documents {

enum class Kind { kText, kPdf, kZip, kForeign };

struct Sort {
  Kind kind = Kind::kText;
  const char* what = "";     // of kForeign: "a PNG image"
  const char* way_out = "";  // "run OCR over it first (tesseract)"
};
/// By the first bytes of a file; 1 KiB is enough. ZIP archives may be EPUB, DOCX, ODT or something else.
Sort sort_of(std::string_view begin, const std::filesystem::path& name);

/// Whether a text, decoded, is an HTML page: it begins like one, or its name says so and it has elements.
bool is_html(std::string_view text, const std::filesystem::path& name);

/// How JSON lies in a text.
enum class JsonForm {
  kNone,    // it is no JSON, or a text in which JSON is quoted
  kLines,   // an object on each line
  kList,    // one list
  kObject,  // one object over several lines
};
/// By the name's ending (.jsonl, .ndjson, .jsonlines mean lines; .json may be anything) and by how the text
/// begins: lines are recognised under any name by a first line that is a whole object. `begin` is UTF-8;
/// `whole`: nothing follows it.
JsonForm json_form(std::string_view begin, bool whole, const std::filesystem::path& name);

/// Whether the file of a folder is a document by its name: texts, documents, source code, JSON. README and
/// LICENSE are not.
bool is_document_name(const std::filesystem::path& name);

}  // namespace longspan::documents
