#include "score/leval.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <set>

#include "score/words.h"
#include "tokenizer/unicode.h"

namespace longspan {
namespace {

constexpr std::u32string_view kAnswerIs = U"The answer is";

bool is_choice(char32_t c) { return c >= 'A' && c <= 'D'; }

/// The first run of A-D.
std::u32string first_choices(std::u32string_view text) {
  auto begin = std::find_if(text.begin(), text.end(), is_choice);
  return {begin, std::find_if_not(begin, text.end(), is_choice)};
}

std::u32string sorted_set(std::u32string_view letters) {
  std::set<char32_t> set(letters.begin(), letters.end());
  return {set.begin(), set.end()};
}

bool has_digit(std::u32string_view word) { return std::any_of(word.begin(), word.end(), is_decimal_digit); }

std::u32string digits_of(std::u32string_view word) {
  std::u32string digits;
  for (char32_t c : word)
    if (is_decimal_digit(c)) digits += c;
  return digits;
}

/// Python's float(text) for the decimal forms.
std::optional<double> as_float(std::u32string_view text) {
  std::string ascii = to_utf8(strip(text));
  std::string_view rest = ascii;
  if (rest.starts_with('+')) rest.remove_prefix(1);
  double value = 0;
  auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), value);
  if (error != std::errc() || end != rest.data() + rest.size()) return std::nullopt;
  return value;
}

void replace_all(std::u32string& text, std::u32string_view from, std::u32string_view to) {
  for (size_t at = text.find(from); at != text.npos; at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
}

/// re.split(r"\s+", text): runs of white space separate, and leave empty pieces at the ends.
Words pieces_between_spaces(std::u32string_view text) {
  Words pieces(1);
  bool in_space = false;
  for (char32_t c : text) {
    if (!is_python_space(c)) pieces.back() += c;
    if (is_python_space(c) && !in_space) pieces.emplace_back();
    in_space = is_python_space(c);
  }
  return pieces;
}

std::u32string plain_code(std::u32string_view text) {
  std::u32string out = join(pieces_between_spaces(text), U" ");
  for (const char32_t* gone : {U",", U"'", U"\\", U".0"}) replace_all(out, gone, U"");
  replace_all(out, U"] [", U"][");
  replace_all(out, U"[ [", U"[[");
  replace_all(out, U"] ]", U"]]");
  return out;
}

std::u32string code_answer(std::u32string_view prediction, size_t reference_words) {
  std::u32string text = plain_code(prediction);
  for (const char32_t* phrase :
       {U"will be", U"of the code", U"is", U"would be", U"the value of", U"the result of", U"printed"})
    replace_all(text, phrase, U"");
  constexpr std::u32string_view kOutput = U"the final output";
  size_t most = reference_words + 3, at = text.rfind(kOutput);
  Words words = pieces_between_spaces(at == text.npos ? text : text.substr(at + kOutput.size()));
  if (words.size() > most) {
    bool last = at == text.npos;
    words.erase(last ? words.begin() : words.begin() + most, last ? words.end() - most : words.end());
  }
  return join(words, U" ");
}

}  // namespace

std::u32string leval_reference_letters(std::u32string_view reference, bool guess) {
  std::u32string letters;
  if (Words words = split_words(reference); !words.empty())
    std::copy_if(words[0].begin(), words[0].end(), std::back_inserter(letters), is_choice);
  return letters.empty() && guess ? U"A" : letters;
}

std::u32string leval_letters(std::u32string_view prediction, bool several, bool guess) {
  if (strip(prediction).empty()) return U"None";
  if (std::u32string_view(U"ABCD").find(prediction) != prediction.npos) return std::u32string(prediction);
  std::u32string nothing = guess ? U"A" : U"";
  if (!several) {
    std::u32string run = first_choices(prediction);
    return run.empty() ? nothing : run.substr(0, 1);
  }
  size_t lead = std::find_if_not(prediction.begin(), prediction.end(), is_choice) - prediction.begin();
  if (lead > 1) return sorted_set(prediction.substr(0, lead));
  // A single letter at the beginning counts, even that of "Answer" (not when nothing is guessed).
  std::u32string marked(prediction.substr(0, lead));
  prediction.remove_prefix(lead);
  if (!guess && !prediction.empty() && is_letter(prediction[0])) marked.clear();
  prediction = prediction.substr(0, prediction.find(U"Question"));
  for (size_t i = 0; i + 1 < prediction.size(); ++i) {
    char32_t next = prediction[i + 1];
    if (is_choice(prediction[i]) && (is_python_space(next) || next == '.' || next == ')'))
      marked += prediction[i];
  }
  if (!marked.empty()) return sorted_set(marked);
  std::u32string run = first_choices(prediction);
  return run.empty() ? nothing : run;
}

double leval_letters_score(std::u32string_view predicted, std::u32string_view reference) {
  if (predicted == reference) return 1;
  bool inside = std::all_of(predicted.begin(), predicted.end(),
                            [&](char32_t c) { return reference.find(c) != reference.npos; });
  return inside ? 0.25 : 0;
}

std::u32string leval_number(std::u32string_view text) {
  std::u32string word;
  // A blank must follow and a word behind it; the first place where that is so.
  for (size_t at = text.find(kAnswerIs); at != text.npos && word.empty(); at = text.find(kAnswerIs, at + 1)) {
    std::u32string_view rest = text.substr(at + kAnswerIs.size());
    if (rest.size() > 1 && rest[0] == ' ' && !is_python_space(rest[1])) word = split_words(rest)[0];
  }
  if (word.empty()) {
    for (const auto& candidate : split_words(text.substr(0, text.find(U"\n\n"))))
      if (has_digit(candidate)) word = candidate;
  }
  return digits_of(std::u32string_view(word).substr(0, word.find('.')));
}

double leval_exact_match(std::u32string_view prediction, std::u32string_view reference) {
  std::u32string wanted = squad_normalise(std::u32string(reference), false);
  std::u32string predicted = squad_normalise(std::u32string(prediction), false);
  if (!wanted.empty() && std::all_of(wanted.begin(), wanted.end(), is_choice))
    return leval_letters_score(predicted, wanted);
  auto a = as_float(prediction), b = as_float(reference);
  if (a && b) return *a == *b ? 1 : 0;
  auto squeezed = [](std::u32string_view text) { return lower(without_spaces(text)); };
  return squeezed(prediction).find(squeezed(reference)) != std::u32string::npos ? 1 : 0;
}

double leval_code_score(std::u32string_view prediction, std::u32string_view reference) {
  return leval_exact_match(code_answer(prediction, split_words(reference).size()), plain_code(reference));
}

std::u32string leval_judgement(std::u32string_view text) {
  for (const std::u32string& word : split_words(lower(std::u32string(text)))) {
    if (word.find(U"true") != word.npos) return U"true";
    if (word.find(U"false") != word.npos) return U"false";
  }
  return U"<error>";
}

std::u32string leval_verdict(std::u32string_view reference, bool fact) {
  constexpr std::u32string_view kFact = U"[fact:";
  std::u32string text = lower(std::u32string(reference));
  size_t at = text.find(kFact);
  if (at == text.npos) return std::u32string(strip(text));
  if (!fact) return std::u32string(strip(std::u32string_view(text).substr(0, at)));
  std::u32string_view rest = std::u32string_view(text).substr(at + kFact.size());
  rest = rest.substr(0, rest.find(kFact));
  return std::u32string(strip(rest.substr(0, rest.size() - std::min<size_t>(rest.size(), 1))));
}

std::u32string opencompass_capital(std::u32string_view prediction) {
  for (char32_t c : prediction)
    if (lower(std::u32string(1, c))[0] != c) return std::u32string(1, c);
  return U"";
}

std::u32string opencompass_capitals(std::u32string_view prediction) { return first_choices(prediction); }

std::u32string opencompass_number(std::u32string_view prediction) {
  size_t at = prediction.find(kAnswerIs);
  if (at == prediction.npos) return U"";
  for (const auto& word : split_words(prediction.substr(at + kAnswerIs.size())))
    if (has_digit(word)) return digits_of(word);
  return U"";
}

std::u32string opencompass_phrase(std::u32string_view prediction) {
  auto in_word = [](char32_t c) { return c == '_' || is_letter(c) || is_number(c); };
  std::u32string text;
  for (char32_t c : prediction.substr(0, prediction.find_first_of(U"\n.,")))
    if (in_word(c) || is_python_space(c)) text += c;
  Words kept;
  for (std::u32string& word : split_words(text)) {
    std::u32string low = lower(word);
    if (low != U"a" && low != U"an" && low != U"the") kept.push_back(std::move(word));
  }
  return join(kept, U" ");
}

}  // namespace longspan
