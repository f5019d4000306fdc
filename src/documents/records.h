// Files of corpora and data sets: lines of JSON, one after the other, or a document.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "documents/document.h"
#include "documents/kind.h"

namespace longspan::documents {

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
