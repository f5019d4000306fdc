// Character classes as the `tokenizers` library sees them: Unicode 16 for regexes (Oniguruma), while Debian's
// PCRE2 and utf8proc know Unicode 14 and 15. Later additions are one small table, which both the hand-written
// scanners and the regex translator use, so that both agree with the library on every code point.
#pragma once

#include <cstdint>
#include <span>

namespace longspan {

/// Code points assigned after Unicode 14 and their general category ("Lu", "Lo", "M", "N", "Nd", "P", "S").
struct NewerRange {
  char32_t first, last;
  const char* category;
};
std::span<const NewerRange> newer_ranges();

bool is_letter(char32_t c);  // \p{L}
bool is_number(char32_t c);  // \p{N}
bool is_mark(char32_t c);    // \p{M}
/// \p{Mn} as of Unicode 8: what BERT's normalizer takes for an accent.
bool is_nonspacing_mark(char32_t c);
/// \p{Cc}, \p{Cf} and \p{Co} as of Unicode 8, but for tabs and line ends: what BERT's normalizer drops.
bool is_bert_control(char32_t c);
/// The blocks that BERT takes for Chinese, with the gap at U+2B820 that the library has.
bool is_bert_han(char32_t c);
bool is_white_space(char32_t c);  // \s: the White_Space property

/// What the pre-tokenizer Digits splits at (Rust's char::is_numeric).
bool is_numeric(char32_t c);
/// What the pre-tokenizer Punctuation splits at: ASCII punctuation and symbols, and \p{P} as of Unicode 8.
bool is_punctuation(char32_t c);
/// \w of Rust's regex crate: the pre-tokenizer Whitespace and single_word added tokens.
bool is_word(char32_t c);

enum CharClass : uint8_t { kOther = 0, kLetter = 1, kNumber = 2, kSpace = 3 };
/// The four classes that the byte-level patterns distinguish. The first 128 code points come from a table.
CharClass char_class(char32_t c);

}  // namespace longspan
