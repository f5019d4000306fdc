#include "documents/plausible.h"

#include <unicode/uchar.h>
#include <unicode/ucnv.h>

#include <algorithm>
#include <bitset>
#include <vector>

#include "base/text.h"

namespace longspan::documents {

namespace {

constexpr char32_t kFirstHan = 0x4E00, kLastHan = 0x9FFF;
using HanSet = std::bitset<kLastHan - kFirstHan + 1>;

/// The characters of a range of two-byte codes: the standards put the common ones first.
HanSet common_han(const char* converter, int first_lead, int last_lead, int first_trail, int last_trail) {
  HanSet set;
  UErrorCode error = U_ZERO_ERROR;
  UConverter* from = ucnv_open(converter, &error);
  for (int lead = first_lead; lead <= last_lead && U_SUCCESS(error); ++lead)
    for (int trail = first_trail; trail <= last_trail; ++trail) {
      const char code[2] = {static_cast<char>(lead), static_cast<char>(trail)};
      UChar unit[4];
      UErrorCode fault = U_ZERO_ERROR;
      int32_t length = ucnv_toUChars(from, unit, 4, code, 2, &fault);
      if (U_SUCCESS(fault) && length == 1 && unit[0] >= kFirstHan && unit[0] <= kLastHan)
        set.set(unit[0] - kFirstHan);
    }
  if (from) ucnv_close(from);
  return set;
}

bool is_common_han(char32_t c, const std::string& encoding) {
  static const HanSet simplified = common_han("gb18030", 0xB0, 0xD7, 0xA1, 0xFE),
                      traditional = common_han("windows-950-2000", 0xA4, 0xC6, 0x40, 0xFE),
                      japanese = common_han("EUC-JP", 0xB0, 0xCF, 0xA1, 0xFE);
  size_t at = c - kFirstHan;
  if (encoding.starts_with("Big5")) return traditional[at];
  if (encoding == "GB18030") return simplified[at];
  if (encoding == "Shift-JIS" || encoding == "EUC-JP") return japanese[at];
  if (encoding == "EUC-KR") return false;  // Korean is written in Hangul now
  return simplified[at] || traditional[at] || japanese[at];
}

/// The syllables of Korean grammar and everyday words: most of any text.
bool is_common_hangul(char32_t c) {
  static const std::vector<char32_t> common = [] {
    constexpr std::string_view kSyllables =
        "가각간갈감강같개거건걸것게겠겨격결경계고곳공과관광교구국군권그극근글금급기길김까깨께꼭끝나난날남내냐"
        "너"
        "넓네녀년노높누눈느는능니다단달담당대더데도독돈동되된될두드든들등따때떠또라락람랑래러렇레려력련령로록"
        "론"
        "료루류르른를름리린릴림립마막만많말맞매머먹먼며면명모목못무문물미민바박반받발밖방배백버번법변별병보복"
        "본"
        "볼부북분불비빛사산살상새생서석선설성세센소속손송수순술스습승시식신실심싶쓰씨아악안않알았앞애야약양어"
        "억언"
        "얼없었에여역연열영예오온올와완왔외요용우운울움원월위유은을음의이인일임입있자작잘장재저적전절점정제조"
        "족존종좋주준줄중즉지직진질집짓차찾책처천철첫청체초최추출충취치친카크키타태택터토통특파판편평포표품피"
        "필하학한할함합해했행향험형호화환활황회효후히힘";
    std::vector<char32_t> all;
    for (size_t i = 0; i < kSyllables.size();) all.push_back(next_code_point(kSyllables, i));
    std::sort(all.begin(), all.end());
    return all;
  }();
  return std::binary_search(common.begin(), common.end(), c);
}

bool is_ascii_letter(char32_t c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_latin(char32_t c) {
  return is_ascii_letter(c) || (c >= 0xC0 && c <= 0x24F && c != 0xD7 && c != 0xF7);
}
bool is_lower(char32_t c) { return u_islower(static_cast<UChar32>(c)); }
bool is_upper(char32_t c) { return u_isupper(static_cast<UChar32>(c)); }

/// 1 Greek, 2 Cyrillic, 3 Hebrew, 4 Arabic, 5 Thai; 0 none of these.
int alphabet(char32_t c) {
  if (c >= 0x370 && c <= 0x3FF) return 1;
  if (c >= 0x400 && c <= 0x4FF) return 2;
  if (c >= 0x5D0 && c <= 0x5EA) return 3;
  if (c >= 0x620 && c <= 0x6FF) return 4;
  return c >= 0xE01 && c <= 0xE5B ? 5 : 0;
}

/// A letter, judged by its neighbours (0: none): capitals do not follow small letters, and letters of one
/// script stand together.
double letter_score(char32_t before, char32_t c, char32_t behind) {
  if (is_upper(c) && is_lower(before)) return 0.1;
  if (is_lower(c) && is_upper(before) && is_upper(behind)) return 0.3;
  if (is_latin(c)) {
    if (alphabet(before) || alphabet(behind)) return 0.1;
    if (is_ascii_letter(before) || is_ascii_letter(behind)) return 1;
    return is_latin(before) || is_latin(behind) ? 0.2 : 0.5;
  }
  if (is_latin(before) || is_latin(behind)) return 0.1;
  return alphabet(before) == alphabet(c) || alphabet(behind) == alphabet(c) ? 1 : 0.4;
}

bool is_kana(char32_t c) { return c >= 0x3041 && c <= 0x30FF; }

double score(char32_t before, char32_t c, char32_t behind, const std::string& encoding) {
  bool chinese = encoding == "GB18030" || encoding.starts_with("Big5");
  if (c >= kFirstHan && c <= kLastHan)
    return is_common_han(c, encoding) ? 1 : encoding == "EUC-KR" ? 0.05 : 0.2;
  if (c >= 0xAC00 && c <= 0xD7A3) return is_common_hangul(c) ? 1 : 0.2;
  if (is_kana(c)) return chinese ? 0.3 : 1;
  if (c >= 0xFF61 && c <= 0xFF9F) return 0.3;                                  // half-width katakana
  if ((c >= 0x3000 && c <= 0x3020) || (c >= 0xFF01 && c <= 0xFF5E)) return 1;  // punctuation, full width
  if (is_latin(c) || alphabet(c)) return letter_score(before, c, behind);
  if (c >= 0x2010 && c <= 0x203A) return 0.8;  // dashes, quotation marks
  if (c == 0xA0 || c == 0xAB || c == 0xBB || c == 0xA7 || c == 0xB0 || c == 0xA3 || c == 0xA9 ||
      c == 0x20AC || c == 0xB7 || c == 0xBF || c == 0xA1)
    return 0.6;
  int type = u_charType(static_cast<UChar32>(c));
  if (type == U_CONTROL_CHAR || type == U_UNASSIGNED || type == U_PRIVATE_USE_CHAR || type == U_SURROGATE)
    return 0;
  return 0.15;
}

}  // namespace

double plausibility(std::string_view utf8, const std::string& encoding) {
  double sum = 0;
  int64_t count = 0;
  char32_t before = 0, c = 0;
  auto take = [&](char32_t behind) {
    if (c >= 0x80) sum += score(before, c, behind, encoding), ++count;
    // Text has no other control characters.
    if (c != 0 && c < 0x20 && c != '\n' && c != '\r' && c != '\t' && c != '\f' && c != 0x1B && c != 0x1A)
      ++count;
    before = c;
    c = behind;
  };
  for (size_t i = 0; i < utf8.size();) take(next_code_point(utf8, i));
  take(0);
  return count > 0 ? sum / static_cast<double>(count) : 1;
}

}  // namespace longspan::documents
