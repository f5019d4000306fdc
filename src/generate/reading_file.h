// A file of a read text: the tokens, and the pages of their keys and values. Numbers are little-endian:
//   16 bytes  "longspan reading"
//   u64 x 4   format version, bytes of the key, tokens, bytes of a page
//   the key   what decides the keys and values, as text (reading_store.h)
//   i32       tokens
//   u64       XXH3 of each page
//   u64       XXH3 of everything before
// then zeros up to a multiple of kReadingAlignment, and the pages. Every bit of a file is checked before it
// is used; whatever does not fit is an Error that names the file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"

namespace longspan {

constexpr uint64_t kReadingVersion = 1;
constexpr int64_t kReadingAlignment = 64;

struct ReadingHeader {
  std::string key;
  std::vector<int32_t> ids;
  int64_t page_bytes = 0;
  std::vector<uint64_t> digests;  // of the pages
};

/// Bytes of a file with these contents.
int64_t reading_bytes(size_t key_bytes, int64_t tokens, int64_t pages, int64_t page_bytes);

/// The header of a whole file. Error naming it when a size or the header's digest does not fit.
ReadingHeader parse_reading(std::span<const std::byte> bytes, const std::string& name);

/// Page i of a file with that header. Error naming it when the page's digest does not fit.
std::span<const std::byte> reading_page(std::span<const std::byte> bytes, const ReadingHeader& header,
                                        int64_t i, const std::string& name);

/// Writes a file through `file`, an empty file open for writing, and waits until it is on the disk.
/// page(i, to) writes page i to memory; `header.digests` is filled in. Error naming `name`.
void write_reading(int file, ReadingHeader& header, int64_t pages,
                   const std::function<void(int64_t i, std::byte* to)>& page, const std::string& name);

}  // namespace longspan
