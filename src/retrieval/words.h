// The words of passages and questions for FTS5. Its tokenizer unicode61 splits at what is no letter or digit,
// which finds nothing in scripts that are written without blanks (Chinese, Japanese, Thai), and its tokenizer
// trigram finds no word of two characters, as most Chinese ones are, and swells the index of all others. So
// runs of such scripts become overlapping pairs of characters, as in Lucene's CJK analyzer, and unicode61
// with Porter's stems does the rest.
#pragma once

#include <string>
#include <string_view>

namespace longspan::retrieval {

/// The text as FTS5 is given it. A text always gives the same one: rows are taken out by it.
std::string searchable(std::string_view text);

/// An expression of FTS5 that finds passages with any of the question's words, each in quotes, so that
/// nothing in the question is syntax: at most kMostQueryWords different ones. "" when there is no word.
std::string match_expression(std::string_view question);
constexpr int kMostQueryWords = 64;

}  // namespace longspan::retrieval
