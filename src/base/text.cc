#include "base/text.h"

#include <fmt/core.h>

namespace longspan {

namespace {

constexpr char32_t kReplacement = 0xFFFD;

/// Does nothing visible to a terminal, or something to the text around it: C0 and C1 controls, zero-width and
/// directional marks, line and paragraph separators.
bool invisible(char32_t c) {
  return c < 0x20 || (c >= 0x7F && c < 0xA0) || (c >= 0x200B && c <= 0x200F) ||
         (c >= 0x2028 && c <= 0x202E) || (c >= 0x2060 && c <= 0x206F) || c == 0xFEFF;
}

/// The character at text[i], which is advanced, as a message shows it.
std::string shown_character(std::string_view text, size_t& i, bool quotes) {
  size_t begin = i;
  char32_t c = next_code_point(text, i);
  std::string_view bytes = text.substr(begin, i - begin);
  if (c == kReplacement && bytes != "\xEF\xBF\xBD") {
    std::string out;
    for (char byte : bytes) out += fmt::format("\\x{:02x}", static_cast<unsigned char>(byte));
    return out;
  }
  if (c == '\n') return "\\n";
  if (c == '\r') return "\\r";
  if (c == '\t') return "\\t";
  if (invisible(c))
    return c < 0x80 ? fmt::format("\\x{:02x}", static_cast<unsigned>(c))
                    : fmt::format("\\u{{{:04x}}}", static_cast<unsigned>(c));
  return (quotes && (c == '"' || c == '\\') ? "\\" : "") + std::string(bytes);
}

std::string shown(std::string_view text, size_t most, std::string_view quote) {
  std::string out(quote);
  size_t i = 0;
  for (size_t used = 0; i < text.size();) {
    size_t next = i;
    std::string one = shown_character(text, next, !quote.empty());
    used += next - i == one.size() ? 1 : one.size();
    if (used > most) break;
    out += one;
    i = next;
  }
  if (i == text.size()) return out.append(quote);
  return out.append("…").append(quote) +
         fmt::format(" ({} bytes)", grouped(static_cast<int64_t>(text.size())));
}

}  // namespace

char32_t next_code_point(std::string_view text, size_t& i) {
  auto byte = [&](size_t k) { return static_cast<unsigned char>(text[k]); };
  unsigned char first = byte(i++);
  if (first < 0x80) return first;
  int more;
  // Range of the second byte: excludes overlong forms, surrogates and values above U+10FFFF.
  unsigned char low = 0x80, high = 0xBF;
  char32_t cp;
  if (first >= 0xC2 && first <= 0xDF) {
    more = 1, cp = first & 0x1F;
  } else if (first >= 0xE0 && first <= 0xEF) {
    more = 2, cp = first & 0x0F;
    if (first == 0xE0) low = 0xA0;
    if (first == 0xED) high = 0x9F;
  } else if (first >= 0xF0 && first <= 0xF4) {
    more = 3, cp = first & 0x07;
    if (first == 0xF0) low = 0x90;
    if (first == 0xF4) high = 0x8F;
  } else {
    return kReplacement;
  }
  for (; more > 0; --more) {
    if (i >= text.size() || byte(i) < low || byte(i) > high) return kReplacement;
    cp = (cp << 6) | (byte(i++) & 0x3F);
    low = 0x80, high = 0xBF;
  }
  return cp;
}

void append_utf8(std::string& out, char32_t cp) {
  auto put = [&](unsigned v) { out.push_back(static_cast<char>(v)); };
  if (cp < 0x80) {
    put(cp);
  } else if (cp < 0x800) {
    put(0xC0 | (cp >> 6)), put(0x80 | (cp & 0x3F));
  } else if (cp < 0x10000) {
    put(0xE0 | (cp >> 12)), put(0x80 | ((cp >> 6) & 0x3F)), put(0x80 | (cp & 0x3F));
  } else {
    put(0xF0 | (cp >> 18)), put(0x80 | ((cp >> 12) & 0x3F)), put(0x80 | ((cp >> 6) & 0x3F)),
        put(0x80 | (cp & 0x3F));
  }
}

std::string valid_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    if (static_cast<unsigned char>(text[i]) < 0x80) {
      out.push_back(text[i++]);
    } else {
      append_utf8(out, next_code_point(text, i));
    }
  }
  return out;
}

size_t complete_utf8_prefix(std::string_view text) {
  // A sequence is at most 4 bytes: look for a lead byte among the last 3 whose sequence runs past the end.
  for (size_t back = 1; back <= 3 && back <= text.size(); ++back) {
    unsigned char c = static_cast<unsigned char>(text[text.size() - back]);
    if ((c & 0xC0) == 0x80) continue;
    size_t need = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : c >= 0xC0 ? 2 : 1;
    return need > back ? text.size() - back : text.size();
  }
  return text.size();
}

std::string excerpt(std::string_view text, size_t most) { return shown(text, most, ""); }
std::string in_quotes(std::string_view text, size_t most) { return shown(text, most, "\""); }

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  for (size_t at = text.find(from); at != text.npos; at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
  return text;
}

std::string grouped(int64_t n) {
  std::string digits = std::to_string(n);
  for (int64_t at = static_cast<int64_t>(digits.size()) - 3; at > (n < 0 ? 1 : 0); at -= 3)
    digits.insert(static_cast<size_t>(at), 1, ',');
  return digits;
}

std::string human_bytes(double bytes) {
  const char* units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  int u = 0;
  while (bytes >= 1024 && u < 4) bytes /= 1024, ++u;
  return u == 0 ? fmt::format("{:.0f} B", bytes) : fmt::format("{:.1f} {}", bytes, units[u]);
}

std::string human_seconds(double s) {
  if (s < 10) return fmt::format("{:.1f}s", s);
  auto t = static_cast<long>(s + 0.5);
  if (t < 60) return fmt::format("{}s", t);
  if (t < 3600) return fmt::format("{}m {:02}s", t / 60, t % 60);
  return fmt::format("{}h {:02}m", t / 3600, t % 3600 / 60);
}

}  // namespace longspan
