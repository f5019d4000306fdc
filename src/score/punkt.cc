// A full stop, question or exclamation mark ends a sentence unless the word before it is an abbreviation, an
// initial or an ordinal and the word behind it does not look like a beginning. Only the two words around each
// mark are looked at. Numbers in comments are sections of the paper.
#include "score/punkt.h"

#include <utf8proc.h>

#include <optional>
#include <set>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "base/compressed.h"
#include "base/json.h"
#include "base/resource.h"
#include "score/words.h"
#include "tokenizer/unicode.h"

namespace longspan {
namespace {

using Text = std::u32string_view;

/// Where and in which case a word was seen in training: bits of ortho_context.
enum : int {
  kBeginUpper = 2,
  kMiddleUpper = 4,
  kUnknownUpper = 8,
  kBeginLower = 16,
  kMiddleLower = 32,
  kUnknownLower = 64
};
constexpr int kUpper = kBeginUpper | kMiddleUpper | kUnknownUpper;
constexpr int kLower = kBeginLower | kMiddleLower | kUnknownLower;

struct Learned {
  std::unordered_set<std::string> abbreviations, starters;
  std::set<std::pair<std::string, std::string>> collocations;
  std::unordered_map<std::string, int> seen;

  int seen_as(const std::string& type) const {
    auto found = seen.find(type);
    return found == seen.end() ? 0 : found->second;
  }
};

const Learned& english() {
  static const Learned learned = [] {
    constexpr const char* kName = "punkt/english.json.zst";
    const Json json = parse_json(unpack(resource(kName), kName), kName);
    Learned out;
    for (const auto& word : json.at("abbrev_types")) out.abbreviations.insert(word.get<std::string>());
    for (const auto& word : json.at("sent_starters")) out.starters.insert(word.get<std::string>());
    for (const auto& pair : json.at("collocations"))
      out.collocations.emplace(pair.at(0).get<std::string>(), pair.at(1).get<std::string>());
    for (const auto& [word, bits] : json.at("ortho_context").items()) out.seen[word] = bits.get<int>();
    return out;
  }();
  return learned;
}

bool one_of(char32_t c, Text set) { return set.find(c) != Text::npos; }
bool ends_sentence(char32_t c) { return one_of(c, U".?!"); }
/// Cannot stand within a word.
bool is_non_word(char32_t c) { return one_of(c, U")\";}]*:@'({[?!"); }
/// Cannot begin one.
bool is_no_beginning(char32_t c) { return one_of(c, U"(\"`{[:;&#*@)}]-,"); }

bool is_letter_like(char32_t c) { return c == '_' || is_letter(c) || (is_number(c) && !is_decimal_digit(c)); }
bool is_upper(char32_t c) { return utf8proc_isupper(static_cast<utf8proc_int32_t>(c)) != 0; }
bool is_lower(char32_t c) { return utf8proc_islower(static_cast<utf8proc_int32_t>(c)) != 0; }

/// Length of a dash of several hyphens or of an ellipsis, spaced or not, at text[i]; 0: neither.
size_t dash_or_dots(Text text, size_t i) {
  const auto run = [&](char32_t c) {
    size_t n = 0;
    while (i + n < text.size() && text[i + n] == c) ++n;
    return n;
  };
  if (i >= text.size() || (text[i] != '-' && text[i] != '.')) return 0;
  if (const size_t n = run(text[i]); n >= 2) return n;
  if (text[i] == '-') return 0;
  size_t dots = 0, length = 0;
  for (size_t at = i; at < text.size() && text[at] == '.'; at += 2) {
    length = 2 * dots++ + 1;
    if (at + 1 >= text.size() || !is_python_space(text[at + 1])) break;
  }
  return dots >= 3 ? length : 0;
}

bool ends_word(Text text, size_t i) {
  const auto bounds = [&](size_t at) {
    return at >= text.size() || is_python_space(text[at]) || is_non_word(text[at]) ||
           dash_or_dots(text, at) > 0;
  };
  return bounds(i) || (text[i] == ',' && bounds(i + 1));
}

struct Token {
  std::u32string text;
  std::string type;  // lower case, numbers made alike
  bool ends = false, abbreviation = false, ellipsis = false;

  bool period() const { return text.back() == '.'; }
  bool initial() const { return text.size() == 2 && period() && is_letter_like(text[0]); }
  std::string type_without_period() const {
    return type.size() > 1 && type.back() == '.' ? type.substr(0, type.size() - 1) : type;
  }
  /// As the word behind a mark is looked up.
  std::string type_behind() const { return ends ? type_without_period() : type; }
};

constexpr const char* kNumber = "##number##";

/// -?[.,]?\d[\d,.-]*
bool is_numeral(Text word) {
  size_t i = 0;
  if (i < word.size() && word[i] == '-') ++i;
  if (i < word.size() && one_of(word[i], U".,")) ++i;
  if (i >= word.size() || !is_decimal_digit(word[i])) return false;
  for (++i; i < word.size(); ++i)
    if (!is_decimal_digit(word[i]) && !one_of(word[i], U",.-")) return false;
  return true;
}

Token token_of(Text word) {
  Token token;
  token.text = word;
  token.type = is_numeral(word) ? kNumber : to_utf8(lower(token.text));
  if (word.size() == 1 && ends_sentence(word[0])) {
    token.ends = true;
  } else if (word.size() > 1 && word.find_first_not_of(U'.') == word.npos) {
    token.ellipsis = true;
  } else if (token.period() && !word.ends_with(U"..")) {
    const std::string stem = to_utf8(lower(std::u32string(word.substr(0, word.size() - 1))));
    const auto& known = english().abbreviations;
    token.abbreviation = known.contains(stem) || known.contains(stem.substr(stem.rfind('-') + 1));
    token.ends = !token.abbreviation;
  }
  return token;
}

void append_tokens(std::vector<Token>& tokens, Text line) {
  for (size_t i = 0; i < line.size();) {
    if (is_python_space(line[i])) {
      ++i;
      continue;
    }
    size_t end = i + dash_or_dots(line, i);
    if (end == i) {
      const bool single = is_no_beginning(line[i]);
      for (++end; !single && !ends_word(line, end);) ++end;
    }
    tokens.push_back(token_of(line.substr(i, end - i)));
    i = end;
  }
}

/// 4.1.1: does the word begin a sentence, by the case it has here and had in training? Nothing: unknown.
std::optional<bool> begins_sentence(const Token& word) {
  if (word.text.size() == 1 && one_of(word.text[0], U";:,.!?")) return false;
  const int seen = english().seen_as(word.type_behind());
  if (is_upper(word.text[0]) && (seen & kLower) && !(seen & kMiddleUpper)) return true;
  if (is_lower(word.text[0]) && ((seen & kUpper) || !(seen & kBeginLower))) return false;
  return std::nullopt;
}

/// Corrects what token_of decided on the word alone by the next one.
void look_behind(Token& word, const Token& next) {
  if (!word.period()) return;
  const Learned& learned = english();
  const std::string type = word.type_without_period(), next_type = next.type_behind();
  if (learned.collocations.contains({type, next_type})) {  // 4.1.2
    word.ends = false;
    return;
  }
  const std::optional<bool> begins = begins_sentence(next);
  const bool initial = word.initial(), upper = is_upper(next.text[0]);
  if ((word.abbreviation || word.ellipsis) && !initial &&
      (begins == true || (upper && learned.starters.contains(next_type)))) {  // 4.2, 4.1.3
    word.ends = true;
    return;
  }
  if (!initial && type != kNumber) return;  // 4.3
  if (begins == false || (!begins && initial && upper && !(learned.seen_as(next_type) & kLower)))
    word.ends = false;
}

/// Whether a sentence ends within the two words around a mark, before the last of them.
bool has_end(Text context) {
  std::vector<Token> tokens;
  for (size_t begin = 0; begin <= context.size();) {
    const size_t end = std::min(context.find(U'\n', begin), context.size());
    append_tokens(tokens, context.substr(begin, end - begin));
    begin = end + 1;
  }
  for (size_t i = 0; i + 1 < tokens.size(); ++i) {
    look_behind(tokens[i], tokens[i + 1]);
    if (tokens[i].ends) return true;
  }
  return false;
}

struct Span {
  size_t begin = 0, end = 0;
};

/// A mark that may end a sentence.
struct Mark {
  Span before;  // the word before it
  size_t at = 0;
  size_t next = 0;  // where what follows begins, behind white space or at once
  size_t end = 0;   // and where it ends
};

std::optional<Mark> mark_at(Text text, size_t at) {
  if (!ends_sentence(text[at]) || at + 1 >= text.size()) return std::nullopt;
  if (is_non_word(text[at + 1])) return Mark{{}, at, at + 1, at + 2};
  Mark mark{{}, at, at + 1, 0};
  while (mark.next < text.size() && is_python_space(text[mark.next])) ++mark.next;
  if (mark.next == at + 1 || mark.next == text.size()) return std::nullopt;
  for (mark.end = mark.next; mark.end < text.size() && !is_python_space(text[mark.end]);) ++mark.end;
  return mark;
}

/// NLTK's choice among marks of one word: the last.
std::vector<Mark> marks(Text text) {
  std::vector<Mark> out;
  Mark last;
  bool any = false;
  for (size_t at = 0; at < text.size(); ++at) {
    std::optional<Mark> mark = mark_at(text, at);
    if (!mark) continue;
    const size_t from = last.before.end;
    const size_t blank = text.substr(from, at - from).find_last_of(U" \t\n\r\v\f");
    const bool blank_within = blank != Text::npos && blank > 0;
    mark->before = {blank_within ? from + blank + 1 : last.before.begin, at};
    if (any && last.before.end <= mark->before.begin) out.push_back(last);
    last = *mark;
    any = true;
  }
  if (any) out.push_back(last);
  return out;
}

std::vector<Span> split(Text text) {
  std::vector<Span> spans;
  size_t begin = 0;
  std::u32string context;
  for (const Mark& mark : marks(text)) {
    context = text.substr(mark.before.begin, mark.at + 1 - mark.before.begin);
    context += text.substr(mark.at + 1, mark.end - mark.at - 1);
    if (!has_end(context)) continue;
    spans.push_back({begin, mark.at + 1});
    begin = mark.next;
  }
  size_t end = text.size();
  while (end > 0 && is_python_space(text[end - 1])) --end;
  spans.push_back({begin, std::max(begin, end)});
  return spans;
}

/// Closing quotes and brackets that open a sentence and belong to the one before: how many, and how many with
/// the white space behind them. The shortest run that white space, a dash or the end follows.
Span closers(Text sentence) {
  size_t n = 0;
  while (n < sentence.size() && one_of(sentence[n], U"\"')]}")) {
    ++n;
    size_t behind = n;
    while (behind < sentence.size() && is_python_space(sentence[behind])) ++behind;
    if (behind > n || n == sentence.size() || sentence.substr(n).starts_with(U"--")) return {n, behind};
  }
  return {};
}

}  // namespace

std::vector<std::string> punkt_sentences(std::string_view utf8) {
  const std::u32string text = code_points(utf8);
  const std::vector<Span> spans = split(text);
  std::vector<std::string> sentences;
  size_t moved = 0;  // characters of this span that the sentence before has taken
  for (size_t i = 0; i < spans.size(); ++i) {
    Span span = {spans[i].begin + moved, spans[i].end};
    moved = 0;
    if (i + 1 < spans.size()) {
      const Span& next = spans[i + 1];
      const Span closing = closers(Text(text).substr(next.begin, next.end - next.begin));
      if (closing.begin > 0) span.end = next.begin + closing.begin;
      moved = closing.end;
    }
    if (span.end > span.begin)
      sentences.push_back(to_utf8(Text(text).substr(span.begin, span.end - span.begin)));
  }
  return sentences;
}

}  // namespace longspan
