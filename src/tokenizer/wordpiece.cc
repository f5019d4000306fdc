#include "tokenizer/wordpiece.h"

#include <algorithm>

namespace longspan {

void WordPiece::encode(std::string_view word, std::vector<int32_t>& out) const {
  auto begins = [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; };
  size_t before = out.size();
  bool known = std::count_if(word.begin(), word.end(), begins) <= longest_word;
  for (size_t i = 0; known && i < word.size();) {
    int32_t id = -1;
    size_t length = (i == 0 ? first : following).longest(word.substr(i), id);
    known = length > 0;
    if (known) out.push_back(id);
    i += length;
  }
  if (known) return;
  out.resize(before);
  out.push_back(unknown);
}

}  // namespace longspan
