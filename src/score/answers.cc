#include "score/answers.h"

#include "base/error.h"
#include "score/similarity.h"
#include "score/words.h"

namespace longspan {
namespace {

using Text = std::u32string_view;

/// The letter A-D behind the first `mark` that has one there, and then `end`. 0: none.
char32_t letter_behind(Text text, Text mark, Text end) {
  for (size_t at = text.find(mark); at != text.npos; at = text.find(mark, at + 1)) {
    Text rest = text.substr(at + mark.size());
    if (!rest.empty() && rest[0] >= 'A' && rest[0] <= 'D' && rest.substr(1).starts_with(end)) return rest[0];
  }
  return 0;
}

}  // namespace

double longbench2_answer(Text prediction, Text reference, const MetricInput&) {
  std::u32string text(prediction);
  std::erase(text, U'*');
  char32_t letter = letter_behind(text, U"The correct answer is (", U")");
  if (letter == 0) letter = letter_behind(text, U"The correct answer is ", U"");
  return letter != 0 && Text(&letter, 1) == reference ? 1 : 0;
}

double best_subspan_em(Text prediction, Text reference, const MetricInput& input) {
  if (input.scoring == Scoring::kClean)
    prediction.remove_prefix(std::min(prediction.find_first_not_of(U'\n'), prediction.size()));
  std::u32string line = squad_normalise(std::u32string(prediction.substr(0, prediction.find('\n'))));
  return line.find(squad_normalise(std::u32string(reference))) != line.npos ? 1 : 0;
}

double nolima_contains(Text prediction, Text reference, const MetricInput&) {
  return prediction.find(reference) != prediction.npos ? 1 : 0;
}

double mrcr(Text prediction, Text reference, const MetricInput& input) {
  auto field = input.fields.is_object() ? input.fields.find("random_string_to_prepend") : input.fields.end();
  if (!input.fields.is_object() || field == input.fields.end() || !field->is_string())
    fail("the metric mrcr needs the text \"random_string_to_prepend\" in its case");
  std::u32string start = code_points(field->get_ref<const std::string&>());
  if (!prediction.starts_with(start)) return 0;
  prediction.remove_prefix(start.size());
  if (reference.starts_with(start)) reference.remove_prefix(start.size());
  return difflib_ratio(prediction, reference, input.scoring == Scoring::kCompat);
}

double bamboo_exact(Text prediction, Text reference, const MetricInput&) {
  auto bare = [](Text text) {
    text = strip(text);
    size_t first = text.find_first_not_of(U'.');
    if (first == text.npos) return std::u32string();
    return lower(std::u32string(text.substr(first, text.find_last_not_of(U'.') + 1 - first)));
  };
  return bare(prediction) == bare(reference) ? 1 : 0;
}

}  // namespace longspan
