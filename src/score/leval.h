// L-Eval's exams (arXiv 2307.11088): how its own script and OpenCompass find the answer in what a model
// wrote, and how they compare it. The two differ, so their scores do not compare.
#pragma once

#include <string>
#include <string_view>

namespace longspan {

/// The letters of the reference: A-D of its first word ("(C) With the jets ..." is C); none: "A", or "" when
/// `guess` is false.
std::u32string leval_reference_letters(std::u32string_view reference, bool guess = true);

/// The official script's letters of a prediction. Nothing written: "None"; a part of "ABCD": itself. One
/// answer: the first A-D anywhere. `several`: the run of A-D it begins with, if two or more; else, before the
/// word Question, every capital followed by white space, "." or ")"; else its first run of A-D; sorted, each
/// once. Nothing found: "A", or "" when `guess` is false.
std::u32string leval_letters(std::u32string_view prediction, bool several, bool guess = true);

/// 1 if equal, 0.25 if every predicted letter is in the reference, else 0. Letters alone are references here.
double leval_letters_score(std::u32string_view predicted, std::u32string_view reference);

/// The number of a gsm100 text: the word behind "The answer is", else the last word with a digit before the
/// first blank line; of it the digits up to the first full stop.
std::u32string leval_number(std::u32string_view text);

/// The official exact match: equal as numbers, or the reference, lower-cased and without white space, is in
/// the prediction treated alike; references of letters A-D alone go to leval_letters_score.
double leval_exact_match(std::u32string_view prediction, std::u32string_view reference);

/// codeU: 1 if the reference is, by leval_exact_match, in the words behind "the final output" (none: in the
/// last ones), three more than it has; both without , ' \ .0 and blanks between brackets, the prediction
/// also without phrases like "the value of".
double leval_code_score(std::u32string_view prediction, std::u32string_view reference);

/// sci_fi: "true" or "false", whichever the first word that holds one holds; "<error>" if none does.
std::u32string leval_judgement(std::u32string_view text);
/// The part of "True [fact: False]" before the bracket, or in it: lower case, without white space around it.
/// Without a bracket both are the whole text.
std::u32string leval_verdict(std::u32string_view reference, bool fact);

/// OpenCompass: the first upper-case letter; or the first run of A-D. "" if there is none.
std::u32string opencompass_capital(std::u32string_view prediction);
std::u32string opencompass_capitals(std::u32string_view prediction);
/// OpenCompass: of the first word with a digit behind the first "The answer is" all digits ("18.00" is 1800).
std::u32string opencompass_number(std::u32string_view prediction);
/// OpenCompass: what stands before the first line feed, full stop or comma, without articles and punctuation.
std::u32string opencompass_phrase(std::u32string_view prediction);

}  // namespace longspan
