// SentencePiece's precompiled character map: a double-array trie (Darts-clone layout) from byte strings to
// offsets into a pool of NUL-terminated replacements. Layout: u32 trie bytes, the trie's u32 units, the pool;
// all little-endian.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace longspan {

class Charsmap {
 public:
  /// `source` opens the error sentence. The blob is untrusted: every step through it is checked.
  Charsmap(std::string_view blob, const std::string& source);

  struct Match {
    size_t length = 0;  // bytes of text; 0: no key matches
    std::string_view replacement;
  };
  /// The longest (SentencePiece) or the shortest (the tokenizers library) key that is a prefix of `text`.
  Match longest_prefix(std::string_view text) const { return prefix(text, true); }
  Match shortest_prefix(std::string_view text) const { return prefix(text, false); }

 private:
  Match prefix(std::string_view text, bool longest) const;
  std::vector<uint32_t> units_;
  std::string pool_;
};

}  // namespace longspan
