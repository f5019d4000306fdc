// Unigram segmentation (Kudo, arXiv 1804.10959): splits a piece into the tokens with the highest sum of
// scores, by Viterbi over byte positions. The tokenizers library adds in double precision, SentencePiece in
// single, which decides ties; `single_precision` chooses.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "tokenizer/trie.h"

namespace longspan {

struct UnigramNode {
  double score;
  int32_t id;
  uint32_t length;  // bytes of the token that ends here; 0: unreached
};

struct Unigram {
  Trie tokens;
  std::vector<double> scores;
  std::vector<bool> user_defined;  // SentencePiece: always preferred; empty: none
  double min_score = 0;
  int32_t unknown = -1;
  bool byte_fallback = false;
  bool single_precision = false;
  std::array<int32_t, 256> byte_token;

  Unigram() { byte_token.fill(-1); }
  /// Appends the ids of a piece. Error when a character is outside the vocabulary and there is no unknown
  /// token.
  void encode(std::string_view piece, std::vector<UnigramNode>& scratch, std::vector<int32_t>& out) const;

 private:
  double candidate(double before, int32_t id, size_t length) const;
  void emit_unknown(std::string_view text, std::vector<int32_t>& out) const;
};

}  // namespace longspan
