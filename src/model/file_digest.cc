#include "model/file_digest.h"

#include <fmt/core.h>
#include <xxhash.h>

#include <algorithm>
#include <vector>

#include "base/threads.h"

namespace longspan {

namespace {

std::string hex(XXH128_hash_t digest) { return fmt::format("{:016x}{:016x}", digest.high64, digest.low64); }

}  // namespace

std::string file_digest(std::span<const std::byte> bytes) {
  constexpr size_t kBlock = size_t{16} << 20;
  std::vector<XXH128_hash_t> blocks((bytes.size() + kBlock - 1) / kBlock);
  parallel_for(std::ssize(blocks), [&](int64_t i) {
    auto first = static_cast<size_t>(i) * kBlock;
    auto block = bytes.subspan(first, std::min(kBlock, bytes.size() - first));
    blocks[static_cast<size_t>(i)] = XXH3_128bits(block.data(), block.size());
  });
  return hex(XXH3_128bits(blocks.data(), blocks.size() * sizeof(XXH128_hash_t)));
}

std::string text_digest(std::string_view text) { return hex(XXH3_128bits(text.data(), text.size())); }

}  // namespace longspan
