// String similarity: Python's difflib, fuzzywuzzy's ratio, Levenshtein's distance. difflib is not an
// edit distance: it sums greedily found longest common blocks, and ignores characters that are frequent in b.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <vector>

namespace longspan {

/// SequenceMatcher(None, a, b).ratio() = 2 M / (|a| + |b|), M: characters in matching blocks; 1 for two empty
/// strings. `autojunk`: if b has at least 200 characters, those that occur in it more than |b|/100 + 1 times
/// begin no block.
double difflib_ratio(std::u32string_view a, std::u32string_view b, bool autojunk = true);

/// Length of the longest common subsequence, over code points or numbered words.
template <typename Items>
size_t common_subsequence(const Items& a, const Items& b) {
  std::vector<size_t> row(b.size() + 1, 0);
  for (auto item : a) {
    size_t diagonal = 0;
    for (size_t j = 0; j < b.size(); ++j) {
      size_t above = row[j + 1];
      row[j + 1] = item == b[j] ? diagonal + 1 : std::max(above, row[j]);
      diagonal = above;
    }
  }
  return row.back();
}

/// 2 L / (|a| + |b|), L: length of the longest common subsequence; python-Levenshtein's ratio.
double indel_ratio(std::u32string_view a, std::u32string_view b);

/// fuzz.ratio of a ratio of a and b: a whole percentage, halves to even; 100 for equal strings, 0 if one is
/// empty.
int fuzz_percent(std::u32string_view a, std::u32string_view b, double ratio);

/// Insertions, deletions and substitutions of one character that turn a into b.
int64_t levenshtein_distance(std::u32string_view a, std::u32string_view b);

}  // namespace longspan
