// ZIP archives (PKWARE's APPNOTE, with its 64-bit records) as torch.save writes them: every entry is stored
// uncompressed, so that an entry is a view of the file. The directory at the end of the file is
// authoritative; of the header before an entry's bytes only the length is read, because some writers leave
// its sizes empty.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>

namespace longspan {

using ZipEntries = std::unordered_map<std::string_view, std::span<const std::byte>>;

/// Name -> bytes. Error naming `file` (and the entry) when the archive is truncated, damaged, split,
/// compressed or encrypted. Allocates in proportion to the directory's bytes.
ZipEntries read_zip(std::span<const std::byte> bytes, const std::string& file);

}  // namespace longspan
