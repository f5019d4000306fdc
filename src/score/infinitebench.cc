#include "score/infinitebench.h"

#include <utf8proc.h>

#include <algorithm>
#include <charconv>

#include "base/error.h"
#include "base/text.h"
#include "score/words.h"

namespace longspan {
namespace {

using Text = std::u32string_view;

constexpr Text kLetters = U"ABCD";

bool is_ascii_digit(char32_t c) { return c >= '0' && c <= '9'; }

std::u32string with_blanks(Text text, Text marks) {
  std::u32string out(text);
  for (char32_t& c : out)
    if (marks.find(c) != marks.npos) c = ' ';
  return out;
}

void blank_out(std::u32string& text, Text word) {
  for (size_t at = text.find(word); at != text.npos; at = text.find(word, at + 1))
    text.replace(at, word.size(), 1, U' ');
}

/// Runs of blanks (no other white space) become one.
void squeeze(std::u32string& text) {
  text.erase(
      std::unique(text.begin(), text.end(), [](char32_t a, char32_t b) { return a == ' ' && b == ' '; }),
      text.end());
}

/// Digits without leading zeros, "-" before them; "" for what Python's int() does not read.
std::u32string whole_number(Text text) {
  bool negative = text.starts_with(U'-');
  if (negative || text.starts_with(U'+')) text.remove_prefix(1);
  std::u32string digits;
  char32_t before = '_';
  for (char32_t c : text) {
    if (c == '_' ? before == '_' : !is_ascii_digit(c)) return U"";
    if (c != '_') digits += c;
    before = c;
  }
  if (before == '_') return U"";
  digits.erase(0, std::min(digits.find_first_not_of(U'0'), digits.size() - 1));
  if (negative && digits != U"0") digits.insert(digits.begin(), U'-');
  return digits;
}

struct Label {
  std::u32string text, letter;
};

Label label_of(Text reference, const MetricInput& input) {
  auto options = input.fields.is_object() ? input.fields.find("options") : input.fields.end();
  if (!input.fields.is_object() || options == input.fields.end() || !options->is_array())
    fail("the metric needs the list \"options\" in its case");
  std::vector<std::u32string> texts;
  for (const Json& option : *options) {
    if (!option.is_string()) fail("\"options\" holds {}, which is no text", excerpt_json(option));
    texts.push_back(code_points(option.get_ref<const std::string&>()));
  }
  auto at = static_cast<size_t>(std::find(texts.begin(), texts.end(), reference) - texts.begin());
  if (at == texts.size() && reference.size() == 1) at = std::min(kLetters.find(reference[0]), texts.size());
  if (at >= std::min(texts.size(), kLetters.size()))
    fail("the reference {} is none of the options", in_quotes(to_utf8(reference)));
  return {texts[at], std::u32string(1, kLetters[at])};
}

enum class Found { kNo, kRight, kWrong };

/// What stands behind the first of the marks that occurs, a character left out, begins with one of the label.
Found behind_mark(Text text, std::initializer_list<Text> marks, const Label& label) {
  for (Text mark : marks) {
    size_t at = text.find(mark);
    if (at == text.npos) continue;
    if (text.size() < at + mark.size() + 1) return Found::kWrong;
    Text rest = text.substr(at + mark.size() + 1);
    return rest.starts_with(label.letter) || rest.starts_with(label.text) ? Found::kRight : Found::kWrong;
  }
  return Found::kNo;
}

}  // namespace

double infinitebench_number(Text prediction, Text reference, const MetricInput&) {
  auto begin = std::find_if(prediction.begin(), prediction.end(), is_ascii_digit);
  return Text(begin, std::find_if_not(begin, prediction.end(), is_ascii_digit)) == reference ? 1 : 0;
}

double infinitebench_kv(Text prediction, Text reference, const MetricInput&) {
  Words words = split_words(with_blanks(prediction, U"\n:\"'.,?!{}"));
  return std::find(words.begin(), words.end(), reference) != words.end() ? 1 : 0;
}

double infinitebench_find(Text prediction, Text reference, const MetricInput&) {
  auto begin = std::find_if(prediction.begin(), prediction.end(), is_decimal_digit);
  auto end = std::find_if_not(begin, prediction.end(), is_decimal_digit);
  if (begin == end) return 0;
  bool point = prediction.end() - end > 1 && *end == '.' && is_decimal_digit(end[1]);
  if (point) end = std::find_if_not(end + 1, prediction.end(), is_decimal_digit);
  Text number(begin, end);
  if (reference.find_first_of(U".e") == reference.npos) {
    std::u32string wanted = whole_number(reference);
    return !wanted.empty() && !point && whole_number(number) == wanted ? 1 : 0;
  }
  auto value = [](Text text) {
    std::string ascii = to_utf8(text);
    double out = -1;  // never equal: numbers found have no sign
    auto [stop, error] = std::from_chars(ascii.data(), ascii.data() + ascii.size(), out);
    return error == std::errc() ? out : -1;
  };
  return value(number) >= 0 && value(number) == value(reference) ? 1 : 0;
}

double infinitebench_calc(Text prediction, Text reference, const MetricInput& input) {
  Words numbers;
  for (size_t i = 0; i < prediction.size(); ++i) {
    if (!is_ascii_digit(prediction[i])) continue;
    size_t from = i;
    while (i < prediction.size() && is_ascii_digit(prediction[i])) ++i;
    bool sign = input.scoring == Scoring::kClean && from > 0 && prediction[from - 1] == '-';
    numbers.push_back(whole_number(prediction.substr(from - sign, i - from + sign)));
  }
  Words wanted = split_words(reference);
  size_t same = 0;
  while (same < std::min(numbers.size(), wanted.size()) && numbers[same] == whole_number(wanted[same]))
    ++same;
  return wanted.empty() ? 0 : double(same) / double(wanted.size());
}

double infinitebench_run(Text prediction, Text reference, const MetricInput&) {
  Words words = split_words(with_blanks(prediction, U"\n.`'\":"));
  if (words.empty()) return 0;
  std::u32string number = whole_number(words.back());
  return !number.empty() && number == whole_number(reference) ? 1 : 0;
}

double infinitebench_debug(Text prediction, Text reference, const MetricInput& input) {
  Label label = label_of(reference, input);
  prediction = strip(prediction);
  if (prediction.starts_with(label.letter) && prediction.size() > 1 &&
      (prediction[1] == '.' || prediction[1] == ':'))
    return 1;
  std::u32string text = with_blanks(prediction, U"\n`'\"-*");
  blank_out(text, U"Option");
  blank_out(text, U"option");
  squeeze(text);
  return behind_mark(text, {U"answer is:", U"is:", U"answer:", U"correct option is:"}, label) ==
         Found::kRight;
}

double infinitebench_choice(Text prediction, Text reference, const MetricInput& input) {
  Label label = label_of(reference, input);
  auto right = [&](Text answer) { return answer == label.letter || answer == label.text ? 1.0 : 0.0; };
  prediction = strip(prediction);
  if (prediction.empty()) return 0;
  if (kLetters.find(prediction[0]) != kLetters.npos) return right(prediction.substr(0, 1));
  if (right(prediction) == 1) return 1;
  std::u32string text = with_blanks(prediction, U"\n\"'.,?!{}");
  squeeze(text);
  Found found = behind_mark(text, {U"answer is:", U"answer:", U"answer is", U"option is"}, label);
  if (found != Found::kNo) return found == Found::kRight ? 1 : 0;
  for (const std::u32string& word : split_words(text))
    if (kLetters.find(word) != kLetters.npos) return right(word);
  return 0;
}

double infinitebench_dialogue(Text prediction, Text reference, const MetricInput&) {
  std::u32string text = with_blanks(prediction, U"\n:\"'.,?!{}");
  for (char32_t& c : text) c = static_cast<char32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(c)));
  Words words = split_words(text);
  return std::find(words.begin(), words.end(), reference) != words.end() ? 1 : 0;
}

}  // namespace longspan
