// What a document may have at most: bytes from outside decide no allocation.
#pragma once

#include <cstddef>

namespace longspan::documents {

inline constexpr size_t kMostTextBytes = size_t{1} << 30;      // of one document
inline constexpr size_t kMostPartBytes = size_t{256} << 20;    // of one file inside an EPUB or DOCX, unpacked
inline constexpr size_t kMostUnpackedBytes = size_t{1} << 30;  // of all of them

}  // namespace longspan::documents
