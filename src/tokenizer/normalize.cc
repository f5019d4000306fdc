#include "tokenizer/normalize.h"

#include <utf8proc.h>

#include <cstdlib>

#include "base/error.h"
#include "base/text.h"
#include "tokenizer/unicode.h"

namespace longspan {

namespace {

using Kind = NormalizerStep::Kind;

void append_normal_form(std::string_view text, int options, std::string& out) {
  utf8proc_uint8_t* result = nullptr;
  auto length = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                             static_cast<utf8proc_ssize_t>(text.size()), &result,
                             static_cast<utf8proc_option_t>(options));
  if (length < 0) fail("Unicode normalisation failed: {}", utf8proc_errmsg(length));
  out.append(reinterpret_cast<char*>(result), static_cast<size_t>(length));
  std::free(result);
}

/// Starters of common scripts that no form composes or decomposes; only a mark after them could change them.
bool stable_in_nfc(char32_t c) {
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x410 && c <= 0x44F) || (c >= 0x3041 && c <= 0x3096) ||
         (c >= 0x30A0 && c <= 0x30FF) || (c >= 0x3000 && c <= 0x3029) || (c >= 0xFF00 && c <= 0xFFEF) ||
         (c >= 0x2010 && c <= 0x2025);
}

/// Characters below `first_changing` are starters that the form leaves unchanged and that never combine with
/// what precedes them, so only the stretches between them (with the one before each) go through utf8proc.
std::string normal_form(std::string_view text, char32_t first_changing, int options) {
  bool composes = options & UTF8PROC_COMPOSE, compatible = options & UTF8PROC_COMPAT;
  std::string out;
  out.reserve(text.size());
  size_t copied = 0, previous = 0;
  for (size_t i = 0; i < text.size();) {
    size_t at = i;
    char32_t c = next_code_point(text, i);
    if (c < first_changing) {
      previous = at;
      continue;
    }
    size_t begin = at > copied && composes ? previous : at, end = i;
    bool stable = composes && !compatible && stable_in_nfc(c);
    while (end < text.size()) {
      size_t next = end;
      c = next_code_point(text, next);
      if (c < first_changing) break;
      stable = stable && stable_in_nfc(c);
      end = next;
    }
    if (!stable) {
      out += text.substr(copied, begin - copied);
      append_normal_form(text.substr(begin, end - begin), options, out);
      copied = end;
    }
    previous = i = end;
  }
  out += text.substr(copied);
  return out;
}

template <typename Map>  // map(code point, out) appends what becomes of one character
std::string map_characters(std::string_view text, Map map) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) map(next_code_point(text, i), out);
  return out;
}

void lower_character(char32_t c, std::string& out) {
  if (c == 0x130) {  // the only character whose lower case is two characters
    out += "i\u0307";
  } else {
    append_utf8(out, static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))));
  }
}

/// The control characters that NMT pipelines drop, and those that they treat as a space.
void nmt_character(char32_t c, std::string& out) {
  bool dropped =
      (c >= 1 && c <= 8) || c == 0xB || (c >= 0xE && c <= 0x1F) || c == 0x7F || c == 0x8F || c == 0x9F;
  if (dropped) return;
  bool space = c == 9 || c == 10 || c == 12 || c == 13 || c == 0x1680 || (c >= 0x200B && c <= 0x200F) ||
               c == 0x2028 || c == 0x2029 || c == 0x2581 || c == 0xFEFF || c == 0xFFFD;
  append_utf8(out, space ? U' ' : c);
}

void bert_clean_character(char32_t c, std::string& out) {
  if (c == 0xFFFD || is_bert_control(c)) return;
  append_utf8(out, is_white_space(c) ? U' ' : c);
}

void bert_han_character(char32_t c, std::string& out) {
  bool han = is_bert_han(c);
  if (han) out += ' ';
  append_utf8(out, c);
  if (han) out += ' ';
}

std::string strip(std::string_view text, bool left, bool right) {
  size_t begin = text.size(), end = 0;
  for (size_t i = 0; i < text.size();) {
    size_t at = i;
    if (is_white_space(next_code_point(text, i))) continue;
    if (begin == text.size()) begin = at;
    end = i;
  }
  if (!left) begin = 0;
  if (!right) end = text.size();
  return begin < end ? std::string(text.substr(begin, end - begin)) : "";
}

/// As the tokenizers library does: by grapheme if it is short and mapped as a whole, else by character.
std::string precompiled(const Charsmap& map, std::string_view text) {
  std::string out;
  out.reserve(text.size());
  auto grapheme = [&](std::string_view g) {
    if (g.size() < 6) {
      auto m = map.shortest_prefix(g);
      if (m.length) {
        out += m.replacement;
        return;
      }
    }
    for (size_t i = 0; i < g.size();) {
      size_t at = i;
      next_code_point(g, i);
      auto c = g.substr(at, i - at);
      auto m = map.shortest_prefix(c);
      out += m.length ? m.replacement : c;
    }
  };
  size_t begin = 0;
  utf8proc_int32_t state = 0, previous = 0;
  for (size_t i = 0; i < text.size();) {
    size_t at = i;
    auto c = static_cast<utf8proc_int32_t>(next_code_point(text, i));
    if (at > 0 && utf8proc_grapheme_break_stateful(previous, c, &state)) {
      grapheme(text.substr(begin, at - begin));
      begin = at;
    }
    previous = c;
  }
  if (begin < text.size()) grapheme(text.substr(begin));
  return out;
}

std::string run_step(const NormalizerStep& step, std::string_view text) {
  constexpr int kCompose = UTF8PROC_STABLE | UTF8PROC_COMPOSE,
                kDecompose = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE;
  switch (step.kind) {
    case Kind::Nfc:
      return normal_form(text, 0x300, kCompose);
    case Kind::Nfd:
      return normal_form(text, 0xC0, kDecompose);
    case Kind::Nfkc:
      return normal_form(text, 0xA0, kCompose | UTF8PROC_COMPAT);
    case Kind::Nfkd:
      return normal_form(text, 0xA0, kDecompose | UTF8PROC_COMPAT);
    case Kind::Lowercase:
      return map_characters(text, lower_character);
    case Kind::Nmt:
      return map_characters(text, nmt_character);
    case Kind::BertClean:
      return map_characters(text, bert_clean_character);
    case Kind::BertHan:
      return map_characters(text, bert_han_character);
    case Kind::StripNonspacing:
      return map_characters(text, [](char32_t c, std::string& out) {
        if (!is_nonspacing_mark(c)) append_utf8(out, c);
      });
    case Kind::StripAccents:
      return map_characters(text, [](char32_t c, std::string& out) {
        if (!is_mark(c)) append_utf8(out, c);
      });
    case Kind::Prepend:
      return text.empty() ? "" : step.text + std::string(text);
    case Kind::Replace:
      return replace_all(text, step.pattern, step.text);
    case Kind::Strip:
      return strip(text, step.left, step.right);
    case Kind::Precompiled:
      return precompiled(*step.charsmap, text);
  }
  return std::string(text);
}

}  // namespace

std::string normalize(const std::vector<NormalizerStep>& steps, std::string_view text) {
  std::string current(text);
  for (auto& step : steps) current = run_step(step, current);
  return current;
}

bool drops_first_character(const std::vector<NormalizerStep>& steps, std::string_view text) {
  size_t end = 0;
  if (text.empty()) return false;
  next_code_point(text, end);
  return normalize(steps, text.substr(0, end)).empty();
}

std::string replace_all(std::string_view text, const Pattern& pattern, std::string_view by) {
  std::vector<Span> spans;
  pattern.find_all(text, spans);
  std::string out;
  out.reserve(text.size());
  for (auto& s : spans) out += s.match ? by : text.substr(s.begin, s.end - s.begin);
  return out;
}

}  // namespace longspan
