// Remembers the ids of pieces already encoded, so that a common word costs one hash and one comparison. Words
// repeat (Zipf): some tens of thousands of entries cover nearly every piece of a long text. A full cache is
// emptied, which needs no bookkeeping.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace longspan {

class WordCache {
 public:
  static constexpr size_t kMaxWord = 96;  // bytes

  /// False when the word is not cached. `word` has 1 to kMaxWord bytes.
  bool find(std::string_view word, std::span<const int32_t>& ids) const;
  void insert(std::string_view word, std::span<const int32_t> ids);

 private:
  struct Slot {
    uint32_t hash = 0;                  // the hash bits that do not choose the slot
    uint32_t key = 0;                   // offset of the word in keys_
    uint16_t key_bytes = 0, count = 0;  // key_bytes 0: free
    uint32_t ids = 0;                   // offset of its ids in ids_
  };
  void grow();

  std::vector<Slot> slots_;
  size_t used_ = 0;
  std::string keys_;
  std::vector<int32_t> ids_;
};

}  // namespace longspan
