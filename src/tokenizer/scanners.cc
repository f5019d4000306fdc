#include "tokenizer/scanners.h"

#include "base/text.h"
#include "tokenizer/unicode.h"

namespace longspan {

const char kGpt2Pattern[] =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

namespace {

struct Char {
  CharClass cls;
  size_t end;  // where the next one begins
};

Char char_at(std::string_view s, size_t i) {
  auto c = static_cast<unsigned char>(s[i]);
  if (c < 0x80) return {char_class(c), i + 1};
  char32_t cp = next_code_point(s, i);
  return {char_class(cp), i};
}

size_t run_end(std::string_view s, size_t i, CharClass cls, int at_most = -1) {
  for (; i < s.size() && at_most != 0; --at_most) {
    Char c = char_at(s, i);
    if (c.cls != cls) break;
    i = c.end;
  }
  return i;
}

/// Length of the contraction at s[i] = '\'', or 0. In the caseless form s also matches U+017F, its long form.
size_t contraction(std::string_view s, size_t i, bool caseless) {
  auto at = [&](size_t k) -> char {
    if (k >= s.size()) return 0;
    return caseless && s[k] >= 'A' && s[k] <= 'Z' ? static_cast<char>(s[k] | 0x20) : s[k];
  };
  char a = at(i + 1), b = at(i + 2);
  if (a == 's' || a == 't' || a == 'm' || a == 'd') return 2;
  if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l')) return 3;
  if (caseless && s.substr(i + 1, 2) == "\u017F") return 3;
  return 0;
}

/// The end of \s+(?!\S)|\s+ at a whitespace character: the run, less its last character when a word follows.
size_t space_end(std::string_view s, size_t i) {
  size_t last = i, end = i;
  while (end < s.size()) {
    Char c = char_at(s, end);
    if (c.cls != kSpace) break;
    last = end;
    end = c.end;
  }
  return end == s.size() || last == i ? end : last;
}

size_t gpt2_end(std::string_view s, size_t i) {
  if (s[i] == '\'')
    if (size_t n = contraction(s, i, false)) return i + n;
  Char c = char_at(s, i);
  if (s[i] == ' ' && i + 1 < s.size()) {
    Char next = char_at(s, i + 1);
    if (next.cls != kSpace) return run_end(s, next.end, next.cls);
  }
  return c.cls == kSpace ? space_end(s, i) : run_end(s, c.end, c.cls);
}

bool is_newline(char c) { return c == '\n' || c == '\r'; }

size_t newlines_end(std::string_view s, size_t i) {
  while (i < s.size() && is_newline(s[i])) ++i;
  return i;
}

/// The end of \s*[\r\n]+|\s+(?!\S)|\s+: up to the run's last newline where it has one.
size_t newline_or_space_end(std::string_view s, size_t i) {
  size_t newline = 0;
  for (size_t j = i; j < s.size();) {
    Char c = char_at(s, j);
    if (c.cls != kSpace) break;
    if (is_newline(s[j])) newline = j + 1;
    j = c.end;
  }
  return newline ? newline : space_end(s, i);
}

/// (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,digits}|
/// ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
size_t tiktoken_end(std::string_view s, size_t i, int digits) {
  if (s[i] == '\'')
    if (size_t n = contraction(s, i, true)) return i + n;
  Char c = char_at(s, i);
  if (c.cls == kLetter) return run_end(s, c.end, kLetter);
  if (c.cls == kNumber) return run_end(s, c.end, kNumber, digits - 1);
  if (c.end < s.size() && !is_newline(s[i])) {
    Char next = char_at(s, c.end);
    if (next.cls == kLetter) return run_end(s, next.end, kLetter);
    if (s[i] == ' ' && next.cls == kOther) return newlines_end(s, run_end(s, next.end, kOther));
  }
  if (c.cls == kOther) return newlines_end(s, run_end(s, c.end, kOther));
  return newline_or_space_end(s, i);
}

template <size_t (*End)(std::string_view, size_t)>
bool everywhere(std::string_view s, size_t from, size_t& begin, size_t& end) {
  if (from >= s.size()) return false;
  begin = from;
  end = End(s, from);
  return true;
}
size_t llama3_end(std::string_view s, size_t i) { return tiktoken_end(s, i, 3); }
size_t qwen2_end(std::string_view s, size_t i) { return tiktoken_end(s, i, 1); }

/// \s+$ with $ at every line end: from the first whitespace of a run to the last place in it where a line
/// ends.
bool trailing_space(std::string_view s, size_t from, size_t& begin, size_t& end) {
  for (size_t i = from; i < s.size();) {
    Char c = char_at(s, i);
    if (c.cls != kSpace) {
      i = c.end;
      continue;
    }
    size_t stop = run_end(s, c.end, kSpace), line_end = stop == s.size() ? stop : 0;
    for (size_t j = stop; line_end == 0 && j-- > c.end;)
      if (s[j] == '\n') line_end = j;
    if (line_end > i) {
      begin = i, end = line_end;
      return true;
    }
    i = stop;
  }
  return false;
}

struct Row {
  std::string pattern;
  Scanner scanner;
};

std::string tiktoken_pattern(const std::string& contractions, const std::string& digits) {
  return contractions + "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" + digits +
         "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
}

}  // namespace

Scanner scanner_for(const std::string& pattern) {
  static const std::string kContractions = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
  static const Row kRows[] = {
      {kGpt2Pattern, everywhere<gpt2_end>},
      {tiktoken_pattern(kContractions, "\\p{N}{1,3}"), everywhere<llama3_end>},
      {tiktoken_pattern(kContractions, "\\p{N}"), everywhere<qwen2_end>},
      {"\\s+$", trailing_space},
  };
  for (auto& row : kRows)
    if (row.pattern == pattern) return row.scanner;
  return nullptr;
}

}  // namespace longspan
