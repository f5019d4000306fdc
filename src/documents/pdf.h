// PDF to text, through poppler: the pages in order, each behind a line "[page N]".
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace longspan::documents {

/// Pages without text are left out and named in a remark. Error naming `source` when the file is damaged or
/// needs a password, and when no page has text, as in a scan.
std::string pdf_text(std::string_view bytes, const std::string& source, std::vector<std::string>& remarks);

}  // namespace longspan::documents
