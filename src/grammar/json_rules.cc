#include "grammar/json_rules.h"

#include <fmt/core.h>

#include <algorithm>
#include <cassert>
#include <map>
#include <set>

#include "base/text.h"

namespace longspan {

namespace {

// Between the parts of a value stands what llama.cpp's grammars allow there: a small model that may write any
// number of spaces writes nothing else.
constexpr const char* kRules = R"gbnf(
root ::= object
space ::= "" | " " | "\n"{1,2} [ \t]{0,20}
value ::= object | array | string | number | boolean | null
object ::= "{" space (member ("," space member)*)? "}"
member ::= string ":" space value space
array ::= "[" space (value space ("," space value space)*)? "]"
string ::= "\"" character* "\""
character ::= plain | "\\" (["\\/bfnrt] | "u" unicode)
plain ::= [^"\\\x00-\x1F\x7F]
unicode ::= [0-9a-cA-CefEF] hex{3} | [dD] [0-7] hex{2} | [dD] [89abAB] hex{2} "\\u" [dD] [c-fC-F] hex{2}
hex ::= [0-9a-fA-F]
number ::= "-"? ("0" | [1-9] [0-9]{0,15}) ("." [0-9]{1,16})? ([eE] [-+]? [0-9]{1,2})?
integer ::= "-"? ("0" | [1-9] [0-9]{0,15})
boolean ::= "true" | "false"
null ::= "null"
date ::= "\"" full-date "\""
full-date ::= year "-" (("0" [13578] | "1" [02]) "-" ([0-2] nonzero | [123] "0" | "31") |
  ("0" [469] | "11") "-" ([0-2] nonzero | [123] "0") | "02-" ([01] nonzero | [12] "0" | "2" [1-8])) | leap-year "-02-29"
nonzero ::= [1-9]
year ::= [1-9] [0-9]{3}
leap-year ::= [1-9] [0-9] ("0" [48] | [2468] [048] | [13579] [26]) | ([2468] [048] | [13579] [26]) "00"
time ::= "\"" full-time "\""
full-time ::= hour ":" [0-5] [0-9] ":" [0-5] [0-9] ("." [0-9]{1,9})? ("Z" | [-+] hour ":" [0-5] [0-9])
hour ::= [01] [0-9] | "2" [0-3]
date-time ::= "\"" full-date "T" full-time "\""
uuid ::= "\"" lower{8} "-" lower{4} "-" lower{4} "-" lower{4} "-" lower{12} "\""
lower ::= [0-9a-f]
)gbnf";

constexpr int64_t kMostDigits = 16;  // of a number without an upper bound

Expression digits(char first, char last) {
  return character_class({{static_cast<char32_t>(first), static_cast<char32_t>(last)}});
}
Expression any_digits(size_t n) {
  return repeat(digits('0', '9'), static_cast<int64_t>(n), static_cast<int64_t>(n));
}

bool all(const std::string& text, size_t from, char c) {
  return text.find_first_not_of(c, from) == std::string::npos;
}

/// What may follow the first `i` digits that both share, for numbers of as many digits from low to high.
Expression digits_between(const std::string& low, const std::string& high, size_t i) {
  if (all(low, i, '0') && all(high, i, '9')) return any_digits(low.size() - i);
  if (low[i] == high[i]) return sequence({digits(low[i], low[i]), digits_between(low, high, i + 1)});
  std::vector<Expression> parts;
  char first = low[i], last = high[i];
  if (!all(low, i + 1, '0')) {
    std::string nines(low.size(), '9');
    parts.push_back(sequence({digits(first, first), digits_between(low, nines, i + 1)}));
    ++first;
  }
  bool high_apart = !all(high, i + 1, '9');
  if (high_apart) --last;
  if (first <= last) parts.push_back(sequence({digits(first, last), any_digits(low.size() - i - 1)}));
  if (high_apart)
    parts.push_back(
        sequence({digits(high[i], high[i]), digits_between(std::string(low.size(), '0'), high, i + 1)}));
  return choice(std::move(parts));
}

/// Whole numbers without a sign, 0 <= low <= high.
Expression whole_numbers(int64_t low, int64_t high) {
  std::vector<Expression> parts;
  std::string from = std::to_string(low);
  const std::string to = std::to_string(high);
  while (from.size() < to.size()) {
    parts.push_back(digits_between(from, std::string(from.size(), '9'), 0));
    from = "1" + std::string(from.size(), '0');
  }
  parts.push_back(digits_between(from, to, 0));
  return choice(std::move(parts));
}

int64_t greatest(int64_t low) {
  int64_t most = 1;
  for (int64_t i = 0; i < kMostDigits; ++i) most *= 10;
  return std::max(most - 1, low);
}

/// From low to high (nothing: no bound) without a sign; `above`, `below`: without the bounds themselves.
Expression unsigned_numbers(int64_t low, std::optional<int64_t> high, bool above, bool below) {
  Expression point = literal("."), zeros = repeat(literal("0"), 0, kMostDigits - 1),
             any = repeat(digits('0', '9'), 0, kMostDigits - 1);
  Expression fraction = repeat(sequence({point, digits('0', '9'), any}), 0, 1);
  std::vector<Expression> parts;
  int64_t last = high ? *high - 1 : greatest(low);  // whole parts that may have any fraction
  if (above && (!high || low < *high)) {
    std::string whole = std::to_string(low);
    parts.push_back(sequence({literal(whole), point, repeat(literal("0"), 0, kMostDigits / 2),
                              digits('1', '9'), repeat(digits('0', '9'), 0, kMostDigits / 2 - 1)}));
    ++low;
  }
  if (low <= last) parts.push_back(sequence({whole_numbers(low, last), fraction}));
  if (high && low <= *high && !below)
    parts.push_back(
        sequence({literal(std::to_string(*high)), repeat(sequence({point, literal("0"), zeros}), 0, 1)}));
  return choice(std::move(parts));
}

bool empty(const Expression& e) { return e.kind == Expression::Kind::Choice && e.parts.empty(); }

}  // namespace

JsonRules::JsonRules() : grammar_(parse_grammar(kRules, "JSON")) {}

Expression JsonRules::named(const std::string& name) const {
  for (size_t i = 0; i < grammar_.rules.size(); ++i)
    if (grammar_.rules[i].name == name) return rule_reference(i);
  assert(false);
  return {};
}

size_t JsonRules::add(const std::string& name, Expression body) {
  // Numbers keep the names apart: the rules of a schema are many, and looking for a free name would take
  // long.
  grammar_.rules.push_back({fmt::format("{}-{}", name, grammar_.rules.size()), std::move(body), {}});
  return grammar_.rules.size() - 1;
}

GrammarText JsonRules::finish(Expression root, const std::string& source) && {
  for (GrammarRule& rule : grammar_.rules) rule.where = source;
  grammar_.rules[grammar_.root].body = std::move(root);
  return std::move(grammar_);
}

Expression json_constant(const Json& value) { return literal(dump_json(value)); }

Expression json_characters(const std::vector<CodePointRange>& ranges) {
  static const std::map<char32_t, const char*> escapes = {{'"', "\\\""}, {'\\', "\\\\"}, {'\b', "\\b"},
                                                          {'\f', "\\f"}, {'\n', "\\n"},  {'\r', "\\r"},
                                                          {'\t', "\\t"}};
  std::vector<CodePointRange> plain;
  std::vector<Expression> parts, controls;
  auto is_plain = [](char32_t c) { return c >= 0x20 && c != 0x7F && c != '"' && c != '\\'; };
  for (auto [first, last] : ranges) {
    for (char32_t c = first; c <= std::min<char32_t>(last, 0x7F); ++c) {
      if (is_plain(c)) {
        plain.emplace_back(c, c);
      } else if (auto escape = escapes.find(c); escape != escapes.end()) {
        parts.push_back(literal(escape->second));
      } else {
        controls.push_back(literal(fmt::format("\\u{:04x}", static_cast<uint32_t>(c))));
      }
    }
    if (last > 0x7F) plain.emplace_back(std::max<char32_t>(first, 0x80), last);
  }
  if (Expression e = character_class(std::move(plain)); !e.ranges.empty())
    parts.insert(parts.begin(), std::move(e));
  return choice(parts.empty() ? std::move(controls) : std::move(parts));
}

Expression json_integers(std::optional<int64_t> least, std::optional<int64_t> most) {
  std::vector<Expression> parts;
  if (!least || *least < 0) {
    int64_t nearest = most && *most < 0 ? -*most : 1;
    parts.push_back(sequence({literal("-"), whole_numbers(nearest, least ? -*least : greatest(nearest))}));
  }
  if (!most || *most >= 0) {
    int64_t first = std::max<int64_t>(0, least.value_or(0));
    parts.push_back(whole_numbers(first, most ? *most : greatest(first)));
  }
  return choice(std::move(parts));
}

Expression json_numbers(const NumberBounds& b) {
  std::vector<Expression> parts;
  if (!b.least || *b.least < 0) {
    bool up_to_zero = !b.most || *b.most >= 0;
    std::optional<int64_t> farthest;
    if (b.least) farthest = -*b.least;
    // -0 is not below 0.
    bool without_nearest = up_to_zero ? b.most == 0 && b.below : b.below;
    Expression e = unsigned_numbers(up_to_zero ? 0 : -*b.most, farthest, without_nearest, b.above);
    if (!empty(e)) parts.push_back(sequence({literal("-"), std::move(e)}));
  }
  if (!b.most || *b.most >= 0) {
    int64_t low = std::max<int64_t>(0, b.least.value_or(0));
    bool without_low = b.above && b.least && *b.least == low;
    Expression e = unsigned_numbers(low, b.most, without_low, b.below);
    if (!empty(e)) parts.push_back(std::move(e));
  }
  return choice(std::move(parts));
}

namespace {

using Names = std::vector<std::u32string>;

const std::vector<CodePointRange> kEscaped = {{0, 0x1F}, {'"', '"'}, {'\\', '\\'}, {0x7F, 0x7F}};
Expression plain_characters() { return character_class(complement(kEscaped)); }

/// What may follow the first `at` characters of a key, which these names (sorted) begin with.
Expression other_ends(const Names& names, size_t begin, size_t end, size_t at) {
  std::vector<Expression> parts;
  bool is_name = names[begin].size() == at;
  if (!is_name) parts.push_back(sequence({}));
  std::vector<CodePointRange> taken = kEscaped;
  for (size_t i = begin + (is_name ? 1 : 0); i < end;) {
    size_t first = i;
    char32_t c = names[i][at];
    while (i < end && names[i][at] == c) ++i;
    taken.emplace_back(c, c);
    std::string text;
    append_utf8(text, c);
    parts.push_back(sequence({literal(text), other_ends(names, first, i, at + 1)}));
  }
  Expression other = character_class(complement(character_class(std::move(taken)).ranges));
  parts.push_back(sequence({std::move(other), repeat(plain_characters(), 0)}));
  return choice(std::move(parts));
}

}  // namespace

Expression json_other_keys(const std::vector<std::string>& names) {
  std::set<std::u32string> unescaped;  // what is written with escapes cannot come about without them
  for (const std::string& name : names) {
    std::u32string characters;
    for (size_t i = 0; i < name.size();) characters += next_code_point(name, i);
    if (std::all_of(characters.begin(), characters.end(),
                    [](char32_t c) { return c >= 0x20 && c != 0x7F && c != '"' && c != '\\'; }))
      unescaped.insert(characters);
  }
  Expression inside = unescaped.empty()
                          ? repeat(plain_characters(), 0)
                          : other_ends({unescaped.begin(), unescaped.end()}, 0, unescaped.size(), 0);
  return sequence({literal("\""), std::move(inside), literal("\"")});
}

}  // namespace longspan
