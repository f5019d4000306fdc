// Any bytes as a text that is cut into passages and searched: the passages cover it, and their words are
// FTS5's whatever they are. The first two bytes are the cutting.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "retrieval/passages.h"
#include "retrieval/words.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace longspan::retrieval;
  if (size < 2) return 0;
  Cutting cutting{.tokens = 8 + data[0], .overlap = data[1] % 5};
  std::string_view text(reinterpret_cast<const char*>(data) + 2, size - 2);
  // From `at` on, the first byte that is no white space.
  auto next_word = [&](size_t at) {
    return std::min(text.find_first_not_of(" \t\n\r\f\v", at), text.size());
  };
  size_t covered = next_word(0), before = 0;
  for (const Passage& p :
       cut_passages(text, cutting, [](std::string_view part) { return std::ssize(part) / 3; })) {
    if (p.begin > covered || p.end <= before || p.end > text.size()) std::abort();
    before = p.end;
    covered = next_word(p.end);
    searchable(text.substr(p.begin, p.end - p.begin));
  }
  if (covered != text.size()) std::abort();
  match_expression(text);
  return 0;
}
