// THE reader of what people give as text, for every command: text in any encoding, HTML, PDF, EPUB, DOCX,
// ODT, plain or compressed, to UTF-8 with line feeds. What holds no text is refused with one sentence that
// says what it is and what to do. Nothing is printed here: remarks are for the caller to show.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "documents/kind.h"

namespace longspan::documents {

struct Reading {
  std::string text;                  // UTF-8, lines end in \n, no byte order mark
  std::vector<std::string> remarks;  // sentences: the encoding unless it is UTF-8, pages without text, ...
};

// Below, `encoding` is the user's --encoding, for texts and HTML; "" recognises it.

/// Bytes that came from somewhere. `source` names them in messages, and its ending says HTML where the bytes
/// leave it open. They may be compressed.
Reading read_document(std::string bytes, const std::string& source, const std::string& encoding);

/// A file or a pipe; "-" is standard input. Error as above, and when it is missing or not readable.
Reading read_document(const std::filesystem::path& file, const std::string& encoding);

/// Several files and folders in order, each behind a line "[file: NAME]" when there is more than one. Error
/// also when one is empty.
Reading read_documents(const std::vector<std::filesystem::path>& files, const std::string& encoding);

/// A file as a corpus has it. Lines of JSON are streamed, anything else is a document of its own.
struct RecordHandlers {
  /// Returns false to stop. `number` from 1; `read`: bytes of the file read so far.
  std::function<bool(std::string_view line, int64_t number, int64_t read)> line;
  /// The whole file, when it is not JSON lines. With JSON in another form the caller decides.
  std::function<void(Reading&& reading, JsonForm form, int64_t read)> text;
  /// The file holds no text, or text that cannot be decoded: the sentence that read_document would fail with.
  std::function<void(const std::string&)> refused;
  std::function<void(std::string)> remark;
};
/// Lines that are UTF-8 come as they are, whatever is wrong with single ones; others are decoded first.
/// Error when the file is missing or unreadable, its compression damaged, or a line longer than 1 GiB.
void read_records(const std::filesystem::path& file, const std::string& encoding,
                  const RecordHandlers& handlers);

/// Lines of a file of records, whatever its name: body(line, number from 1), until it returns false.
void read_lines(const std::filesystem::path& file,
                const std::function<bool(std::string_view, int64_t)>& body);

/// Whether the lines of a file lie in it as read_lines() gives them: not compressed, UTF-8, without a mark.
bool lies_plain(const std::filesystem::path& file);

}  // namespace longspan::documents
