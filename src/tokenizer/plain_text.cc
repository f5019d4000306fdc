#include "tokenizer/plain_text.h"

#include <vector>

#include "base/text.h"

namespace longspan {

std::string without_special_tokens(std::string text, const Tokenizer& tokenizer) {
  for (bool found = true; found;) {
    found = false;
    for (int32_t id : tokenizer.encode(text, {.add_special = false, .parse_special = true})) {
      if (!tokenizer.is_special(id)) continue;
      std::string spelling = tokenizer.decode(std::vector<int32_t>{id});
      size_t first = 0;
      if (spelling.empty() || text.find(spelling) == text.npos) continue;
      next_code_point(spelling, first);
      std::string broken = spelling.substr(0, first) + " " + spelling.substr(first);
      if (broken.find(spelling) != broken.npos) continue;
      text = replaced(text, spelling, broken);
      found = true;
    }
  }
  return text;
}

}  // namespace longspan
