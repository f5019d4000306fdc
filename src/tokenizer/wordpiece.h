// WordPiece (BERT): the longest token that begins the word, then the longest that continues it, and so on
// (Schuster 2012; Wu 2016, arXiv 1609.08144). A word that cannot be covered to its end is one unknown token.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "tokenizer/trie.h"

namespace longspan {

struct WordPiece {
  Trie first, following;  // following: tokens that begin with "##", without it
  int32_t unknown = -1;
  int64_t longest_word = 100;  // characters; longer words are unknown

  /// Appends the ids of a word of well-formed UTF-8.
  void encode(std::string_view word, std::vector<int32_t>& out) const;
};

}  // namespace longspan
