#include <algorithm>
#include <cctype>
#include <set>

#include "synth/reading.h"

namespace longspan {

namespace {

constexpr size_t kLeastSentence = 40, kMostSentence = 250, kLeastAnswer = 3, kMostAnswer = 80;
constexpr size_t kLeastWord = 4, kSharedWords = 2;

/// Words of at least four letters in lower case, without those of questions.
std::set<std::string> content_words(std::string_view text) {
  static const std::set<std::string> kEmpty = {"what", "when", "where", "which", "does", "did",
                                               "that", "this", "from",  "with",  "have", "were",
                                               "many", "much", "name",  "they",  "their"};
  std::set<std::string> words;
  std::string word;
  for (size_t i = 0; i <= text.size(); ++i) {
    auto c = i < text.size() ? static_cast<unsigned char>(text[i]) : static_cast<unsigned char>(' ');
    if (std::isalpha(c) || c >= 0x80) {
      word += static_cast<char>(std::tolower(c));
      continue;
    }
    if (word.size() >= kLeastWord && !kEmpty.contains(word)) words.insert(word);
    word.clear();
  }
  return words;
}

/// Whether a sentence means something without the one before it.
bool stands_alone(std::string_view sentence) {
  if (!std::isupper(static_cast<unsigned char>(sentence.front())) &&
      !std::isdigit(static_cast<unsigned char>(sentence.front())))
    return false;
  std::string_view first = sentence.substr(0, sentence.find_first_of(" ,"));
  for (const char* word :
       {"He",   "She", "It",      "They", "This", "These", "Those", "His",  "Her", "Its", "Their",
        "That", "But", "However", "Also", "Then", "Such",  "There", "Here", "We",  "I"})
    if (first == word) return false;
  return true;
}

std::string_view without_marks(std::string_view answer) {
  while (!answer.empty() && std::string_view(",.;: ").find(answer.back()) != std::string_view::npos)
    answer.remove_suffix(1);
  return answer;
}

bool in_words(std::string_view sentence, size_t at, size_t size) {
  auto letter = [&](size_t i) {
    return i < sentence.size() && std::isalnum(static_cast<unsigned char>(sentence[i]));
  };
  return (at == 0 || !letter(at - 1)) && !letter(at + size);
}

bool answers(std::string_view sentence, std::string_view answer, const std::set<std::string>& asked) {
  size_t at = sentence.find(answer);
  if (at == std::string_view::npos || !in_words(sentence, at, answer.size())) return false;
  if (sentence.find(answer, at + 1) != std::string_view::npos) return false;
  std::string rest =
      std::string(sentence.substr(0, at)) + " " + std::string(sentence.substr(at + answer.size()));
  std::set<std::string> said = content_words(rest);
  auto shared = static_cast<size_t>(std::count_if(
      asked.begin(), asked.end(), [&](const std::string& word) { return said.contains(word); }));
  return shared >= kSharedWords;
}

}  // namespace

std::vector<NaturalFact> natural_facts(const SourceText& article) {
  std::vector<NaturalFact> facts;
  if (article.language != "en") return facts;
  std::vector<Sentence> all = sentences(article.text);
  for (const SourceQuestion& q : article.questions) {
    std::string_view answer = without_marks(q.answer);
    if (answer.size() < kLeastAnswer || answer.size() > kMostAnswer ||
        answer.find('\n') != std::string_view::npos)
      continue;
    std::set<std::string> asked = content_words(q.question);
    for (const Sentence& s : all) {
      std::string_view sentence = std::string_view(article.text).substr(s.begin, s.end - s.begin);
      bool fits = sentence.size() >= kLeastSentence && sentence.size() <= kMostSentence &&
                  std::string_view(".!?").find(sentence.back()) != std::string_view::npos &&
                  sentence.find('|') == std::string_view::npos && stands_alone(sentence);
      if (!fits || !answers(sentence, answer, asked)) continue;
      facts.push_back({std::string(sentence), q.question, std::string(answer)});
      break;
    }
  }
  return facts;
}

}  // namespace longspan
