#include "checkpoint/zip.h"

#include <cstdint>
#include <cstring>

#include "base/error.h"
#include "base/text.h"
#include "checkpoint/layout.h"

namespace longspan {

namespace {

constexpr uint32_t kEntry = 0x04034b50, kDirectory = 0x02014b50, kEnd = 0x06054b50, kEnd64 = 0x06064b50,
                   kLocator64 = 0x07064b50;
constexpr uint64_t kEntryBytes = 30, kDirectoryBytes = 46, kEndBytes = 22, kEnd64Bytes = 56,
                   kLocator64Bytes = 20, kLongestComment = 65535;
constexpr uint32_t kIn64 = 0xFFFFFFFF;  // the number is in a 64-bit record

struct Archive {
  std::span<const std::byte> bytes;
  const std::string& file;

  bool holds(uint64_t at, uint64_t n) const { return at <= bytes.size() && n <= bytes.size() - at; }

  template <typename T>
  T number(uint64_t at) const {
    if (!holds(at, sizeof(T))) damaged(at);
    T value;
    std::memcpy(&value, bytes.data() + at, sizeof(T));
    return value;
  }

  std::string_view text(uint64_t at, uint64_t n) const {
    if (!holds(at, n)) damaged(at);
    return {reinterpret_cast<const char*>(bytes.data()) + at, n};
  }

  [[noreturn]] void damaged(uint64_t at) const {
    fail("{}: is a ZIP archive with a damaged record at byte {}; download it again", file, at);
  }
};

struct Directory {
  uint64_t entries = 0, bytes = 0, begin = 0;
};

/// Position of the end-of-archive record; only a comment may follow it.
uint64_t find_end(const Archive& a) {
  uint64_t size = a.bytes.size();
  for (uint64_t comment = 0; comment <= kLongestComment && comment + kEndBytes <= size; ++comment) {
    uint64_t at = size - kEndBytes - comment;
    if (a.number<uint32_t>(at) == kEnd && a.number<uint16_t>(at + 20) == comment) return at;
  }
  fail("{}: is truncated: a ZIP archive ends with its directory, which is missing; download it again",
       a.file);
}

Directory find_directory(const Archive& a) {
  uint64_t end = find_end(a);
  if (a.number<uint16_t>(end + 4) != a.number<uint16_t>(end + 6))
    fail("{}: is one part of a split ZIP archive", a.file);
  Directory d{a.number<uint16_t>(end + 10), a.number<uint32_t>(end + 12), a.number<uint32_t>(end + 16)};
  if (end >= kLocator64Bytes && a.number<uint32_t>(end - kLocator64Bytes) == kLocator64) {
    auto at = a.number<uint64_t>(end - kLocator64Bytes + 8);
    if (!a.holds(at, kEnd64Bytes) || a.number<uint32_t>(at) != kEnd64) a.damaged(end - kLocator64Bytes);
    d = {a.number<uint64_t>(at + 32), a.number<uint64_t>(at + 40), a.number<uint64_t>(at + 48)};
  }
  if (!a.holds(d.begin, d.bytes) || d.entries > d.bytes / kDirectoryBytes) a.damaged(end);
  return d;
}

/// The directory's description of one entry.
struct Listed {
  std::string_view name;
  uint64_t packed = 0, bytes = 0, begin = 0;
};

/// Numbers of 4 GB and more are in a block of the extra field: only those that did not fit, in this order.
void read_numbers_64(const Archive& a, Listed& e, uint64_t at, uint64_t end) {
  while (at + 4 <= end) {
    auto id = a.number<uint16_t>(at), bytes = a.number<uint16_t>(at + 2);
    at += 4;
    if (id == 1) {
      for (uint64_t* n : {&e.bytes, &e.packed, &e.begin}) {
        if (*n != kIn64) continue;
        if (at + 8 > end) a.damaged(at);
        *n = a.number<uint64_t>(at);
        at += 8;
      }
      return;
    }
    at += bytes;
  }
}

/// Reads the directory entry at `at` and moves `at` past it.
Listed read_listed(const Archive& a, uint64_t& at) {
  if (a.number<uint32_t>(at) != kDirectory) a.damaged(at);
  auto flags = a.number<uint16_t>(at + 8), method = a.number<uint16_t>(at + 10);
  auto name = a.number<uint16_t>(at + 28), extra = a.number<uint16_t>(at + 30),
       comment = a.number<uint16_t>(at + 32);
  Listed e{a.text(at + kDirectoryBytes, name), a.number<uint32_t>(at + 20), a.number<uint32_t>(at + 24),
           a.number<uint32_t>(at + 42)};
  if (flags & 1) fail("{}: its entry {} is encrypted", a.file, in_quotes(e.name));
  if (method != 0)
    fail("{}: its entry {} is compressed; torch.save stores entries as they are: save it again", a.file,
         in_quotes(e.name));
  uint64_t extra_at = at + kDirectoryBytes + name;
  a.text(extra_at, extra);
  read_numbers_64(a, e, extra_at, extra_at + extra);
  at = extra_at + extra + comment;
  return e;
}

}  // namespace

ZipEntries read_zip(std::span<const std::byte> bytes, const std::string& file) {
  Archive a{bytes, file};
  Directory directory = find_directory(a);
  ZipEntries entries;
  uint64_t at = directory.begin;
  for (uint64_t i = 0; i < directory.entries; ++i) {
    Listed e = read_listed(a, at);
    if (!a.holds(e.begin, kEntryBytes) || a.number<uint32_t>(e.begin) != kEntry || e.packed != e.bytes)
      fail("{}: its entry {} is damaged; download the file again", file, in_quotes(e.name));
    uint64_t data =
        e.begin + kEntryBytes + a.number<uint16_t>(e.begin + 26) + a.number<uint16_t>(e.begin + 28);
    if (!a.holds(data, e.bytes))
      fail("{}: its entry {} has {} bytes from byte {} on, the file ends after {}: it is damaged", file,
           in_quotes(e.name), e.bytes, data, bytes.size());
    if (!entries.emplace(e.name, bytes.subspan(data, e.bytes)).second)
      fail("{}: holds the entry {} twice", file, in_quotes(e.name));
  }
  return entries;
}

}  // namespace longspan
