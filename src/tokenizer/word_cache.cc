#include "tokenizer/word_cache.h"

#include <algorithm>
#include <cstring>

namespace longspan {

namespace {

constexpr size_t kFirstSlots = 1 << 10, kMostSlots = 1 << 17;

uint64_t mix(uint64_t a, uint64_t b) {
  auto product = static_cast<unsigned __int128>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

uint64_t load(const char* p, size_t bytes) {
  uint64_t value = 0;
  std::memcpy(&value, p, bytes);
  return value;
}

uint64_t hash_word(std::string_view w) {
  uint64_t h = w.size();
  const char* p = w.data();
  size_t n = w.size();
  for (; n > 8; p += 8, n -= 8) h = mix(h ^ load(p, 8), 0x9E3779B97F4A7C15u);
  return mix(h ^ load(p, n), 0xD6E8FEB86659FD93u);
}

}  // namespace

bool WordCache::find(std::string_view word, std::span<const int32_t>& ids) const {
  if (slots_.empty()) return false;
  uint64_t h = hash_word(word);
  auto tag = static_cast<uint32_t>(h >> 32);
  for (size_t i = h & (slots_.size() - 1);; i = (i + 1) & (slots_.size() - 1)) {
    const Slot& s = slots_[i];
    if (s.key_bytes == 0) return false;
    if (s.hash != tag || s.key_bytes != word.size()) continue;
    if (std::memcmp(keys_.data() + s.key, word.data(), word.size()) != 0) continue;
    ids = {ids_.data() + s.ids, s.count};
    return true;
  }
}

void WordCache::insert(std::string_view word, std::span<const int32_t> ids) {
  if ((used_ + 1) * 2 > slots_.size()) grow();
  uint64_t h = hash_word(word);
  size_t i = h & (slots_.size() - 1);
  while (slots_[i].key_bytes != 0) i = (i + 1) & (slots_.size() - 1);
  slots_[i] = {static_cast<uint32_t>(h >> 32), static_cast<uint32_t>(keys_.size()),
               static_cast<uint16_t>(word.size()), static_cast<uint16_t>(ids.size()),
               static_cast<uint32_t>(ids_.size())};
  keys_ += word;
  ids_.insert(ids_.end(), ids.begin(), ids.end());
  ++used_;
}

void WordCache::grow() {
  std::vector<Slot> old(slots_.empty() ? kFirstSlots : std::min(slots_.size() * 2, kMostSlots));
  bool full = slots_.size() == kMostSlots;
  old.swap(slots_);
  if (full) {
    keys_.clear();
    ids_.clear();
    used_ = 0;
    return;
  }
  for (auto& s : old) {
    if (s.key_bytes == 0) continue;
    size_t i = hash_word(std::string_view(keys_).substr(s.key, s.key_bytes)) & (slots_.size() - 1);
    while (slots_[i].key_bytes != 0) i = (i + 1) & (slots_.size() - 1);
    slots_[i] = s;
  }
}

}  // namespace longspan
