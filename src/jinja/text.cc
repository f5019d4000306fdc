#include "jinja/text.h"

#include <utf8proc.h>

#include <algorithm>

#include "base/text.h"

namespace longspan::jinja {
namespace {

bool is_line_end(char32_t c) {
  return (c >= 0x0a && c <= 0x0d) || (c >= 0x1c && c <= 0x1e) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

utf8proc_category_t category(char32_t c) { return utf8proc_category(static_cast<utf8proc_int32_t>(c)); }

bool is_letter(char32_t c) {
  return category(c) >= UTF8PROC_CATEGORY_LU && category(c) <= UTF8PROC_CATEGORY_LO;
}

bool is_word(char32_t c) {
  return c == '_' || is_letter(c) ||
         (category(c) >= UTF8PROC_CATEGORY_ND && category(c) <= UTF8PROC_CATEGORY_NO);
}

// Simple case mapping, and the one full mapping that occurs in ordinary text.
void append_upper(std::string& out, char32_t c) {
  if (c == 0xdf) {
    out += "SS";
  } else {
    append_utf8(out, static_cast<char32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(c))));
  }
}

void append_lower(std::string& out, char32_t c) {
  append_utf8(out, static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))));
}

void append_title(std::string& out, char32_t c) {
  if (c == 0xdf) {
    out += "Ss";
  } else {
    append_utf8(out, static_cast<char32_t>(utf8proc_totitle(static_cast<utf8proc_int32_t>(c))));
  }
}

bool is_printable(char32_t c) {
  switch (category(c)) {
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
      return false;
    case UTF8PROC_CATEGORY_ZS:
      return c == ' ';
    default:
      return true;
  }
}

std::vector<std::string> split_space(std::string_view text, int64_t limit, bool from_right) {
  std::vector<std::pair<size_t, size_t>> words;  // begin, end
  for (size_t i = 0; i < text.size();) {
    i += leading_space(text.substr(i));
    size_t begin = i;
    for (size_t next = i; i < text.size() && !is_space(next_code_point(text, next)); i = next) {
    }
    if (i > begin) words.emplace_back(begin, i);
  }
  size_t cuts = limit < 0 ? words.size() : std::min(static_cast<size_t>(limit), words.size());
  size_t first = from_right ? words.size() - cuts : 0;
  std::vector<std::string> parts;
  // What is beyond the limit stays one piece, with the white space on its far side.
  if (from_right && first > 0) parts.emplace_back(text.substr(0, words[first - 1].second));
  for (size_t k = first; k < first + cuts; ++k) {
    parts.emplace_back(text.substr(words[k].first, words[k].second - words[k].first));
  }
  if (!from_right && cuts < words.size()) parts.emplace_back(text.substr(words[cuts].first));
  return parts;
}

}  // namespace

bool is_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f ||
         c == 0x3000;
}

size_t leading_space(std::string_view text) {
  size_t i = 0;
  while (i < text.size()) {
    size_t next = i;
    if (!is_space(next_code_point(text, next))) break;
    i = next;
  }
  return i;
}

size_t trailing_space(std::string_view text) {
  size_t end = text.size();
  while (end > 0) {
    size_t start = end - 1;
    while (start > 0 && end - start < 4 && (text[start] & 0xc0) == 0x80) --start;
    size_t i = start;
    if (!is_space(next_code_point(text, i)) || i != end) break;
    end = start;
  }
  return text.size() - end;
}

size_t code_points(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

std::vector<char32_t> decode(std::string_view text) {
  std::vector<char32_t> out;
  for (size_t i = 0; i < text.size();) out.push_back(next_code_point(text, i));
  return out;
}

std::string encode(char32_t code_point) {
  std::string out;
  append_utf8(out, code_point);
  return out;
}

std::vector<std::string_view> characters(std::string_view text) {
  std::vector<std::string_view> out;
  for (size_t i = 0; i < text.size();) {
    size_t start = i;
    next_code_point(text, i);
    out.push_back(text.substr(start, i - start));
  }
  return out;
}

std::string strip(std::string_view text, const std::optional<std::string>& chars, bool left, bool right) {
  if (!chars) {
    if (left) text.remove_prefix(leading_space(text));
    if (right) text.remove_suffix(trailing_space(text));
    return std::string(text);
  }
  std::vector<char32_t> set = decode(*chars);
  auto in_set = [&](std::string_view letter) {
    size_t i = 0;
    return std::find(set.begin(), set.end(), next_code_point(letter, i)) != set.end();
  };
  std::vector<std::string_view> letters = characters(text);
  size_t begin = 0;
  size_t end = letters.size();
  while (left && begin < end && in_set(letters[begin])) ++begin;
  while (right && end > begin && in_set(letters[end - 1])) --end;
  std::string out;
  for (size_t i = begin; i < end; ++i) out += letters[i];
  return out;
}

std::vector<std::string> split(std::string_view text, std::string_view separator, int64_t limit,
                               bool from_right) {
  if (separator.empty()) return split_space(text, limit, from_right);
  std::vector<std::string> parts;
  while (limit < 0 || static_cast<int64_t>(parts.size()) < limit) {
    size_t at = from_right ? text.rfind(separator) : text.find(separator);
    if (at == text.npos) break;
    if (from_right) {
      parts.emplace_back(text.substr(at + separator.size()));
      text = text.substr(0, at);
    } else {
      parts.emplace_back(text.substr(0, at));
      text = text.substr(at + separator.size());
    }
  }
  parts.emplace_back(text);
  if (from_right) std::reverse(parts.begin(), parts.end());
  return parts;
}

std::vector<std::string> split_lines(std::string_view text, bool keep_ends) {
  std::vector<std::string> lines;
  size_t start = 0;
  for (size_t i = 0; i < text.size();) {
    size_t end = i;
    char32_t c = next_code_point(text, i);
    if (!is_line_end(c)) continue;
    if (c == '\r' && i < text.size() && text[i] == '\n') ++i;
    lines.emplace_back(text.substr(start, (keep_ends ? i : end) - start));
    start = i;
  }
  if (start < text.size()) lines.emplace_back(text.substr(start));
  return lines;
}

std::string replace(std::string_view text, std::string_view from, std::string_view to, int64_t limit) {
  std::string out;
  if (from.empty()) {
    auto put = [&] {
      if (limit != 0) out += to;
      if (limit > 0) --limit;
    };
    put();
    for (std::string_view letter : characters(text)) {
      out += letter;
      put();
    }
    return out;
  }
  size_t at = 0;
  while (limit != 0) {
    size_t found = text.find(from, at);
    if (found == text.npos) break;
    out += text.substr(at, found - at);
    out += to;
    at = found + from.size();
    if (limit > 0) --limit;
  }
  out += text.substr(at);
  return out;
}

int64_t count(std::string_view text, std::string_view needle) {
  if (needle.empty()) return static_cast<int64_t>(code_points(text)) + 1;
  int64_t found = 0;
  for (size_t at = 0; (at = text.find(needle, at)) != text.npos; at += needle.size()) ++found;
  return found;
}

std::string upper(std::string_view text) {
  std::string out;
  for (char32_t c : decode(text)) append_upper(out, c);
  return out;
}

std::string lower(std::string_view text) {
  std::string out;
  for (char32_t c : decode(text)) append_lower(out, c);
  return out;
}

std::string capitalize(std::string_view text) {
  std::string out;
  bool first = true;
  for (char32_t c : decode(text)) {
    if (first) {
      append_title(out, c);
    } else {
      append_lower(out, c);
    }
    first = false;
  }
  return out;
}

std::string title(std::string_view text) {
  std::string out;
  bool inside = false;
  for (char32_t c : decode(text)) {
    if (inside) {
      append_lower(out, c);
    } else {
      append_title(out, c);
    }
    auto kind = category(c);
    inside = kind == UTF8PROC_CATEGORY_LU || kind == UTF8PROC_CATEGORY_LL || kind == UTF8PROC_CATEGORY_LT;
  }
  return out;
}

std::string title_words(std::string_view text) {
  std::string out;
  bool inside = false;
  for (char32_t c : decode(text)) {
    bool separator = is_space(c) || c == '-' || c == '(' || c == '{' || c == '[' || c == '<';
    if (inside) {
      append_lower(out, c);
    } else {
      append_upper(out, c);
    }
    inside = !separator;
  }
  return out;
}

bool is_upper(std::string_view text) {
  bool cased = false;
  for (char32_t c : decode(text)) {
    if (category(c) == UTF8PROC_CATEGORY_LL || category(c) == UTF8PROC_CATEGORY_LT) return false;
    cased = cased || category(c) == UTF8PROC_CATEGORY_LU;
  }
  return cased;
}

bool is_lower(std::string_view text) {
  bool cased = false;
  for (char32_t c : decode(text)) {
    if (category(c) == UTF8PROC_CATEGORY_LU || category(c) == UTF8PROC_CATEGORY_LT) return false;
    cased = cased || category(c) == UTF8PROC_CATEGORY_LL;
  }
  return cased;
}

int64_t count_words(std::string_view text) {
  int64_t words = 0;
  bool inside = false;
  for (char32_t c : decode(text)) {
    bool now = is_word(c);
    words += now && !inside;
    inside = now;
  }
  return words;
}

std::string escape_html(std::string_view text) {
  std::string out;
  for (char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&#34;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string python_quoted(std::string_view text) {
  bool doubled = text.find('\'') != text.npos && text.find('"') == text.npos;
  char quote = doubled ? '"' : '\'';
  std::string out(1, quote);
  for (size_t i = 0; i < text.size();) {
    size_t start = i;
    char32_t c = next_code_point(text, i);
    if (c == static_cast<char32_t>(quote) || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c == '\n' || c == '\r' || c == '\t') {
      out += c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t";
    } else if (is_printable(c)) {
      out += text.substr(start, i - start);
    } else {
      char buffer[16];
      snprintf(buffer, sizeof buffer,
               c < 0x100     ? "\\x%02x"
               : c < 0x10000 ? "\\u%04x"
                             : "\\U%08x",
               static_cast<unsigned>(c));
      out += buffer;
    }
  }
  return out + quote;
}

}  // namespace longspan::jinja
