// Added tokens: spellings that are taken out of the text before the model sees it. As in the tokenizers
// library there are two passes: one over the raw text, and one, for tokens marked "normalized", over the
// normalized text.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/trie.h"

namespace longspan {

struct AddedToken {
  int32_t id = -1;
  std::string content;
  bool special = false, single_word = false, lstrip = false, rstrip = false, normalized = false;
};

struct Segment {
  size_t begin, end;
  int32_t id;  // -1: text
};

class AddedTokenMatcher {
 public:
  /// `pattern` is the spelling to match: the content, normalized if the token is marked so.
  void add(const AddedToken& token, const std::string& pattern);
  bool empty() const { return trie_.empty(); }
  /// Splits `text` into added tokens and the text between them; the leftmost match wins, then the longest.
  /// Without `parse_special`, special tokens stay part of the text.
  void split(std::string_view text, bool parse_special, std::vector<Segment>& out) const;

 private:
  Trie trie_;
  std::vector<AddedToken> tokens_;
};

}  // namespace longspan
