#include "generate/model_digest.h"

#include <fmt/core.h>
#include <xxhash.h>

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "base/threads.h"

namespace longspan {

namespace {

std::string hex(XXH128_hash_t digest) { return fmt::format("{:016x}{:016x}", digest.high64, digest.low64); }

/// Of the digests of its blocks, which all threads compute.
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

Json read_known(const std::filesystem::path& known) {
  try {
    if (Json json = parse_json_file(known); json.is_object()) return json;
  } catch (const Error&) {
    // Missing or damaged: digested once more.
  }
  return Json::object();
}

}  // namespace

std::string model_digest(const Engine& engine, const std::filesystem::path& known) {
  constexpr size_t kMostKnown = 256;  // files; beyond, most are of models that are gone
  Json digests = read_known(known);
  bool changed = false;
  std::string all = engine.config_text();
  for (const MappedFile& file : engine.files()) {
    auto found = digests.find(file.stamp());
    if (found == digests.end() || !found->is_string()) {
      if (digests.size() >= kMostKnown) digests.clear();
      digests[file.stamp()] = file_digest(file.bytes());
      found = digests.find(file.stamp());
      changed = true;
    }
    all += "\n" + found->get<std::string>();
  }
  try {
    if (changed) write_file_atomic(known, dump_json(digests));
  } catch (const Error&) {
    // A folder that only can be read.
  }
  return hex(XXH3_128bits(all.data(), all.size()));
}

}  // namespace longspan
