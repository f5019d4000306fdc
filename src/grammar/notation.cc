#include "grammar/notation.h"

#include <algorithm>
#include <unordered_map>

#include "base/error.h"
#include "base/text.h"

namespace longspan {

namespace {

constexpr int kDeepest = 100;  // groups within groups
constexpr int64_t kMostRules = 100000, kMostBytes = 1 << 20;
constexpr char32_t kFirstSurrogate = 0xD800, kLastSurrogate = 0xDFFF;

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

class Parser {
 public:
  Parser(std::string_view text, const std::string& source) : text_(text), source_(source) {
    if (std::ssize(text) > kMostBytes)
      fail("{}: a grammar of {} bytes; at most {} are read", source, grouped(std::ssize(text)),
           grouped(kMostBytes));
    if (complete_utf8_prefix(text) != text.size() || valid_utf8(text) != text)
      fail("{}: the grammar is not UTF-8", source);
  }

  GrammarText parse() {
    skip_space(true);
    while (!at_end()) {
      rule();
      skip_space(true);
    }
    for (const auto& [name, number] : numbers_)
      if (!defined_[number])
        fail("{}: there is no rule {}, which is used here", grammar_.rules[number].where, in_quotes(name));
    auto root = numbers_.find("root");
    if (root == numbers_.end()) fail("{}: the grammar has no rule named root, where it would begin", source_);
    grammar_.root = root->second;
    return std::move(grammar_);
  }

 private:
  bool at_end() const { return at_ >= text_.size(); }
  char peek() const { return at_end() ? '\0' : text_[at_]; }
  bool next_is(std::string_view what) const { return text_.substr(at_).starts_with(what); }
  bool take(std::string_view what) {
    if (!next_is(what)) return false;
    at_ += what.size();
    return true;
  }

  /// Mostly asked for rising places: the text is walked through once.
  std::string place(size_t at) {
    if (at < place_.at) place_ = {};
    while (place_.at < at) {
      bool newline = text_[place_.at] == '\n';
      next_code_point(text_, place_.at);
      place_.line += newline;
      place_.column = newline ? 1 : place_.column + 1;
    }
    return fmt::format("{}, line {}, column {}", source_, place_.line, place_.column);
  }
  std::string found() const {
    if (at_end()) return "the end";
    size_t end = text_.find('\n', at_);
    return end == at_ ? "the end of the line" : in_quotes(text_.substr(at_, end - at_), 20);
  }
  [[noreturn]] void expected(const std::string& what) {
    fail("{}: expected {}, got {}", place(at_), what, found());
  }

  void skip_space(bool newlines) {
    for (; !at_end(); ++at_) {
      char c = peek();
      if (c == '#') {
        at_ = std::min(text_.find('\n', at_), text_.size());
        if (at_end() || !newlines) return;
      } else if (c != ' ' && c != '\t' && !(newlines && (c == '\n' || c == '\r'))) {
        return;
      }
    }
  }

  std::string_view name() {
    size_t start = at_;
    while (is_name_character(peek())) ++at_;
    return text_.substr(start, at_ - start);
  }
  size_t number_of(std::string_view name, size_t at) {
    auto [entry, added] = numbers_.emplace(name, grammar_.rules.size());
    if (added) {
      if (std::ssize(grammar_.rules) >= kMostRules)
        fail("{}: the grammar has more than {} rules", place(at), grouped(kMostRules));
      grammar_.rules.push_back({std::string(name), {}, place(at)});
      defined_.push_back(false);
    }
    return entry->second;
  }

  void rule() {
    size_t start = at_;
    std::string_view named = name();
    if (named.empty()) expected("the name of a rule");
    skip_space(false);
    if (!take("::=")) expected("::= after the name of a rule");
    size_t number = number_of(named, start);
    if (defined_[number]) fail("{}: the rule {} already exists", place(start), in_quotes(named));
    defined_[number] = true;
    grammar_.rules[number].where = place(start);
    skip_space(true);
    Expression body = alternatives(0);
    grammar_.rules[number].body = std::move(body);
    skip_space(false);
    if (!at_end() && peek() != '\n' && peek() != '\r') expected("the end of the line or |");
  }

  /// Moves to a | that begins one of the next lines.
  bool goes_on(int depth) {
    size_t before = at_;
    skip_space(true);
    if (peek() == '|') return true;
    if (depth == 0) at_ = before;
    return false;
  }

  Expression alternatives(int depth) {
    if (depth > kDeepest) fail("{}: more than {} groups within each other", place(at_), kDeepest);
    std::vector<Expression> parts;
    parts.push_back(items(depth));
    while (goes_on(depth)) {
      ++at_;
      skip_space(true);
      parts.push_back(items(depth));
    }
    return choice(std::move(parts));
  }

  Expression items(int depth) {
    std::vector<Expression> parts;
    for (bool repeated = false;;) {
      skip_space(depth > 0);
      char c = peek();
      bool repeats = c == '?' || c == '*' || c == '+' || c == '{';
      if (c == '"') {
        parts.push_back(quoted());
      } else if (c == '[') {
        parts.push_back(brackets());
      } else if (c == '.') {
        ++at_;
        parts.push_back(character_class({{0, kLastCodePoint}}));
      } else if (c == '(') {
        parts.push_back(group(depth));
      } else if (is_name_character(c)) {
        size_t start = at_;
        std::string_view named = name();
        parts.push_back(rule_reference(number_of(named, start)));
      } else if (repeats) {
        if (parts.empty()) expected("something to repeat before the repetition");
        if (repeated) fail("{}: a repetition of a repetition; put the first one in a group", place(at_));
        parts.back() = repetition(std::move(parts.back()));
      } else if (c == '<' || c == '!') {
        fail("{}: tokens by name (<...>) are not supported; write the text of the token", place(at_));
      } else {
        return sequence(std::move(parts));
      }
      repeated = repeats;
    }
  }

  Expression group(int depth) {
    ++at_;
    skip_space(true);
    Expression inner = alternatives(depth + 1);
    skip_space(true);
    if (!take(")")) expected(") at the end of a group");
    return inner;
  }

  Expression repetition(Expression part) {
    size_t start = at_;
    if (take("?")) return repeat(std::move(part), 0, 1);
    if (take("*")) return repeat(std::move(part), 0);
    if (take("+")) return repeat(std::move(part), 1);
    ++at_;
    skip_space(false);
    int64_t least = count(), most = least;
    skip_space(false);
    if (take(",")) {
      skip_space(false);
      most = peek() == '}' ? Expression::kUnbounded : count();
      skip_space(false);
    }
    if (!take("}")) expected("} at the end of a repetition");
    if (most != Expression::kUnbounded && most < least)
      fail("{}: a repetition from {} to {} times", place(start), least, most);
    return repeat(std::move(part), least, most);
  }
  int64_t count() {
    size_t start = at_;
    int64_t n = 0;
    for (; peek() >= '0' && peek() <= '9'; ++at_) n = std::min(n * 10 + (peek() - '0'), kMostRepetitions + 1);
    if (at_ == start) expected("a number");
    if (n > kMostRepetitions)
      fail("{}: a repetition of more than {} times; leave the bound open, as in {{1,}}", place(start),
           grouped(kMostRepetitions));
    return n;
  }

  Expression quoted() {
    size_t start = at_++;
    std::string out;
    while (peek() != '"') {
      if (at_end() || peek() == '\n') fail("{}: the text has no closing quote on its line", place(start));
      append_utf8(out, character());
    }
    ++at_;
    return literal(std::move(out));
  }

  Expression brackets() {
    size_t start = at_++;
    bool others = take("^");
    std::vector<CodePointRange> ranges;
    while (peek() != ']') {
      if (at_end() || peek() == '\n') fail("{}: the class has no ] on its line", place(start));
      size_t from = at_;
      char32_t first = character(), last = first;
      if (peek() == '-' && at_ + 1 < text_.size() && text_[at_ + 1] != ']') {
        ++at_;
        last = character();
      }
      if (last < first) fail("{}: the range runs backwards", place(from));
      ranges.emplace_back(first, last);
    }
    ++at_;
    Expression result = character_class(std::move(ranges));
    if (others) result.ranges = complement(result.ranges);
    if (result.ranges.empty()) fail("{}: the class holds no character", place(start));
    return result;
  }

  /// A character or an escape.
  char32_t character() {
    size_t start = at_;
    char32_t c = next_code_point(text_, at_);
    if (c != '\\') return c;
    if (at_end()) fail("{}: the escape is not complete", place(start));
    char kind = text_[at_++];
    switch (kind) {
      case 'n':
        return '\n';
      case 'r':
        return '\r';
      case 't':
        return '\t';
      case 'x':
        return hexadecimal(start, 2);
      case 'u':
        return hexadecimal(start, 4);
      case 'U':
        return hexadecimal(start, 8);
      case '\\':
      case '"':
      case '[':
      case ']':
      case '-':
      case '^':
        return static_cast<unsigned char>(kind);
      default:
        break;
    }
    fail("{}: unknown escape {}; known are \\n \\r \\t \\\\ \\\" \\[ \\] \\- \\^ \\xHH \\uHHHH \\UHHHHHHHH",
         place(start), in_quotes(text_.substr(start, 2)));
  }
  char32_t hexadecimal(size_t start, int digits) {
    uint64_t value = 0;
    for (int i = 0; i < digits; ++i, ++at_) {
      char c = peek();
      int digit = c >= '0' && c <= '9'   ? c - '0'
                  : c >= 'a' && c <= 'f' ? c - 'a' + 10
                  : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                         : -1;
      if (digit < 0) fail("{}: the escape needs {} hexadecimal digits", place(start), digits);
      value = value * 16 + static_cast<uint64_t>(digit);
    }
    if (value > kLastCodePoint || (value >= kFirstSurrogate && value <= kLastSurrogate))
      fail("{}: U+{:X} is not a character", place(start), value);
    return static_cast<char32_t>(value);
  }

  std::string_view text_;
  const std::string& source_;
  size_t at_ = 0;
  struct {
    size_t at = 0;
    int64_t line = 1, column = 1;
  } place_;
  GrammarText grammar_;
  std::unordered_map<std::string, size_t> numbers_;
  std::vector<bool> defined_;
};

/// A character as literals and classes write it.
std::string written(char32_t c) {
  switch (c) {
    case '\n':
      return "\\n";
    case '\r':
      return "\\r";
    case '\t':
      return "\\t";
    case '\\':
    case '"':
    case '[':
    case ']':
    case '-':
    case '^':
      return std::string("\\") + static_cast<char>(c);
    default:
      break;
  }
  if (c < 0x20 || c == 0x7F) return fmt::format("\\x{:02X}", static_cast<uint32_t>(c));
  if (c > 0xFFFF) return fmt::format("\\U{:08X}", static_cast<uint32_t>(c));
  if (c > 0x7F) return fmt::format("\\u{:04X}", static_cast<uint32_t>(c));
  return std::string(1, static_cast<char>(c));
}

std::string written_class(const std::vector<CodePointRange>& ranges) {
  std::string out = "[";
  for (auto [first, last] : ranges) {
    out += written(first);
    if (last > first) out += (last > first + 1 ? "-" : "") + written(last);
  }
  return out + "]";
}

std::string written_literal(const std::string& text) {
  std::string out = "\"";
  for (size_t i = 0; i < text.size();) {
    size_t start = i;
    char32_t c = next_code_point(text, i);
    out += c > 0x7F                                       ? text.substr(start, i - start)
           : c == '-' || c == '[' || c == ']' || c == '^' ? std::string(1, static_cast<char>(c))
                                                          : written(c);
  }
  return out + "\"";
}

std::string written_repetition(int64_t least, int64_t most) {
  if (most == Expression::kUnbounded)
    return least == 0 ? "*" : least == 1 ? "+" : fmt::format("{{{},}}", least);
  if (least == 0 && most == 1) return "?";
  return least == most ? fmt::format("{{{}}}", least) : fmt::format("{{{},{}}}", least, most);
}

std::string written_expression(const GrammarText& grammar, const Expression& e);

/// As a part of a sequence or of a repetition.
std::string written_part(const GrammarText& grammar, const Expression& e, bool of_repetition) {
  using Kind = Expression::Kind;
  bool group = e.kind == Kind::Choice || (e.kind == Kind::Sequence && !e.parts.empty()) ||
               (e.kind == Kind::Repeat && of_repetition);
  return group ? "(" + written_expression(grammar, e) + ")" : written_expression(grammar, e);
}

std::string written_expression(const GrammarText& grammar, const Expression& e) {
  using Kind = Expression::Kind;
  std::string out;
  switch (e.kind) {
    case Kind::Literal:
      return written_literal(e.literal);
    case Kind::Class:
      return written_class(e.ranges);
    case Kind::Rule:
      return grammar.rules[e.rule].name;
    case Kind::Sequence:
      for (const Expression& part : e.parts)
        out += (out.empty() ? "" : " ") + written_part(grammar, part, false);
      return e.parts.empty() ? "\"\"" : out;
    case Kind::Choice:
      for (const Expression& part : e.parts)
        out += (out.empty() ? "" : " | ") + written_expression(grammar, part);
      return out;
    case Kind::Repeat:
      break;
  }
  return written_part(grammar, e.parts[0], true) + written_repetition(e.least, e.most);
}

}  // namespace

GrammarText parse_grammar(std::string_view text, const std::string& source) {
  return Parser(text, source).parse();
}

Expression literal(std::string text) {
  Expression e;
  e.kind = Expression::Kind::Literal;
  e.literal = std::move(text);
  return e;
}

Expression character_class(std::vector<CodePointRange> ranges) {
  std::sort(ranges.begin(), ranges.end());
  Expression e;
  e.kind = Expression::Kind::Class;
  auto add = [&](char32_t first, char32_t last) {
    if (first > last) return;
    if (!e.ranges.empty() && first <= e.ranges.back().second + 1) {
      e.ranges.back().second = std::max(e.ranges.back().second, last);
    } else {
      e.ranges.emplace_back(first, last);
    }
  };
  for (auto [first, last] : ranges) {
    add(first, std::min<char32_t>(last, kFirstSurrogate - 1));
    add(std::max<char32_t>(first, kLastSurrogate + 1), last);
  }
  return e;
}

Expression rule_reference(size_t rule) {
  Expression e;
  e.kind = Expression::Kind::Rule;
  e.rule = rule;
  return e;
}

Expression sequence(std::vector<Expression> parts) {
  if (parts.size() == 1) return std::move(parts[0]);
  Expression e;
  e.parts = std::move(parts);
  return e;
}

Expression choice(std::vector<Expression> parts) {
  if (parts.size() == 1) return std::move(parts[0]);
  Expression e;
  e.kind = Expression::Kind::Choice;
  e.parts = std::move(parts);
  return e;
}

Expression repeat(Expression part, int64_t least, int64_t most) {
  Expression e;
  e.kind = Expression::Kind::Repeat;
  e.parts.push_back(std::move(part));
  e.least = least;
  e.most = most;
  return e;
}

std::vector<CodePointRange> complement(const std::vector<CodePointRange>& ranges) {
  std::vector<CodePointRange> others;
  char32_t from = 0;
  for (auto [first, last] : ranges) {
    if (first > from) others.emplace_back(from, first - 1);
    from = last + 1;
  }
  if (from <= kLastCodePoint) others.emplace_back(from, kLastCodePoint);
  return character_class(std::move(others)).ranges;
}

std::string grammar_notation(const GrammarText& grammar) {
  std::string out;
  for (const GrammarRule& rule : grammar.rules)
    out += fmt::format("{} ::= {}\n", rule.name, written_expression(grammar, rule.body));
  return out;
}

}  // namespace longspan
