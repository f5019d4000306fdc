#include "grammar/json_pattern.h"

#include <algorithm>

#include "base/error.h"
#include "base/text.h"

namespace longspan {

namespace {

using Ranges = std::vector<CodePointRange>;

constexpr int kDeepest = 50;

const Ranges kDigits = {{'0', '9'}}, kWord = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}},
             // ECMAScript's white space and line ends
    kSpaces = {{0x09, 0x0D},     {0x20, 0x20},     {0xA0, 0xA0},     {0x1680, 0x1680}, {0x2000, 0x200A},
               {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000}, {0xFEFF, 0xFEFF}},
             kLineEnds = {{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}};

class PatternParser {
 public:
  PatternParser(const std::string& pattern, const JsonRules& rules, const std::string& where)
      : pattern_(pattern), any_(repeat(rules.named("character"), 0)), where_(where) {
    for (size_t i = 0; i < pattern.size();) text_ += next_code_point(pattern, i);
  }

  Expression parse() {
    std::vector<Expression> parts;
    do {
      bool begins = take(U'^');
      Expression inside = items(0);
      bool ends = take(U'$');
      std::vector<Expression> whole;
      if (!begins) whole.push_back(any_);
      whole.push_back(std::move(inside));
      if (!ends) whole.push_back(any_);
      parts.push_back(sequence(std::move(whole)));
    } while (take(U'|'));
    if (!at_end()) refuse(peek() == U')' ? "a ) without its (" : "an anchor inside");
    return choice(std::move(parts));
  }

 private:
  bool at_end() const { return at_ >= text_.size(); }
  char32_t peek(size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : 0; }
  bool take(char32_t c) {
    if (at_end() || peek() != c) return false;
    ++at_;
    return true;
  }
  [[noreturn]] void refuse(const std::string& what) const {
    fail("{}: the pattern {} has {} at character {}, which is not supported", where_, in_quotes(pattern_),
         what, at_ + 1);
  }

  Expression alternatives(int depth) {
    if (depth > kDeepest) refuse("too many groups within each other");
    std::vector<Expression> parts;
    do parts.push_back(items(depth));
    while (take(U'|'));
    return choice(std::move(parts));
  }

  Expression items(int depth) {
    std::vector<Expression> parts;
    while (!at_end() && peek() != U'|' && peek() != U')' && peek() != U'$')
      parts.push_back(quantified(item(depth)));
    if (depth > 0 && peek() == U'$') refuse("an anchor inside");
    return sequence(std::move(parts));
  }

  Expression item(int depth) {
    char32_t c = peek();
    if (c == U'(') return group(depth);
    if (c == U'[') return json_characters(brackets());
    if (c == U'^') refuse("an anchor inside");
    if (c == U'*' || c == U'+' || c == U'?' || c == U'{') refuse("a repetition of nothing");
    if (c == U'\\') return json_characters(escape(false));
    ++at_;
    return json_characters(c == U'.' ? complement(kLineEnds) : Ranges{{c, c}});
  }

  Expression group(int depth) {
    ++at_;
    if (take(U'?') && !take(U':')) refuse("look-around or a named group");
    Expression inner = alternatives(depth + 1);
    if (!take(U')')) refuse("a ( without its )");
    return inner;
  }

  Expression quantified(Expression part) {
    int64_t least = 0, most = Expression::kUnbounded;
    if (take(U'?')) {
      most = 1;
    } else if (take(U'+')) {
      least = 1;
    } else if (peek() == U'{') {
      std::tie(least, most) = bounds();
    } else if (!take(U'*')) {
      return part;
    }
    take(U'?');  // lazy: the same strings
    char32_t c = peek();
    if (!at_end() && (c == U'*' || c == U'+' || c == U'?' || c == U'{'))
      refuse("a repetition of a repetition");
    return repeat(std::move(part), least, most);
  }
  std::pair<int64_t, int64_t> bounds() {
    ++at_;
    int64_t least = number(), most = least;
    if (take(U',')) most = peek() == U'}' ? Expression::kUnbounded : number();
    if (!take(U'}') || (most != Expression::kUnbounded && most < least))
      refuse("a repetition that cannot be read");
    return {least, most};
  }
  int64_t number() {
    if (!(peek() >= U'0' && peek() <= U'9')) refuse("a repetition that cannot be read");
    int64_t n = 0;
    for (; peek() >= U'0' && peek() <= U'9'; ++at_)
      n = std::min(n * 10 + (peek() - U'0'), kMostRepetitions + 1);
    if (n > kMostRepetitions)
      refuse(fmt::format("a repetition of more than {} times", grouped(kMostRepetitions)));
    return n;
  }

  Ranges brackets() {
    ++at_;
    bool others = take(U'^');
    Ranges ranges;
    while (peek() != U']') {
      if (at_end()) refuse("a [ without its ]");
      Ranges first = one_of_class();
      bool range = peek() == U'-' && peek(1) != U']' && peek(1) != 0;
      if (!range) {
        ranges.insert(ranges.end(), first.begin(), first.end());
        continue;
      }
      ++at_;
      Ranges last = one_of_class();
      auto single = [](const Ranges& r) { return r.size() == 1 && r[0].first == r[0].second; };
      if (!single(first) || !single(last) || last[0].first < first[0].first)
        refuse("a range that cannot be read");
      ranges.emplace_back(first[0].first, last[0].first);
    }
    ++at_;
    ranges = character_class(std::move(ranges)).ranges;
    if (others) ranges = complement(ranges);
    if (ranges.empty()) refuse("a class that holds nothing");
    return ranges;
  }
  Ranges one_of_class() {
    if (peek() == U'\\') return escape(true);
    char32_t c = text_[at_++];
    return {{c, c}};
  }

  Ranges escape(bool in_class) {
    ++at_;
    if (at_end()) refuse("an escape that is not complete");
    char32_t c = text_[at_++];
    auto one = [](char32_t x) { return Ranges{{x, x}}; };
    switch (c) {
      case U'd':
        return kDigits;
      case U'D':
        return complement(kDigits);
      case U'w':
        return kWord;
      case U'W':
        return complement(kWord);
      case U's':
        return kSpaces;
      case U'S':
        return complement(kSpaces);
      case U'n':
        return one('\n');
      case U'r':
        return one('\r');
      case U't':
        return one('\t');
      case U'f':
        return one('\f');
      case U'v':
        return one('\v');
      case U'0':
        return one(0);
      case U'x':
        return one(hexadecimal(2));
      case U'u':
        return one(hexadecimal(4));
      default:
        break;
    }
    bool letter = (c >= U'a' && c <= U'z') || (c >= U'A' && c <= U'Z') || (c >= U'1' && c <= U'9');
    if (in_class && c == U'b') return one('\b');
    if (letter) --at_, refuse("the escape \\" + std::string(1, static_cast<char>(c)));
    return one(c);
  }
  char32_t hexadecimal(int digits) {
    char32_t value = 0;
    for (int i = 0; i < digits; ++i, ++at_) {
      char32_t c = peek();
      if (c >= U'0' && c <= U'9')
        value = value * 16 + (c - U'0');
      else if ((c | 0x20) >= U'a' && (c | 0x20) <= U'f')
        value = value * 16 + ((c | 0x20) - U'a' + 10);
      else
        refuse("an escape that is not complete");
    }
    if (value >= 0xD800 && value <= 0xDFFF) refuse("a surrogate");
    return value;
  }

  const std::string& pattern_;
  std::u32string text_;
  size_t at_ = 0;
  Expression any_;
  const std::string& where_;
};

}  // namespace

Expression pattern_expression(const std::string& pattern, const JsonRules& rules, const std::string& where) {
  return PatternParser(pattern, rules, where).parse();
}

}  // namespace longspan
