#include "generate/reading_file.h"

#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/error.h"
#include "model/kv_pool.h"

namespace longspan {

namespace {

constexpr char kMagic[] = "longspan reading";
constexpr size_t kMagicBytes = 16;

/// After the magic.
struct Fixed {
  uint64_t version, key_bytes, tokens, page_bytes;
};
static_assert(sizeof(Fixed) == 32);
constexpr size_t kFixedEnd = kMagicBytes + sizeof(Fixed);

/// Header and its digest.
size_t header_bytes(size_t key_bytes, size_t tokens, size_t pages) {
  return kFixedEnd + key_bytes + tokens * sizeof(int32_t) + (pages + 1) * sizeof(uint64_t);
}

int64_t data_offset(size_t header) {
  return (static_cast<int64_t>(header) + kReadingAlignment - 1) / kReadingAlignment * kReadingAlignment;
}

[[noreturn]] void damaged(const std::string& name, const char* what) {
  fail("{}: is damaged: {}", name, what);
}

template <typename T>
void append(std::string& bytes, const std::vector<T>& values) {
  bytes.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
}

std::string encode(const ReadingHeader& header) {
  std::string bytes(kMagic, kMagicBytes);
  Fixed fixed{kReadingVersion, header.key.size(), header.ids.size(),
              static_cast<uint64_t>(header.page_bytes)};
  bytes.append(reinterpret_cast<const char*>(&fixed), sizeof fixed);
  bytes += header.key;
  append(bytes, header.ids);
  append(bytes, header.digests);
  append(bytes, std::vector<uint64_t>{XXH3_64bits(bytes.data(), bytes.size())});
  return bytes;
}

void put(int file, const void* data, size_t bytes, int64_t offset, const std::string& name) {
  const auto* at = static_cast<const char*>(data);
  while (bytes > 0) {
    ssize_t n = ::pwrite(file, at, std::min(bytes, size_t{1} << 30), offset);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) fail("{}: writing failed: {}", name, std::strerror(errno));
    at += n, bytes -= static_cast<size_t>(n), offset += n;
  }
}

}  // namespace

int64_t reading_bytes(size_t key_bytes, int64_t tokens, int64_t pages, int64_t page_bytes) {
  return data_offset(header_bytes(key_bytes, static_cast<size_t>(tokens), static_cast<size_t>(pages))) +
         pages * page_bytes;
}

ReadingHeader parse_reading(std::span<const std::byte> bytes, const std::string& name) {
  Fixed fixed;
  if (bytes.size() < kFixedEnd || std::memcmp(bytes.data(), kMagic, kMagicBytes) != 0)
    damaged(name, "it does not begin as a file of this kind");
  std::memcpy(&fixed, bytes.data() + kMagicBytes, sizeof fixed);
  if (fixed.version != kReadingVersion)
    fail("{}: has format version {}, this program reads version {}", name, fixed.version, kReadingVersion);
  // Each is held against the size of the file before anything is multiplied or allocated.
  if (fixed.key_bytes > bytes.size() || fixed.tokens == 0 || fixed.tokens > bytes.size() / sizeof(int32_t) ||
      fixed.page_bytes == 0 || fixed.page_bytes > bytes.size())
    damaged(name, "its header names sizes beyond that of the file");
  auto pages = static_cast<size_t>(pages_for(static_cast<int64_t>(fixed.tokens)));
  if (pages > bytes.size() / fixed.page_bytes ||
      reading_bytes(fixed.key_bytes, static_cast<int64_t>(fixed.tokens), static_cast<int64_t>(pages),
                    static_cast<int64_t>(fixed.page_bytes)) != std::ssize(bytes))
    damaged(name, "its size is not the one that its header names");
  size_t end = header_bytes(fixed.key_bytes, fixed.tokens, pages) - sizeof(uint64_t);
  uint64_t digest;
  std::memcpy(&digest, bytes.data() + end, sizeof digest);
  if (digest != XXH3_64bits(bytes.data(), end)) damaged(name, "the digest of its header does not fit");
  ReadingHeader header;
  const std::byte* at = bytes.data() + kFixedEnd;
  header.key.assign(reinterpret_cast<const char*>(at), fixed.key_bytes);
  header.ids.resize(fixed.tokens);
  header.digests.resize(pages);
  at += fixed.key_bytes;
  std::memcpy(header.ids.data(), at, fixed.tokens * sizeof(int32_t));
  std::memcpy(header.digests.data(), at + fixed.tokens * sizeof(int32_t), pages * sizeof(uint64_t));
  header.page_bytes = static_cast<int64_t>(fixed.page_bytes);
  return header;
}

std::span<const std::byte> reading_page(std::span<const std::byte> bytes, const ReadingHeader& header,
                                        int64_t i, const std::string& name) {
  size_t pages = header.digests.size(), size = static_cast<size_t>(header.page_bytes);
  auto page = bytes.subspan(bytes.size() - (pages - static_cast<size_t>(i)) * size, size);
  if (XXH3_64bits(page.data(), page.size()) != header.digests[static_cast<size_t>(i)])
    damaged(name, "the digest of its keys and values does not fit");
  return page;
}

void write_reading(int file, ReadingHeader& header, int64_t pages,
                   const std::function<void(int64_t i, std::byte* to)>& page, const std::string& name) {
  int64_t offset = reading_bytes(header.key.size(), std::ssize(header.ids), pages, header.page_bytes) -
                   pages * header.page_bytes;
  std::vector<std::byte> buffer(static_cast<size_t>(header.page_bytes));
  header.digests.clear();
  for (int64_t i = 0; i < pages; ++i) {
    page(i, buffer.data());
    header.digests.push_back(XXH3_64bits(buffer.data(), buffer.size()));
    put(file, buffer.data(), buffer.size(), offset + i * header.page_bytes, name);
  }
  std::string bytes = encode(header);
  put(file, bytes.data(), bytes.size(), 0, name);
  if (::fsync(file) != 0) fail("{}: writing failed: {}", name, std::strerror(errno));
}

}  // namespace longspan
