// The tokens of a vocabulary as a trie over their bytes, laid out so that one pass over arrays visits all of
// them and a dead beginning skips everything that begins with it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace longspan {

struct TokenTrie {
  /// A byte after those of the nodes above it, in the order of a walk that goes down first.
  struct Node {
    uint8_t byte;
    uint16_t depth;       // of the first byte: 1
    int32_t end;          // the next node that does not begin with these bytes
    int32_t first_token;  // in `tokens`; those of the node end where those of the next one begin
  };
  std::vector<Node> nodes;      // and one behind the last
  std::vector<int32_t> tokens;  // ids
  std::vector<int32_t> ends;    // ids that end an answer; they are not among `tokens`
  int64_t vocabulary = 0;

  /// What the token adds to a text; "" for those that are not among `tokens`.
  std::string_view bytes_of(int32_t id) const;
  std::string bytes;             // of all tokens, one after the other
  std::vector<size_t> byte_end;  // [vocabulary]
};

/// Without special tokens, tokens that add nothing to a text, and those of more than 65,535 bytes. About 60
/// ns a token.
TokenTrie token_trie(const Tokenizer& tokenizer);

}  // namespace longspan
