// Bytes of files that may lie compressed: .zst (zstd), .xz, anything else as it is. The name's ending
// decides.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

namespace longspan {

/// "books.jsonl.zst" -> "books.jsonl": the name without an ending that only says how it is packed.
std::filesystem::path content_name(const std::filesystem::path& file);

/// Calls body with a file's unpacked bytes, a chunk at a time, and how many bytes of the file itself were
/// read so far; false ends the reading. Nothing is held beyond the decoder's window (at most 256 MiB). Error:
/// the file is missing, unreadable, or neither a regular file nor a pipe; damaged or cut off, with the place
/// in the file.
void read_bytes(const std::filesystem::path& file,
                const std::function<bool(std::string_view bytes, int64_t read)>& body);

/// The same for bytes in memory, as those of base/resource.h. Error also beyond 1 GiB.
std::string unpack(std::string_view bytes, std::string_view name);

}  // namespace longspan
