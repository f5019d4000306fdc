// HTML, and XHTML as EPUB has it, to text.
#pragma once

#include <string>
#include <string_view>

namespace longspan::documents {

/// What a page declares its encoding to be, in a <meta> or an XML declaration; "" when it does not.
std::string declared_encoding(std::string_view bytes);

/// The text of a page, which is UTF-8. Scripts and styles are left out. The page's title comes first where
/// no heading of the first level has it, unless `with_title` is false. Error naming `source` when elements
/// nest too deep or the text is too long.
std::string html_text(std::string_view page, const std::string& source, bool with_title = true);

}  // namespace longspan::documents
