#include "tokenizer/charsmap.h"

#include <cstring>

#include "base/error.h"

namespace longspan {

namespace {
// A unit: bits 0-7 label, 8 "has a value", 10-30 offset (shifted by 8 more when bit 9 is set), 31 "is a
// value".
uint32_t offset_of(uint32_t unit) { return (unit >> 10) << ((unit & 0x200) >> 6); }
uint32_t label_of(uint32_t unit) { return unit & 0x800000FF; }
bool has_value(uint32_t unit) { return (unit >> 8) & 1; }
}  // namespace

Charsmap::Charsmap(std::string_view blob, const std::string& source) {
  uint32_t bytes = 0;
  if (blob.size() >= 4) std::memcpy(&bytes, blob.data(), 4);
  if (blob.size() < 4 || bytes % 4 != 0 || bytes == 0 || bytes > blob.size() - 4)
    fail("{}: the precompiled character map of {} bytes is damaged: its trie does not fit in it", source,
         blob.size());
  units_.resize(bytes / 4);
  std::memcpy(units_.data(), blob.data() + 4, bytes);
  pool_ = blob.substr(4 + bytes);
}

Charsmap::Match Charsmap::prefix(std::string_view text, bool longest) const {
  Match match;
  uint64_t node = offset_of(units_[0]);
  for (size_t i = 0; i < text.size(); ++i) {
    auto byte = static_cast<unsigned char>(text[i]);
    node ^= byte;
    if (node >= units_.size() || label_of(units_[node]) != byte) break;
    uint32_t unit = units_[node];
    node ^= offset_of(unit);
    if (!has_value(unit)) continue;
    if (node >= units_.size()) break;
    size_t at = units_[node] & 0x7FFFFFFF;
    if (at >= pool_.size()) break;
    match.length = i + 1;
    match.replacement = std::string_view(pool_).substr(at, pool_.find('\0', at) - at);
    if (!longest) break;
  }
  return match;
}

}  // namespace longspan
