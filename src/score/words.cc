#include "score/words.h"

#include <utf8proc.h>

#include <map>

#include "base/text.h"
#include "tokenizer/unicode.h"

namespace longspan {

std::u32string code_points(std::string_view utf8) {
  std::u32string text;
  text.reserve(utf8.size());
  for (size_t i = 0; i < utf8.size();) text += next_code_point(utf8, i);
  return text;
}

std::string to_utf8(std::u32string_view text) {
  std::string utf8;
  for (char32_t c : text) append_utf8(utf8, c);
  return utf8;
}

bool is_python_space(char32_t c) { return (c >= 0x1c && c <= 0x1f) || is_white_space(c); }

bool is_decimal_digit(char32_t c) {
  if (c < 128) return c >= '0' && c <= '9';
  return utf8proc_category(static_cast<utf8proc_int32_t>(c)) == UTF8PROC_CATEGORY_ND;
}

bool is_ascii_punctuation(char32_t c) {
  return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') || (c >= '{' && c <= '~');
}

std::u32string lower(std::u32string text) {
  for (char32_t& c : text) c = static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c)));
  return text;
}

Words split_words(std::u32string_view text) {
  Words words;
  for (size_t i = 0; i < text.size();) {
    size_t begin = i;
    while (i < text.size() && !is_python_space(text[i])) ++i;
    if (i > begin) words.emplace_back(text.substr(begin, i - begin));
    while (i < text.size() && is_python_space(text[i])) ++i;
  }
  return words;
}

Words split_at(std::u32string_view text, char32_t separator) {
  Words pieces;
  for (size_t begin = 0;;) {
    size_t end = text.find(separator, begin);
    pieces.emplace_back(text.substr(begin, end == text.npos ? text.npos : end - begin));
    if (end == text.npos) return pieces;
    begin = end + 1;
  }
}

std::u32string join(const Words& words, std::u32string_view between) {
  std::u32string text;
  for (size_t i = 0; i < words.size(); ++i) {
    if (i) text += between;
    text += words[i];
  }
  return text;
}

std::u32string without_spaces(std::u32string_view text) { return join(split_words(text), U""); }

std::u32string_view strip(std::u32string_view text) {
  while (!text.empty() && is_python_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_python_space(text.back())) text.remove_suffix(1);
  return text;
}

Words digit_runs(std::u32string_view text) {
  Words runs;
  bool inside = false;
  for (char32_t c : text) {
    bool digit = is_decimal_digit(c);
    if (digit && !inside) runs.emplace_back();
    if (digit) runs.back() += c;
    inside = digit;
  }
  return runs;
}

std::u32string squad_normalise(std::u32string text, bool to_lower) {
  if (to_lower) text = lower(std::move(text));
  std::erase_if(text, is_ascii_punctuation);
  // Python's \w without the underscore, which went with the punctuation.
  auto in_word = [](char32_t c) { return is_letter(c) || is_number(c); };
  std::u32string kept;
  for (size_t i = 0; i < text.size();) {
    size_t begin = i;
    while (i < text.size() && in_word(text[i])) ++i;
    auto word = std::u32string_view(text).substr(begin, i - begin);
    bool article = word == U"a" || word == U"an" || word == U"the";
    kept += article ? U" " : word;
    if (i < text.size()) kept += text[i++];
  }
  return join(split_words(kept), U" ");
}

double bag_f1(const Words& prediction, const Words& reference) {
  std::map<std::u32string_view, int64_t> left;
  for (const auto& word : reference) ++left[word];
  int64_t same = 0;
  for (const auto& word : prediction) {
    auto found = left.find(word);
    if (found != left.end() && found->second-- > 0) ++same;
  }
  if (same == 0) return 0;
  double precision = double(same) / double(prediction.size());
  double recall = double(same) / double(reference.size());
  return 2 * precision * recall / (precision + recall);
}

}  // namespace longspan
