#include "retrieval/words.h"

#include <unicode/uchar.h>
#include <unicode/uscript.h>

#include <set>
#include <vector>

#include "base/text.h"

namespace longspan::retrieval {

namespace {

constexpr char32_t kProlongedSound = 0x30FC;  // of Katakana; its script is Common
constexpr size_t kMostWordBytes = 200;

/// Of a script without blanks, or (Hangul) whose words carry endings.
bool is_paired(char32_t c) {
  if (c < 0x0E00) return false;
  UErrorCode error = U_ZERO_ERROR;
  switch (uscript_getScript(static_cast<UChar32>(c), &error)) {
    case USCRIPT_HAN:
    case USCRIPT_HIRAGANA:
    case USCRIPT_KATAKANA:
    case USCRIPT_BOPOMOFO:
    case USCRIPT_HANGUL:
    case USCRIPT_YI:
    case USCRIPT_THAI:
    case USCRIPT_LAO:
    case USCRIPT_KHMER:
    case USCRIPT_MYANMAR:
    case USCRIPT_TIBETAN:
      return u_isalnum(static_cast<UChar32>(c)) || (U_GET_GC_MASK(static_cast<UChar32>(c)) & U_GC_M_MASK);
    default:
      return c == kProlongedSound;
  }
}

bool is_word(char32_t c) {
  constexpr uint32_t kWord = U_GC_L_MASK | U_GC_N_MASK | U_GC_M_MASK;
  return (U_GET_GC_MASK(static_cast<UChar32>(c)) & kWord) != 0;
}

/// The pairs of a run; a single character stays one. `ends`: the last one once more alone, so that the
/// beginning of a word finds every character.
std::vector<std::string> pairs(const std::u32string& run, bool ends) {
  std::vector<std::string> all;
  for (size_t i = 0; i < run.size(); ++i) {
    if (i + 1 == run.size() && i > 0 && !ends) break;
    std::string& pair = all.emplace_back();
    append_utf8(pair, run[i]);
    if (i + 1 < run.size()) append_utf8(pair, run[i + 1]);
  }
  return all;
}

}  // namespace

std::string searchable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  std::u32string run;
  auto end_run = [&] {
    if (run.empty()) return;
    for (const std::string& pair : pairs(run, true)) out += " " + pair;
    out += " ";
    run.clear();
  };
  for (size_t at = 0; at < text.size();) {
    char32_t c = next_code_point(text, at);
    if (is_paired(c)) {
      run += c;
      continue;
    }
    end_run();
    append_utf8(out, c == 0 ? U' ' : c);
  }
  end_run();
  return out;
}

std::string match_expression(std::string_view question) {
  std::string out, word;
  std::set<std::string> seen;
  std::u32string run;
  auto add = [&](const std::string& text, const char* behind) {
    if (text.empty() || text.size() > kMostWordBytes || std::ssize(seen) >= kMostQueryWords ||
        !seen.insert(text).second)
      return;
    out += (out.empty() ? "\"" : " OR \"") + text + "\"" + behind;
  };
  auto end_word = [&] {
    add(word, "");
    word.clear();
    // A character alone is the beginning of any pair.
    for (const std::string& pair : pairs(run, false)) add(pair, run.size() == 1 ? "*" : "");
    run.clear();
  };
  for (size_t at = 0; at < question.size();) {
    char32_t c = next_code_point(question, at);
    bool paired = is_paired(c);
    if (!is_word(c) || (paired ? !word.empty() : !run.empty())) end_word();
    if (paired)
      run += c;
    else if (is_word(c))
      append_utf8(word, c);
  }
  end_word();
  return out;
}

}  // namespace longspan::retrieval
