#include "tokenizer/trie.h"

namespace longspan {

void Trie::insert(std::string_view key, int32_t value) {
  if (key.empty()) return;
  first_[static_cast<unsigned char>(key[0])] = true;
  uint32_t node = 0;
  for (size_t i = 0; i < key.size(); ++i) {
    Slot& slot = child(node, static_cast<unsigned char>(key[i]));
    node = slot.child;
    if (i + 1 == key.size() && slot.value < 0) slot.value = value, ++count_;
  }
}

Trie::Slot& Trie::child(uint32_t node, unsigned char byte) {
  if ((nodes_ + 1) * size_t{2} > slots_.size()) grow();
  uint64_t key = uint64_t{node} << 8 | byte;
  size_t i = hash(key) & (slots_.size() - 1);
  while (slots_[i].key != key && slots_[i].key != ~uint64_t{0}) i = (i + 1) & (slots_.size() - 1);
  if (slots_[i].key != key) slots_[i].key = key, slots_[i].child = nodes_++;
  return slots_[i];
}

void Trie::grow() {
  std::vector<Slot> old(slots_.empty() ? 64 : slots_.size() * 2);
  old.swap(slots_);
  for (auto& slot : old) {
    if (slot.key == ~uint64_t{0}) continue;
    size_t i = hash(slot.key) & (slots_.size() - 1);
    while (slots_[i].key != ~uint64_t{0}) i = (i + 1) & (slots_.size() - 1);
    slots_[i] = slot;
  }
}

}  // namespace longspan
