#include "tokenizer/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace longspan {

namespace {

constexpr NewerRange kNewer[] = {
    {0x897, 0x897, "M"},      {0xCF3, 0xCF3, "M"},      {0xECE, 0xECE, "M"},      {0x1B4E, 0x1B4F, "P"},
    {0x1B7F, 0x1B7F, "P"},    {0x1C89, 0x1C89, "Lu"},   {0x1C8A, 0x1C8A, "Ll"},   {0x2427, 0x2429, "S"},
    {0x2FFC, 0x2FFF, "S"},    {0x31E4, 0x31E5, "S"},    {0x31EF, 0x31EF, "S"},    {0xA7CB, 0xA7CC, "Lu"},
    {0xA7CD, 0xA7CD, "Ll"},   {0xA7DA, 0xA7DA, "Lu"},   {0xA7DB, 0xA7DB, "Ll"},   {0xA7DC, 0xA7DC, "Lu"},
    {0x105C0, 0x105F3, "Lo"}, {0x10D40, 0x10D49, "Nd"}, {0x10D4A, 0x10D4D, "Lo"}, {0x10D4E, 0x10D4E, "Lm"},
    {0x10D4F, 0x10D4F, "Lo"}, {0x10D50, 0x10D65, "Lu"}, {0x10D69, 0x10D6D, "M"},  {0x10D6E, 0x10D6E, "P"},
    {0x10D6F, 0x10D6F, "Lm"}, {0x10D70, 0x10D85, "Ll"}, {0x10D8E, 0x10D8F, "S"},  {0x10EC2, 0x10EC4, "Lo"},
    {0x10EFC, 0x10EFF, "M"},  {0x1123F, 0x11240, "Lo"}, {0x11241, 0x11241, "M"},  {0x11380, 0x11389, "Lo"},
    {0x1138B, 0x1138B, "Lo"}, {0x1138E, 0x1138E, "Lo"}, {0x11390, 0x113B5, "Lo"}, {0x113B7, 0x113B7, "Lo"},
    {0x113B8, 0x113C0, "M"},  {0x113C2, 0x113C2, "M"},  {0x113C5, 0x113C5, "M"},  {0x113C7, 0x113CA, "M"},
    {0x113CC, 0x113D0, "M"},  {0x113D1, 0x113D1, "Lo"}, {0x113D2, 0x113D2, "M"},  {0x113D3, 0x113D3, "Lo"},
    {0x113D4, 0x113D5, "P"},  {0x113D7, 0x113D8, "P"},  {0x113E1, 0x113E2, "M"},  {0x116D0, 0x116E3, "Nd"},
    {0x11B00, 0x11B09, "P"},  {0x11BC0, 0x11BE0, "Lo"}, {0x11BE1, 0x11BE1, "P"},  {0x11BF0, 0x11BF9, "Nd"},
    {0x11F00, 0x11F01, "M"},  {0x11F02, 0x11F02, "Lo"}, {0x11F03, 0x11F03, "M"},  {0x11F04, 0x11F10, "Lo"},
    {0x11F12, 0x11F33, "Lo"}, {0x11F34, 0x11F3A, "M"},  {0x11F3E, 0x11F42, "M"},  {0x11F43, 0x11F4F, "P"},
    {0x11F50, 0x11F59, "Nd"}, {0x11F5A, 0x11F5A, "M"},  {0x1342F, 0x1342F, "Lo"}, {0x13440, 0x13440, "M"},
    {0x13441, 0x13446, "Lo"}, {0x13447, 0x13455, "M"},  {0x13460, 0x143FA, "Lo"}, {0x16100, 0x1611D, "Lo"},
    {0x1611E, 0x1612F, "M"},  {0x16130, 0x16139, "Nd"}, {0x16D40, 0x16D42, "Lm"}, {0x16D43, 0x16D6A, "Lo"},
    {0x16D6B, 0x16D6C, "Lm"}, {0x16D6D, 0x16D6F, "P"},  {0x16D70, 0x16D79, "Nd"}, {0x18CFF, 0x18CFF, "Lo"},
    {0x1B132, 0x1B132, "Lo"}, {0x1B155, 0x1B155, "Lo"}, {0x1CC00, 0x1CCEF, "S"},  {0x1CCF0, 0x1CCF9, "Nd"},
    {0x1CD00, 0x1CEB3, "S"},  {0x1D2C0, 0x1D2D3, "N"},  {0x1DF25, 0x1DF2A, "Ll"}, {0x1E030, 0x1E06D, "Lm"},
    {0x1E08F, 0x1E08F, "M"},  {0x1E4D0, 0x1E4EA, "Lo"}, {0x1E4EB, 0x1E4EB, "Lm"}, {0x1E4EC, 0x1E4EF, "M"},
    {0x1E4F0, 0x1E4F9, "Nd"}, {0x1E5D0, 0x1E5ED, "Lo"}, {0x1E5EE, 0x1E5EF, "M"},  {0x1E5F0, 0x1E5F0, "Lo"},
    {0x1E5F1, 0x1E5FA, "Nd"}, {0x1E5FF, 0x1E5FF, "P"},  {0x1F6DC, 0x1F6DC, "S"},  {0x1F774, 0x1F776, "S"},
    {0x1F77B, 0x1F77F, "S"},  {0x1F7D9, 0x1F7D9, "S"},  {0x1F8B2, 0x1F8BB, "S"},  {0x1F8C0, 0x1F8C1, "S"},
    {0x1FA75, 0x1FA77, "S"},  {0x1FA87, 0x1FA89, "S"},  {0x1FA8F, 0x1FA8F, "S"},  {0x1FAAD, 0x1FAAF, "S"},
    {0x1FABB, 0x1FABF, "S"},  {0x1FAC6, 0x1FAC6, "S"},  {0x1FACE, 0x1FACF, "S"},  {0x1FADA, 0x1FADC, "S"},
    {0x1FADF, 0x1FADF, "S"},  {0x1FAE8, 0x1FAE9, "S"},  {0x1FAF7, 0x1FAF8, "S"},  {0x1FBCB, 0x1FBEF, "S"},
    {0x2B739, 0x2B739, "Lo"}, {0x2EBF0, 0x2EE5D, "Lo"}, {0x31350, 0x323AF, "Lo"},
};

/// \p{P} that Unicode 8 did not know yet: the library's Punctuation pre-tokenizer still does not.
struct Range {
  char32_t first, last;
};
constexpr Range kPunctuationAfter8[] = {
    {0x61D, 0x61D},     {0x9FD, 0x9FD},     {0xA76, 0xA76},     {0xC77, 0xC77},     {0xC84, 0xC84},
    {0x1B4E, 0x1B4F},   {0x1B7D, 0x1B7F},   {0x2E43, 0x2E4F},   {0x2E52, 0x2E5D},   {0x10D6E, 0x10D6E},
    {0x10EAD, 0x10EAD}, {0x10F55, 0x10F59}, {0x10F86, 0x10F89}, {0x113D4, 0x113D8}, {0x1144B, 0x1144F},
    {0x1145A, 0x1145B}, {0x1145D, 0x1145D}, {0x11660, 0x1166C}, {0x116B9, 0x116B9}, {0x1183B, 0x1183B},
    {0x11944, 0x11946}, {0x119E2, 0x119E2}, {0x11A3F, 0x11A46}, {0x11A9A, 0x11A9C}, {0x11A9E, 0x11AA2},
    {0x11B00, 0x11B09}, {0x11BE1, 0x11BE1}, {0x11C41, 0x11C45}, {0x11C70, 0x11C71}, {0x11EF7, 0x11EF8},
    {0x11F43, 0x11F4F}, {0x11FFF, 0x11FFF}, {0x12FF1, 0x12FF2}, {0x16D6D, 0x16D6F}, {0x16E97, 0x16E9A},
    {0x16FE2, 0x16FE2}, {0x1E5FF, 0x1E5FF}, {0x1E95E, 0x1E95F},
};

/// \p{Mn} that Unicode 8 did not know yet; between the ends of a range are no others.
constexpr Range kNonspacingAfter8[] = {
    {0x7FD, 0x7FD},     {0x898, 0x8E1},     {0x9FE, 0x9FE},     {0xAFA, 0xAFF},     {0xB55, 0xB55},
    {0xC04, 0xC3C},     {0xD00, 0xD00},     {0xD3B, 0xD3C},     {0xD81, 0xD81},     {0xEBA, 0xEBA},
    {0xECE, 0xECE},     {0x180F, 0x1886},   {0x1ABF, 0x1ACE},   {0x1DF6, 0x1DFB},   {0xA82C, 0xA82C},
    {0xA8C5, 0xA8C5},   {0xA8FF, 0xA8FF},   {0xA9BD, 0xA9BD},   {0x10D24, 0x10F85}, {0x11070, 0x11074},
    {0x110C2, 0x110C2}, {0x111C9, 0x111C9}, {0x111CF, 0x111CF}, {0x1123E, 0x11241}, {0x1133B, 0x1133B},
    {0x11438, 0x1145E}, {0x1182F, 0x13455}, {0x16F4F, 0x16F4F}, {0x16FE4, 0x16FE4}, {0x1CF00, 0x1CF46},
    {0x1E000, 0x1E4EF}, {0x1E944, 0x1E94A},
};

bool newer_in(char32_t c, char major) {
  auto row = std::partition_point(std::begin(kNewer), std::end(kNewer), [c](auto& r) { return r.last < c; });
  return row != std::end(kNewer) && row->first <= c && row->category[0] == major;
}

int category(char32_t c) { return utf8proc_category(static_cast<utf8proc_int32_t>(c)); }

bool in_categories(char32_t c, int first, int last, char major) {
  int k = category(c);
  if (k >= first && k <= last) return true;
  return k == UTF8PROC_CATEGORY_CN && newer_in(c, major);
}

CharClass classify(char32_t c) {
  if (is_white_space(c)) return kSpace;
  int k = category(c);
  if (k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_LO) return kLetter;
  if (k >= UTF8PROC_CATEGORY_ND && k <= UTF8PROC_CATEGORY_NO) return kNumber;
  if (k != UTF8PROC_CATEGORY_CN) return kOther;
  return newer_in(c, 'L') ? kLetter : newer_in(c, 'N') ? kNumber : kOther;
}

std::array<CharClass, 128> ascii_classes() {
  std::array<CharClass, 128> table;
  for (char32_t c = 0; c < 128; ++c) table[c] = classify(c);
  return table;
}
const std::array<CharClass, 128> kAscii = ascii_classes();

}  // namespace

std::span<const NewerRange> newer_ranges() { return kNewer; }

bool is_letter(char32_t c) { return char_class(c) == kLetter; }
bool is_number(char32_t c) { return char_class(c) == kNumber; }
bool is_mark(char32_t c) { return in_categories(c, UTF8PROC_CATEGORY_MN, UTF8PROC_CATEGORY_ME, 'M'); }

bool is_nonspacing_mark(char32_t c) {
  if (c < 0x300) return false;
  if (c == 0x1734) return true;
  return category(c) == UTF8PROC_CATEGORY_MN &&
         std::none_of(std::begin(kNonspacingAfter8), std::end(kNonspacingAfter8),
                      [c](auto& r) { return c >= r.first && c <= r.last; });
}

bool is_bert_control(char32_t c) {
  if (c < 0x7F) return c < 0x20 && c != '\t' && c != '\n' && c != '\r';
  bool later = c == 0x890 || c == 0x891 || c == 0x8E2 || c == 0x110CD || (c >= 0x13430 && c <= 0x1343F);
  int k = category(c);
  return (k == UTF8PROC_CATEGORY_CC || k == UTF8PROC_CATEGORY_CF || k == UTF8PROC_CATEGORY_CO) && !later;
}

bool is_bert_han(char32_t c) {
  return (c >= 0x3400 && c <= 0x4DBF) || (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0xF900 && c <= 0xFAFF) ||
         (c >= 0x20000 && c <= 0x2A6DF) || (c >= 0x2A700 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) ||
         (c >= 0x2F800 && c <= 0x2FA1F);
}

bool is_white_space(char32_t c) {
  if (c < 0x80) return c == ' ' || (c >= 9 && c <= 13);
  return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 ||
         c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

bool is_numeric(char32_t c) {
  return is_number(c) || (c >= 0x11DE0 && c <= 0x11DE9) || (c >= 0x16FF4 && c <= 0x16FF6);
}

bool is_punctuation(char32_t c) {
  if (c < 0x80) return c > ' ' && c < 0x7F && char_class(c) == kOther;
  if (c == 0x166D || c == 0x111C9) return true;
  int k = category(c);
  if (k < UTF8PROC_CATEGORY_PC || k > UTF8PROC_CATEGORY_PO) return false;
  return std::none_of(std::begin(kPunctuationAfter8), std::end(kPunctuationAfter8),
                      [c](auto& r) { return c >= r.first && c <= r.last; });
}

bool is_word(char32_t c) {
  if (c == '_' || c == 0x200C || c == 0x200D || is_letter(c) || is_mark(c)) return true;
  int k = category(c);
  if (k == UTF8PROC_CATEGORY_NO || k == UTF8PROC_CATEGORY_CN) return newer_in(c, 'N');
  // The rest of Alphabetic: letter numbers and the circled Latin letters.
  return k == UTF8PROC_CATEGORY_ND || k == UTF8PROC_CATEGORY_NL || k == UTF8PROC_CATEGORY_PC ||
         (c >= 0x24B6 && c <= 0x24E9) || (c >= 0x1F130 && c <= 0x1F149) || (c >= 0x1F150 && c <= 0x1F169) ||
         (c >= 0x1F170 && c <= 0x1F189);
}

CharClass char_class(char32_t c) { return c < 128 ? kAscii[c] : classify(c); }

}  // namespace longspan
