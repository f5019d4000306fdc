// Remembers the ids of the pieces met, so that a common word costs one hash and one compare. Words repeat
// (Zipf), and a cache of some tens of thousands answers nearly every piece of a long text. Full means
// emptied: no bookkeeping.
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

  /// False when the word is not there. `word` is of 1..kMaxWord bytes.
  bool find(std::string_view word, std::span<const int32_t>& ids) const;
  void insert(std::string_view word, std::span<const int32_t> ids);

 private:
  struct Slot {
    uint32_t hash = 0;                  // the bits that choose no slot
    uint32_t key = 0;                   // where the word stands in keys_
    uint16_t key_bytes = 0, count = 0;  // key_bytes 0: free
    uint32_t ids = 0;                   // where its ids stand in ids_
  };
  void grow();

  std::vector<Slot> slots_;
  size_t used_ = 0;
  std::string keys_;
  std::vector<int32_t> ids_;
};

}  // namespace longspan
