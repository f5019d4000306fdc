#include "score/rouge.h"

#include <algorithm>
#include <set>
#include <unordered_map>

#include "base/error.h"
#include "score/similarity.h"
#include "tokenizer/unicode.h"

namespace longspan {
namespace {

constexpr double kPackageEpsilon = 1e-8;
constexpr size_t kMostCells = size_t(1) << 28;  // of the table of one pair of sentences

double f1(double precision, double recall, double epsilon) {
  if (precision + recall == 0) return 0;
  return 2 * (precision * recall / (precision + recall + epsilon));
}

/// The sentences of the package "rouge". Words come from splitting at single blanks, so a piece of white
/// space alone is the sentence of one empty word.
std::vector<Words> package_sentences(std::u32string_view text) {
  std::vector<Words> sentences;
  for (const auto& piece : split_at(text, '.')) {
    if (piece.empty()) continue;
    sentences.push_back(split_words(piece));
    if (sentences.back().empty()) sentences.back().emplace_back();
  }
  return sentences;
}

Words flat(const std::vector<Words>& sentences) {
  Words words;
  for (const Words& sentence : sentences) words.insert(words.end(), sentence.begin(), sentence.end());
  return words;
}

std::vector<Words> n_grams(const Words& words, int n) {
  std::vector<Words> grams;
  for (size_t i = 0; i + n <= words.size(); ++i) grams.emplace_back(words.begin() + i, words.begin() + i + n);
  return grams;
}

using Ids = std::vector<int32_t>;

/// Equal words get equal numbers.
class WordIds {
 public:
  Ids of(const Words& words) {
    Ids ids;
    for (const auto& word : words) ids.push_back(ids_.try_emplace(word, int32_t(ids_.size())).first->second);
    return ids;
  }

 private:
  std::unordered_map<std::u32string, int32_t> ids_;
};

/// Which of the longest common subsequences it is decides the score. From the ends, equal words are taken,
/// else the side is shortened that leaves more; if both leave the same:
enum class Tie { kPrediction, kReference };

/// The places in the reference of one longest common subsequence, from the last.
std::vector<size_t> common_places(const Ids& reference, const Ids& prediction, Tie tie) {
  std::vector<size_t> places;
  size_t columns = prediction.size() + 1;
  if (reference.size() >= kMostCells / columns)
    fail(
        "rouge compares sentences of {} and {} words, which would take more than {} cells; cut the "
        "prediction",
        reference.size(), prediction.size(), kMostCells);
  std::vector<int32_t> table((reference.size() + 1) * columns, 0);
  for (size_t i = 1; i <= reference.size(); ++i)
    for (size_t j = 1; j <= prediction.size(); ++j)
      table[i * columns + j] = reference[i - 1] == prediction[j - 1]
                                   ? table[(i - 1) * columns + j - 1] + 1
                                   : std::max(table[(i - 1) * columns + j], table[i * columns + j - 1]);
  for (size_t i = reference.size(), j = prediction.size(); i > 0 && j > 0;) {
    if (reference[i - 1] == prediction[j - 1]) {
      places.push_back(i - 1);
      --i, --j;
      continue;
    }
    int32_t without_reference = table[(i - 1) * columns + j], without_prediction = table[i * columns + j - 1];
    bool equal = without_reference == without_prediction;
    (equal ? tie == Tie::kReference : without_reference > without_prediction) ? --i : --j;
  }
  return places;
}

}  // namespace

double rouge_package_n(std::u32string_view prediction, std::u32string_view reference, int n) {
  auto distinct = [&](std::u32string_view text) {
    auto grams = n_grams(flat(package_sentences(text)), n);
    return std::set<Words>(grams.begin(), grams.end());
  };
  auto predicted = distinct(prediction), wanted = distinct(reference);
  auto same =
      std::count_if(predicted.begin(), predicted.end(), [&](const Words& g) { return wanted.contains(g); });
  if (same == 0) return 0;
  return f1(double(same) / double(predicted.size()), double(same) / double(wanted.size()), kPackageEpsilon);
}

double rouge_package_l(std::u32string_view prediction, std::u32string_view reference) {
  WordIds numbers;
  std::vector<Ids> predicted, wanted;
  std::set<int32_t> predicted_words, wanted_words, found;
  for (const Words& sentence : package_sentences(prediction)) {
    predicted.push_back(numbers.of(sentence));
    predicted_words.insert(predicted.back().begin(), predicted.back().end());
  }
  for (const Words& sentence : package_sentences(reference)) {
    wanted.push_back(numbers.of(sentence));
    wanted_words.insert(wanted.back().begin(), wanted.back().end());
  }
  for (const Ids& a : wanted)
    for (const Ids& b : predicted)
      for (size_t place : common_places(a, b, Tie::kPrediction)) found.insert(a[place]);
  if (found.empty()) return 0;
  return f1(double(found.size()) / double(predicted_words.size()),
            double(found.size()) / double(wanted_words.size()), kPackageEpsilon);
}

Words rouge_score_words(std::u32string_view text) {
  std::u32string low = lower(std::u32string(text));
  for (char32_t& c : low)
    if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9')) c = ' ';
  return split_words(low);
}

Words unicode_words(std::u32string_view text) {
  std::u32string spaced;
  for (char32_t c : lower(std::u32string(text))) {
    bool han = (c >= 0x3400 && c <= 0x9fff) || (c >= 0xf900 && c <= 0xfaff) || (c >= 0x20000 && c <= 0x3ffff);
    if (han) spaced += U' ';
    spaced += is_letter(c) || is_mark(c) || is_number(c) ? c : U' ';
    if (han) spaced += U' ';
  }
  return split_words(spaced);
}

double rouge_n(const Words& prediction, const Words& reference, int n) {
  auto bag = [n](const Words& words) {
    auto grams = n_grams(words, n);
    return std::multiset<Words>(grams.begin(), grams.end());
  };
  auto predicted = bag(prediction), wanted = bag(reference);
  std::vector<Words> same;
  std::set_intersection(predicted.begin(), predicted.end(), wanted.begin(), wanted.end(),
                        std::back_inserter(same));
  if (same.empty()) return 0;
  return f1(double(same.size()) / double(predicted.size()), double(same.size()) / double(wanted.size()), 0);
}

double rouge_l(const Words& prediction, const Words& reference) {
  WordIds numbers;
  Ids a = numbers.of(prediction), b = numbers.of(reference);
  if (a.empty() || b.empty()) return 0;
  auto common = static_cast<double>(common_subsequence(a, b));
  return f1(common / double(a.size()), common / double(b.size()), 0);
}

double rouge_lsum(const std::vector<Words>& prediction, const std::vector<Words>& reference) {
  WordIds numbers;
  std::vector<Ids> predicted, wanted;
  std::unordered_map<int32_t, int64_t> left_predicted, left_wanted;  // how often a word may still count
  size_t predicted_size = 0, wanted_size = 0, same = 0;
  for (const Words& sentence : prediction) {
    predicted_size += predicted.emplace_back(numbers.of(sentence)).size();
    for (int32_t id : predicted.back()) ++left_predicted[id];
  }
  for (const Words& sentence : reference) {
    wanted_size += wanted.emplace_back(numbers.of(sentence)).size();
    for (int32_t id : wanted.back()) ++left_wanted[id];
  }
  for (const Ids& a : wanted) {
    std::set<size_t> places;
    for (const Ids& b : predicted)
      for (size_t place : common_places(a, b, Tie::kReference)) places.insert(place);
    for (size_t place : places)
      if (left_predicted[a[place]]-- > 0 && left_wanted[a[place]]-- > 0) ++same;
  }
  if (same == 0) return 0;
  return f1(double(same) / double(predicted_size), double(same) / double(wanted_size), 0);
}

}  // namespace longspan
