// Byte-pair encoding of one piece: start from its characters (or bytes) and repeatedly join the adjacent pair
// of lowest rank, the leftmost of equals (Sennrich et al., arXiv 1508.07909). tokenizer.json ranks pairs by
// their position in `merges`, SentencePiece by the score of the piece that they form; here both are one table
// of pairs.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace longspan {

/// (left, right) -> rank and joined symbol; open addressing.
class PairTable {
 public:
  struct Join {
    uint32_t rank;
    int32_t symbol;
  };
  static constexpr uint32_t kNever = 0xFFFFFFFF;

  void reserve(size_t pairs);
  /// A later entry for the same pair replaces the earlier one.
  void set(int32_t left, int32_t right, uint32_t rank, int32_t symbol);
  /// The rank is kNever when the pair does not join.
  Join find(int32_t left, int32_t right) const {
    if (slots_.empty()) return {kNever, -1};
    uint64_t key = key_of(left, right);
    for (size_t i = hash(key) & mask_;; i = (i + 1) & mask_) {
      if (slots_[i].key == key) return slots_[i].join;
      if (slots_[i].key == kEmpty) return {kNever, -1};
    }
  }
  size_t size() const { return count_; }

 private:
  static constexpr uint64_t kEmpty = ~uint64_t{0};
  struct Slot {
    uint64_t key = kEmpty;
    Join join{kNever, -1};
  };
  static uint64_t key_of(int32_t left, int32_t right) {
    return uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right);
  }
  static size_t hash(uint64_t key) {
    key *= 0x9E3779B97F4A7C15u;
    return static_cast<size_t>(key ^ key >> 32);
  }
  std::vector<Slot> slots_;
  size_t mask_ = 0, count_ = 0;
};

struct BpeSymbol {
  int32_t id;           // negative: a character outside the vocabulary
  uint32_t begin, end;  // bytes of the piece
  int32_t previous, next;
  uint32_t rank;   // of the pair (this, next)
  int32_t joined;  // the symbol that the pair forms
};

/// Scratch memory that encode() reuses from piece to piece.
struct BpeScratch {
  struct Halves {
    int32_t left, right;
    uint32_t left_bytes;
  };
  std::vector<BpeSymbol> symbols;
  std::vector<std::pair<uint32_t, uint32_t>> heap;  // rank, symbol
  std::unordered_map<int32_t, Halves> halves;       // of the unused pieces encountered
};

struct Bpe {
  PairTable pairs;
  bool byte_level = false;                           // the piece is bytes: start from byte_symbol
  std::array<int32_t, 256> byte_symbol;              // -1: not in the vocabulary
  std::unordered_map<char32_t, int32_t> characters;  // the symbol of each character that has one
  std::array<int32_t, 256> byte_token;               // "<0x0A>" for byte fallback; -1: none
  bool byte_fallback = false;
  int32_t unknown = -1;
  bool fuse_unknown = false;
  // ignore_merges: a piece that is itself a token stays whole.
  std::unordered_map<std::string, int32_t> whole_pieces;
  // SentencePiece decides what is unknown after joining: characters that are not tokens may still join into
  // one. Their symbols are numbered from `tokens` on.
  bool unknown_after_joining = false;
  int32_t tokens = 0;
  // SentencePiece: pieces that joins may form, but that are split again at the end.
  std::unordered_set<int32_t> unused;
  // No join crosses a "▁" that follows another character, so pieces may be split there.
  bool cut_before_spaces = false;

  Bpe() {
    byte_symbol.fill(-1);
    byte_token.fill(-1);
  }
  /// Appends the ids of a piece of at most 2^31 bytes.
  void encode(std::string_view piece, BpeScratch& scratch, std::vector<int32_t>& out) const;

 private:
  void first_symbols(std::string_view piece, std::vector<BpeSymbol>& symbols) const;
  void join(BpeScratch& scratch) const;
  PairTable::Join look_up(const BpeSymbol& a, const BpeSymbol& b, BpeScratch& scratch) const;
  void emit_late(std::string_view text, int32_t id, const BpeScratch& scratch, bool& after_unknown,
                 std::vector<int32_t>& out) const;
};

}  // namespace longspan
