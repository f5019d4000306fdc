// Text as the suites' Python code sees it: code points, str.split(), str.lower(), \d+, \b. Scores depend on
// these definitions, so the metrics share them here.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace longspan {

using Words = std::vector<std::u32string>;

/// Malformed UTF-8 becomes U+FFFD.
std::u32string code_points(std::string_view utf8);
std::string to_utf8(std::u32string_view text);

/// str.isspace(): Unicode white space and the separators 0x1c..0x1f.
bool is_python_space(char32_t c);
/// \d: general category Nd.
bool is_decimal_digit(char32_t c);
/// The 32 of string.punctuation.
bool is_ascii_punctuation(char32_t c);

/// str.lower() without the two context rules (final sigma, dotted I), one code point for one.
std::u32string lower(std::u32string text);
/// str.split(): words between runs of white space.
Words split_words(std::u32string_view text);
/// str.split(separator): empty pieces are kept.
Words split_at(std::u32string_view text, char32_t separator);
std::u32string join(const Words& words, std::u32string_view between);
/// "".join(text.split()).
std::u32string without_spaces(std::u32string_view text);
/// str.strip().
std::u32string_view strip(std::u32string_view text);
/// All maximal runs of \d.
Words digit_runs(std::u32string_view text);

/// SQuAD's answer normalisation, in its order: lower-case (unless told not to), delete ASCII punctuation,
/// the words a, an, the become a blank, white space is squeezed. "the-cat" becomes "thecat".
std::u32string squad_normalise(std::u32string text, bool to_lower = true);

/// F1 = 2 p r / (p + r) of two bags of words; 0 when they share nothing.
double bag_f1(const Words& prediction, const Words& reference);

}  // namespace longspan
