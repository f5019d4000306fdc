// Reads files that may be compressed with gzip, xz, zstd or bzip2. How the bytes begin decides; a file that
// is only named as if it were compressed is an error. Anything else is read as it is.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace longspan {

/// The endings of names that mean compression: ".gz", ".xz", ".zst", ".bz2".
const std::vector<std::string>& packed_endings();

/// "books.jsonl.zst" -> "books.jsonl": the name without the ending that says how the file is compressed.
std::filesystem::path content_name(const std::filesystem::path& file);

/// The ending of a name in lower case: ".jsonl" of "BOOKS.JSONL".
std::string lower_extension(const std::filesystem::path& file);

/// Whether these bytes, the first of a file, are those of compressed data. 10 bytes are enough.
bool is_packed(std::string_view begin);

/// Calls body with the decompressed bytes of a file, one chunk at a time, and the number of bytes of the file
/// itself read so far; reading stops when it returns false. Memory is bounded by the decoder's window (at
/// most 256 MiB). Error: the file is missing, unreadable or neither a regular file nor a pipe, or it is
/// damaged or truncated, with the place in the file.
void read_bytes(const std::filesystem::path& file,
                const std::function<bool(std::string_view bytes, int64_t read)>& body);

/// The same for bytes in memory, such as those of base/resource.h. Error also beyond 1 GiB.
std::string unpack(std::string_view bytes, std::string_view name);

}  // namespace longspan
