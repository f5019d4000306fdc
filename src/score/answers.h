// Metrics of suites that have a rule of their own, one function each: they find the answer in the prediction,
// or compare the two. Rows of metrics().
#pragma once

#include <string_view>

#include "score/metrics.h"

namespace longspan {

/// LongBench v2 (arXiv 2412.15204): the letter in "The correct answer is (B)", else in "The correct answer is
/// B", asterisks aside, is the reference.
double longbench2_answer(std::u32string_view prediction, std::u32string_view reference, const MetricInput&);

/// Lost in the Middle (arXiv 2307.03172): the reference is in the first line, both as SQuAD normalises.
/// After a leading line feed the first line is empty; clean skips leading line feeds.
double best_subspan_em(std::u32string_view prediction, std::u32string_view reference, const MetricInput&);

/// NoLiMa (arXiv 2502.05167): 1 if the prediction contains the reference, unchanged.
double nolima_contains(std::u32string_view prediction, std::u32string_view reference, const MetricInput&);

/// MRCR: 0 unless the prediction begins with the field "random_string_to_prepend"; else difflib's ratio of
/// what follows it, frequent characters ignored as anchors; clean does not ignore them.
double mrcr(std::u32string_view prediction, std::u32string_view reference, const MetricInput& input);

/// BAMBOO's altqa (arXiv 2309.13345): equal without white space and full stops at the ends, case ignored.
double bamboo_exact(std::u32string_view prediction, std::u32string_view reference, const MetricInput&);

}  // namespace longspan
