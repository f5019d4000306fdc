// ROUGE (Lin 2004) as two Python packages compute it, which differ by tens of points on the same pair of
// texts: "rouge" 1.0.1, used by LongBench, counts distinct words; "rouge_score", used by L-Eval, handles
// ASCII only.
#pragma once

#include <string_view>

#include "score/words.h"

namespace longspan {

/// F of rouge-1, rouge-2, ... of the package "rouge": distinct n-grams over all words,
/// F = 2 p r / (p + r + 1e-8). Words: pieces between full stops, split at white space; a piece of blanks
/// counts as one empty word. 0 where the package raises: a text that is empty or only full stops.
double rouge_package_n(std::u32string_view prediction, std::u32string_view reference, int n);
/// F of its rouge-l: the distinct words of one longest common subsequence for every pair of sentences.
/// The package raises on sentences of about 990 words together (Python's recursion limit); this does not.
/// Error when a pair of sentences has more than 2^28 pairs of words.
double rouge_package_l(std::u32string_view prediction, std::u32string_view reference);

/// The words of rouge_score without the stemmer: runs of a-z and 0-9, lower-cased.
Words rouge_score_words(std::u32string_view text);
/// Lower-cased runs of letters, marks and numbers of any script; a Han character is a word of its own.
Words unicode_words(std::u32string_view text);

/// F = 2 p r / (p + r) of n-grams, each counted at most as often as in both; 0 if none is shared.
double rouge_n(const Words& prediction, const Words& reference, int n);
/// The same of the length of the longest common subsequence.
double rouge_l(const Words& prediction, const Words& reference);
/// rougeLsum: for each sentence of the reference the union of its common subsequences with all predicted
/// ones; a word counts at most as often as it occurs in either text. Error as rouge_package_l.
double rouge_lsum(const std::vector<Words>& prediction, const std::vector<Words>& reference);

}  // namespace longspan
