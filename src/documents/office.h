// Word's DOCX and LibreOffice's ODT to text: paragraphs, headings, lists, tables, footnotes. Headers,
// footers, comments and what tracked changes have deleted are left out.
#pragma once

#include <string>

#include "documents/zip_file.h"

namespace longspan::documents {

/// Error naming `source` when a part is missing, damaged or encrypted, or beyond the limits.
std::string docx_text(ZipFile& archive, const std::string& source);
std::string odt_text(ZipFile& archive, const std::string& source);

}  // namespace longspan::documents
