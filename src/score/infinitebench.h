// The scorers of InfiniteBench (arXiv 2402.13718), which all look for the answer in the prediction. Rows of
// metrics() replace the functions of its tasks.
#pragma once

#include <string_view>

#include "score/metrics.h"

namespace longspan {

/// passkey, number_string: the first run of 0-9 is the reference.
double infinitebench_number(std::u32string_view prediction, std::u32string_view reference,
                            const MetricInput&);
/// kv_retrieval: the reference is one of the words between white space and :"'.,?!{}.
double infinitebench_kv(std::u32string_view prediction, std::u32string_view reference, const MetricInput&);
/// math_find: the first number equals the reference; a decimal point is wrong where it has none.
double infinitebench_find(std::u32string_view prediction, std::u32string_view reference, const MetricInput&);
/// math_calc: the share of the reference's numbers (between blanks) that the prediction's begin with. Signs
/// are not parsed, so nothing after a negative number counts; clean parses them.
double infinitebench_calc(std::u32string_view prediction, std::u32string_view reference, const MetricInput&);
/// code_run: the last word between white space and .`'": is the reference as a whole number.
double infinitebench_run(std::u32string_view prediction, std::u32string_view reference, const MetricInput&);
/// code_debug: begins with "B." or "B:", or letter or name of the reference follow "answer is:", "is:", ...
/// The reference is one of the four texts of the field "options", or its letter; so below.
double infinitebench_debug(std::u32string_view prediction, std::u32string_view reference, const MetricInput&);
/// longbook_choice: the first character if it is A-D, the whole text, what follows "answer is:", ..., or the
/// first word made of consecutive letters of ABCD.
double infinitebench_choice(std::u32string_view prediction, std::u32string_view reference,
                            const MetricInput&);
/// longdialogue_qa: the reference is one of the words, in capitals.
double infinitebench_dialogue(std::u32string_view prediction, std::u32string_view reference,
                              const MetricInput&);

}  // namespace longspan
