// THE reader of what people give as text, for every command: text in any encoding, HTML, PDF, EPUB, DOCX,
// ODT, plain or compressed, to UTF-8 with line feeds. What holds no text is refused with one sentence that
// says what it is and what to do. Nothing is printed here: remarks are for the caller to show.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "documents/kind.h"

namespace longspan::documents {

struct Reading {
  std::string text;                  // UTF-8, lines end in \n, no byte order mark
  std::vector<std::string> remarks;  // sentences: the encoding unless it is UTF-8, pages without text, ...
};

// Below, `encoding` is the user's --encoding, for texts and HTML; "" recognises it.

/// "FILE: is a PNG image; run OCR over it first (tesseract)": of a sort that is kForeign.
std::string refusal_of(const Sort& sort, const std::string& source);

/// Bytes that came from somewhere. `source` names them in messages, and its ending says HTML where the bytes
/// leave it open. They may be compressed.
Reading read_document(std::string bytes, const std::string& source, const std::string& encoding);

/// The same for bytes that are not compressed, whatever the name says.
Reading read_unpacked(std::string bytes, const std::string& source, const std::string& encoding);

/// A file or a pipe of 1 GiB at most; "-" is standard input. Error as above, and when it is missing or not
/// readable.
Reading read_document(const std::filesystem::path& file, const std::string& encoding);

/// Several files and folders in order, each behind a line "[file: NAME]" when there is more than one. Error
/// also when one is empty.
Reading read_documents(const std::vector<std::filesystem::path>& files, const std::string& encoding);

}  // namespace longspan::documents
