#include <algorithm>
#include <cctype>
#include <set>
#include <span>

#include "synth/reading.h"

namespace longspan {

namespace {

constexpr size_t kLeastSentence = 40, kMostSentence = 250, kLeastAnswer = 3, kMostAnswer = 80;
constexpr size_t kMostPassage = 420, kMostSentences = 3;
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

/// Whether a passage means something without the sentence before it.
bool stands_alone(std::string_view passage) {
  if (!std::isupper(static_cast<unsigned char>(passage.front())) &&
      !std::isdigit(static_cast<unsigned char>(passage.front())))
    return false;
  std::string_view first = passage.substr(0, passage.find_first_of(" ,"));
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

bool answers(std::string_view passage, std::string_view answer, const std::set<std::string>& asked) {
  size_t at = passage.find(answer);
  if (at == std::string_view::npos || !in_words(passage, at, answer.size())) return false;
  if (passage.find(answer, at + 1) != std::string_view::npos) return false;
  std::string rest =
      std::string(passage.substr(0, at)) + " " + std::string(passage.substr(at + answer.size()));
  std::set<std::string> said = content_words(rest);
  auto shared = static_cast<size_t>(std::count_if(
      asked.begin(), asked.end(), [&](const std::string& word) { return said.contains(word); }));
  return shared >= kSharedWords;
}

bool is_sentence(std::string_view s) {
  return s.size() >= kLeastSentence && s.size() <= kMostSentence &&
         std::string_view(".!?").find(s.back()) != std::string_view::npos &&
         s.find('|') == std::string_view::npos;
}

/// The passage that ends with sentence `last`; empty where there is none that stands alone.
std::string_view passage_of(std::string_view text, std::span<const Sentence> all, size_t last) {
  for (size_t back = 0; back < kMostSentences && back <= last; ++back) {
    const Sentence& first = all[last - back];
    std::string_view passage = text.substr(first.begin, all[last].end - first.begin);
    if (passage.size() > kMostPassage || passage.find_first_of("\n|") != std::string_view::npos) return {};
    if (stands_alone(passage)) return passage;
  }
  return {};
}

}  // namespace

std::vector<NaturalFact> natural_facts(const SourceText& article) {
  std::vector<NaturalFact> facts;
  if (article.language != "en") return facts;
  std::string_view text = article.text;
  std::vector<Sentence> all = sentences(text);
  for (const SourceQuestion& q : article.questions) {
    std::string_view answer = without_marks(q.answer);
    if (answer.size() < kLeastAnswer || answer.size() > kMostAnswer ||
        answer.find('\n') != std::string_view::npos)
      continue;
    std::set<std::string> asked = content_words(q.question);
    for (size_t i = 0; i < all.size(); ++i) {
      std::string_view sentence = text.substr(all[i].begin, all[i].end - all[i].begin);
      if (!is_sentence(sentence) || sentence.find(answer) == std::string_view::npos) continue;
      std::string_view passage = passage_of(text, all, i);
      if (passage.empty() || !answers(passage, answer, asked)) continue;
      facts.push_back({std::string(passage), std::string(sentence), q.question, std::string(answer)});
      break;
    }
  }
  return facts;
}

}  // namespace longspan
