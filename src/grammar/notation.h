// The notation of grammars, that of llama.cpp (GBNF): `name ::= alternatives`, with literals "…", classes
// […] and [^…], any character (.), rules by name, groups, the repetitions ? * + {m} {m,} {m,n}, and comments
// from # to the end of a line. A text follows the grammar when the rule `root` derives all of it. A rule ends
// with its line, unless the line ends in ::= or |, the next one begins with |, or a group is open.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace longspan {

/// Code points from first to second, both included.
using CodePointRange = std::pair<char32_t, char32_t>;
constexpr char32_t kLastCodePoint = 0x10FFFF;

struct Expression {
  enum class Kind { Literal, Class, Rule, Sequence, Choice, Repeat };
  static constexpr int64_t kUnbounded = -1;

  Kind kind = Kind::Sequence;            // an empty sequence: the empty text
  std::string literal;                   // Literal: UTF-8
  std::vector<CodePointRange> ranges;    // Class: sorted, apart from each other, without surrogates
  size_t rule = 0;                       // Rule: its place among the rules
  std::vector<Expression> parts;         // Sequence, Choice; Repeat has one
  int64_t least = 0, most = kUnbounded;  // Repeat
};

struct GrammarRule {
  std::string name;
  Expression body;
  std::string where;  // "FILE, line 3, column 1", for messages
};

/// What a grammar says, before it is compiled (network.h).
struct GrammarText {
  std::vector<GrammarRule> rules;
  size_t root = 0;
};

/// Most copies that a repetition with bounds may ask for.
constexpr int64_t kMostRepetitions = 10000;

/// `source` names the text in errors, which say line and column: what was expected, rules that are missing or
/// given twice, groups nested too deeply, repetitions beyond kMostRepetitions.
GrammarText parse_grammar(std::string_view text, const std::string& source);

// The makers of expressions.
Expression literal(std::string text);
/// Sorts and joins the ranges and removes surrogates, which UTF-8 has no form for.
Expression character_class(std::vector<CodePointRange> ranges);
Expression rule_reference(size_t rule);
Expression sequence(std::vector<Expression> parts);
Expression choice(std::vector<Expression> parts);
Expression repeat(Expression part, int64_t least, int64_t most = Expression::kUnbounded);

/// The code points that are in none of the (sorted) ranges, surrogates aside.
std::vector<CodePointRange> complement(const std::vector<CodePointRange>& ranges);

/// The grammar in its notation, a rule a line: what parse_grammar reads.
std::string grammar_notation(const GrammarText& grammar);

}  // namespace longspan
