// A trie over bytes: finds every key that is a prefix of a text, shortest first. Nodes live in one hash
// table with open addressing, keyed by (parent, byte): building is linear in the bytes of the keys, and a
// step is one probe.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace longspan {

class Trie {
 public:
  /// A key that already exists keeps its first value. value >= 0; empty keys are ignored.
  void insert(std::string_view key, int32_t value);
  bool empty() const { return count_ == 0; }

  /// Calls visit(length, value) for each key that is a prefix of `text`, shortest first.
  template <typename Visit>
  void prefixes(std::string_view text, Visit visit) const {
    uint32_t node = 0;
    for (size_t i = 0; i < text.size(); ++i) {
      const Slot* slot = find(node, static_cast<unsigned char>(text[i]));
      if (!slot) return;
      node = slot->child;
      if (slot->value >= 0) visit(i + 1, slot->value);
    }
  }
  /// Length of the longest key that is a prefix of `text` (0: none) and its value.
  size_t longest(std::string_view text, int32_t& value) const {
    size_t best = 0;
    if (text.empty() || !first_[static_cast<unsigned char>(text[0])]) return 0;
    prefixes(text, [&](size_t length, int32_t v) { best = length, value = v; });
    return best;
  }
  /// Whether some key begins with this byte.
  bool may_start(unsigned char byte) const { return first_[byte]; }

 private:
  struct Slot {
    uint64_t key = ~uint64_t{0};  // parent << 8 | byte
    uint32_t child = 0;
    int32_t value = -1;
  };
  static size_t hash(uint64_t key) { return static_cast<size_t>((key * 0x9E3779B97F4A7C15u) >> 20); }
  const Slot* find(uint32_t node, unsigned char byte) const {
    if (slots_.empty()) return nullptr;
    uint64_t key = uint64_t{node} << 8 | byte;
    for (size_t i = hash(key) & (slots_.size() - 1);; i = (i + 1) & (slots_.size() - 1)) {
      if (slots_[i].key == key) return &slots_[i];
      if (slots_[i].key == ~uint64_t{0}) return nullptr;
    }
  }
  Slot& child(uint32_t node, unsigned char byte);
  void grow();

  std::vector<Slot> slots_;
  uint32_t nodes_ = 1;
  size_t count_ = 0;
  bool first_[256] = {};
};

}  // namespace longspan
