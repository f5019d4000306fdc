// Template text -> tokens, with Jinja's white-space rules under trim_blocks and lstrip_blocks: the first line
// feed after a block or comment is dropped, as is the indentation before one that starts its line; '-' strips
// all white space, '+' keeps it.
#include "base/text.h"
#include "jinja/ast.h"
#include "jinja/text.h"

namespace longspan::jinja {
namespace {

constexpr std::string_view kOperators[] = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "/",
                                           "*",  "%",  "~",  "[",  "]",  "(",  ")", "{", "}",
                                           ">",  "<",  "=",  ".",  ":",  "|",  ",", ";"};

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_name(char c) { return is_name_start(c) || is_digit(c); }

// Python reads any line end as "\n"; the template's last one does not count.
std::string with_plain_newlines(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\r') {
      out += '\n';
      if (i + 1 < text.size() && text[i + 1] == '\n') ++i;
    } else {
      out += text[i];
    }
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

char32_t read_hex(std::string_view body, size_t& i, size_t digits, char letter) {
  char32_t code = 0;
  for (size_t k = 0; k < digits; ++k, ++i) {
    char c = i < body.size() ? body[i] : ' ';
    int digit = is_digit(c)            ? c - '0'
                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                       : -1;
    if (digit < 0) problem("the string escape \\{} needs {} hexadecimal digits", letter, digits);
    code = code * 16 + static_cast<char32_t>(digit);
  }
  if (code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) {
    problem("the string escape \\{} names no character", letter);
  }
  return code;
}

void append_escape(std::string& out, std::string_view body, size_t& i) {
  static constexpr std::string_view kLetters = "abfnrtv\\'\"";
  static constexpr std::string_view kMeanings = "\a\b\f\n\r\t\v\\'\"";
  char c = body[i++];
  if (c == '\n') return;
  if (size_t at = kLetters.find(c); at != kLetters.npos) {
    out += kMeanings[at];
  } else if (c >= '0' && c <= '7') {
    char32_t code = static_cast<char32_t>(c - '0');
    for (int k = 0; k < 2 && i < body.size() && body[i] >= '0' && body[i] <= '7'; ++k) {
      code = code * 8 + static_cast<char32_t>(body[i++] - '0');
    }
    append_utf8(out, code);
  } else if (c == 'x' || c == 'u' || c == 'U') {
    append_utf8(out, read_hex(body, i, c == 'x' ? 2 : c == 'u' ? 4 : 8, c));
  } else if (c == 'N') {
    problem("the string escape \\N{{...}} is not supported: write the character itself");
  } else {
    out += '\\';
    out += c;
  }
}

std::string unescaped(std::string_view body) {
  std::string out;
  for (size_t i = 0; i < body.size();) {
    if (body[i] == '\\' && i + 1 < body.size()) {
      append_escape(out, body, ++i);
    } else {
      out += body[i++];
    }
  }
  return out;
}

class Lexer {
 public:
  Lexer(std::string_view text, int& line) : text_(with_plain_newlines(valid_utf8(text))), line_(line) {
    line_ = 1;
  }

  std::vector<Token> run() {
    while (at_ < text_.size()) {
      size_t begin = next_tag();
      emit_text(begin);
      if (begin == text_.size()) break;
      char kind = text_[begin + 1];
      advance(begin + 2);
      if (at_ < text_.size() && (text_[at_] == '-' || text_[at_] == '+')) advance(at_ + 1);
      if (kind == '#') {
        skip_comment();
      } else if (kind == '%' && raw_end_ != 0) {
        read_raw();
      } else {
        read_tag(kind == '%');
      }
    }
    emit(TokenKind::kEnd, "");
    return std::move(tokens_);
  }

 private:
  void emit(TokenKind kind, std::string text) { tokens_.push_back({kind, std::move(text), line_}); }

  void advance(size_t to) {
    for (; at_ < to; ++at_) line_ += text_[at_] == '\n';
  }

  bool starts(size_t at, std::string_view what) const {
    return std::string_view(text_).substr(at, what.size()) == what;
  }

  size_t skip_space(size_t at) const { return at + leading_space(std::string_view(text_).substr(at)); }

  size_t next_tag() const {
    for (size_t at = at_; (at = text_.find('{', at)) != text_.npos; ++at) {
      if (at + 1 < text_.size() && std::string_view("%{#").find(text_[at + 1]) != std::string_view::npos)
        return at;
    }
    return text_.size();
  }

  // {% raw %}: where its body starts, else 0.
  size_t raw_body(size_t begin) const {
    if (text_[begin + 1] != '%') return 0;
    size_t at = begin + 2;
    if (at < text_.size() && (text_[at] == '-' || text_[at] == '+')) ++at;
    at = skip_space(at);
    if (!starts(at, "raw")) return 0;
    at = skip_space(at + 3);
    if (starts(at, "-%}")) return skip_space(at + 3);
    return starts(at, "%}") ? at + 2 : 0;
  }

  // The text before the tag at `begin` (or the rest), stripped as the tag asks.
  void emit_text(size_t begin) {
    std::string_view text = std::string_view(text_).substr(at_, begin - at_);
    raw_end_ = begin < text_.size() ? raw_body(begin) : 0;
    if (begin < text_.size()) {
      char sign = begin + 2 < text_.size() ? text_[begin + 2] : ' ';
      text = strip_before(text, sign, text_[begin + 1] != '{');
    }
    if (!text.empty()) emit(TokenKind::kText, std::string(text));
    advance(begin);
    line_starting_ = false;
  }

  std::string_view strip_before(std::string_view text, char sign, bool is_block) const {
    if (sign == '-') return text.substr(0, text.size() - trailing_space(text));
    if (sign == '+' || !is_block) return text;
    size_t start = text.rfind('\n') + 1;  // npos + 1 == 0
    if (start == 0 && !line_starting_) return text;
    std::string_view indentation = text.substr(start);
    return leading_space(indentation) == indentation.size() ? text.substr(0, start) : text;
  }

  // Ends a tag whose closing delimiter starts at `end`; '-' or '+' may precede the delimiter.
  void close(size_t delimiter, char sign, bool trims) {
    size_t to = delimiter + 2;
    if (sign == '-') {
      to = skip_space(to);
    } else if (sign != '+' && trims && to < text_.size() && text_[to] == '\n') {
      ++to;
    }
    advance(to);
    line_starting_ = text_[to - 1] == '\n';
  }

  void skip_comment() {
    size_t end = text_.find("#}", at_);
    if (end == text_.npos) problem("this comment is not closed: '#}}' is missing");
    close(end, end > at_ ? text_[end - 1] : ' ', true);
  }

  void read_raw() {
    advance(raw_end_);
    for (size_t at = at_; (at = text_.find("{%", at)) != text_.npos; ++at) {
      size_t word = at + 2;
      char sign = word < text_.size() ? text_[word] : ' ';
      if (sign == '-' || sign == '+') ++word;
      word = skip_space(word);
      if (!starts(word, "endraw")) continue;
      size_t end = skip_space(word + 6);
      char end_sign = end < text_.size() && (text_[end] == '-' || text_[end] == '+') ? text_[end] : ' ';
      if (end_sign != ' ') ++end;
      if (!starts(end, "%}")) continue;
      line_starting_ = text_[at_ - 1] == '\n';
      std::string_view body = strip_before(std::string_view(text_).substr(at_, at - at_), sign, true);
      if (!body.empty()) emit(TokenKind::kText, std::string(body));
      close(end, end_sign, true);
      return;
    }
    problem("{{% raw %}} is not closed: '{{% endraw %}}' is missing");
  }

  bool read_end(bool block) {
    std::string_view delimiter = block ? "%}" : "}}";
    bool sign = at_ < text_.size() && (text_[at_] == '-' || (block && text_[at_] == '+'));
    if (!starts(at_ + sign, delimiter)) return false;
    emit(block ? TokenKind::kBlockEnd : TokenKind::kOutputEnd, std::string(delimiter));
    close(at_ + sign, sign ? text_[at_] : ' ', block);
    return true;
  }

  void read_tag(bool block) {
    emit(block ? TokenKind::kBlockBegin : TokenKind::kOutputBegin, "");
    std::string brackets;
    while (true) {
      advance(skip_space(at_));
      if (at_ >= text_.size())
        problem("the template ends inside a tag: '{}' is missing", block ? "%}" : "}}");
      if (brackets.empty() && read_end(block)) return;
      char c = text_[at_];
      if (is_digit(c)) {
        read_number();
      } else if (is_name_start(c)) {
        size_t end = at_;
        while (end < text_.size() && is_name(text_[end])) ++end;
        emit(TokenKind::kName, text_.substr(at_, end - at_));
        advance(end);
      } else if (c == '\'' || c == '"') {
        read_string(c);
      } else {
        read_operator(brackets);
      }
    }
  }

  size_t digits_end(size_t at) const {
    while (at < text_.size() &&
           (is_digit(text_[at]) || (text_[at] == '_' && at + 1 < text_.size() && is_digit(text_[at + 1]))))
      ++at;
    return at;
  }

  void read_number() {
    size_t end = at_ + 1;
    TokenKind kind = TokenKind::kInteger;
    char base = end < text_.size() && text_[at_] == '0' ? text_[end] : ' ';
    if (std::string_view("xXoObB").find(base) != std::string_view::npos) {
      ++end;
      while (end < text_.size() && is_name(text_[end])) ++end;
    } else {
      end = digits_end(at_);
      bool after_dot = at_ > 0 && text_[at_ - 1] == '.';
      if (!after_dot && starts(end, ".") && end + 1 < text_.size() && is_digit(text_[end + 1])) {
        end = digits_end(end + 1);
        kind = TokenKind::kFloat;
      }
      if (size_t e = end; !after_dot && e < text_.size() && (text_[e] == 'e' || text_[e] == 'E')) {
        e += e + 1 < text_.size() && (text_[e + 1] == '-' || text_[e + 1] == '+') ? 2 : 1;
        if (e < text_.size() && is_digit(text_[e])) {
          end = digits_end(e);
          kind = TokenKind::kFloat;
        }
      }
    }
    std::string digits;
    for (size_t i = at_; i < end; ++i) {
      if (text_[i] != '_') digits += text_[i];
    }
    emit(kind, digits);
    advance(end);
  }

  void read_string(char quote) {
    size_t end = at_ + 1;
    while (end < text_.size() && text_[end] != quote) end += text_[end] == '\\' ? 2 : 1;
    if (end >= text_.size()) problem("this string is not closed: {} is missing", quote);
    emit(TokenKind::kString, unescaped(std::string_view(text_).substr(at_ + 1, end - at_ - 1)));
    advance(end + 1);
  }

  void read_operator(std::string& brackets) {
    for (std::string_view op : kOperators) {
      if (!starts(at_, op)) continue;
      if (op == "(" || op == "[" || op == "{") {
        brackets += op == "(" ? ')' : op == "[" ? ']' : '}';
      } else if (op == ")" || op == "]" || op == "}") {
        if (brackets.empty() || brackets.back() != op[0]) problem("'{}' closes nothing here", op);
        brackets.pop_back();
      }
      emit(TokenKind::kOperator, std::string(op));
      advance(at_ + op.size());
      return;
    }
    problem("the character '{}' has no meaning inside a tag",
            characters(std::string_view(text_).substr(at_, 4)).front());
  }

  std::string text_;
  int& line_;
  size_t at_ = 0;
  size_t raw_end_ = 0;
  bool line_starting_ = true;
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> read_tokens(std::string_view text, int& line) { return Lexer(text, line).run(); }

}  // namespace longspan::jinja
