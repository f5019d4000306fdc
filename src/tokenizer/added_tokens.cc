#include "tokenizer/added_tokens.h"

#include <algorithm>

#include "base/text.h"
#include "tokenizer/unicode.h"

namespace longspan {

namespace {

/// Offset at which the character before `i` begins; i > 0.
size_t previous_start(std::string_view text, size_t i) {
  do --i;
  while (i > 0 && (static_cast<unsigned char>(text[i]) & 0xC0) == 0x80);
  return i;
}

bool word_before(std::string_view text, size_t i) {
  if (i == 0) return false;
  size_t at = previous_start(text, i);
  return is_word(next_code_point(text, at));
}

bool word_after(std::string_view text, size_t i) {
  return i < text.size() && is_word(next_code_point(text, i));
}

size_t spaces_before(std::string_view text, size_t i) {
  while (i > 0) {
    size_t at = previous_start(text, i), end = at;
    if (!is_white_space(next_code_point(text, end))) break;
    i = at;
  }
  return i;
}

size_t spaces_after(std::string_view text, size_t i) {
  while (i < text.size()) {
    size_t end = i;
    if (!is_white_space(next_code_point(text, end))) break;
    i = end;
  }
  return i;
}

}  // namespace

void AddedTokenMatcher::add(const AddedToken& token, const std::string& pattern) {
  trie_.insert(pattern, static_cast<int32_t>(tokens_.size()));
  tokens_.push_back(token);
}

void AddedTokenMatcher::split(std::string_view text, bool parse_special, std::vector<Segment>& out) const {
  out.clear();
  size_t done = 0;
  for (size_t i = 0; i < text.size();) {
    int32_t index = -1;
    size_t length = trie_.longest(text.substr(i), index);
    if (length == 0) {
      ++i;
      continue;
    }
    size_t begin = i, end = i + length;
    i = end;
    auto& token = tokens_[static_cast<size_t>(index)];
    if (token.special && !parse_special) continue;
    if (token.single_word && (word_before(text, begin) || word_after(text, end))) continue;
    if (token.lstrip) begin = std::max(spaces_before(text, begin), done);
    if (token.rstrip) end = spaces_after(text, end);
    if (done < begin) out.push_back({done, begin, -1});
    out.push_back({begin, end, token.id});
    done = end;
  }
  if (done < text.size()) out.push_back({done, text.size(), -1});
}

}  // namespace longspan
