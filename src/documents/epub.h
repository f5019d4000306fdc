// EPUB 2 and 3 to text: the chapters in the order of the spine, each behind a line "[chapter N]".
#pragma once

#include <string>

#include "documents/zip_file.h"

namespace longspan::documents {

/// Title and authors come first. Error naming `source` when a part is missing, damaged, or protected (DRM).
std::string epub_text(ZipFile& archive, const std::string& source);

}  // namespace longspan::documents
