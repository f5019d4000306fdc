#include "score/metrics.h"

#include <fmt/ranges.h>
#include <utf8proc.h>

#include <algorithm>

#include "base/error.h"
#include "base/nearest.h"
#include "base/text.h"
#include "score/answers.h"
#include "score/infinitebench.h"
#include "score/leval.h"
#include "score/rouge.h"
#include "score/similarity.h"

namespace longspan {
namespace {

using Text = std::u32string_view;

bool holds(Text text, Text part) { return text.find(part) != text.npos; }
bool clean(const MetricInput& input) { return input.scoring == Scoring::kClean; }

/// LongBench's list of Chinese punctuation; 《 is missing in it.
constexpr Text kChinesePunctuation =
    U"！？｡。＂＃＄％＆＇（）＊＋，－／：；＜＝＞＠［＼］＾＿｀｛｜｝～｟｠｢｣､、〃》「」『』【】〔〕〖〗〘〙"
    U"〚〛〜〝〞〟〰〾〿–—‘’‛“”„‟…‧﹏.";

bool is_punctuation_or_symbol(char32_t c) {
  auto category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  return category >= UTF8PROC_CATEGORY_PC && category <= UTF8PROC_CATEGORY_SO;
}

double qa_f1(Text prediction, Text reference, const MetricInput&) {
  auto words = [](Text text) { return split_words(squad_normalise(std::u32string(text))); };
  return bag_f1(words(prediction), words(reference));
}

double qa_f1_zh(Text prediction, Text reference, const MetricInput& input) {
  auto words = [&](Text text) {
    Words kept;
    for (auto& word : input.segmenter->cut(text)) {
      std::u32string token = lower(std::move(word));
      std::erase_if(token, [&](char32_t c) {
        return is_ascii_punctuation(c) || holds(kChinesePunctuation, Text(&c, 1)) ||
               (clean(input) && is_punctuation_or_symbol(c));
      });
      if (token = without_spaces(token); !token.empty()) kept.push_back(std::move(token));
    }
    return kept;
  };
  return bag_f1(words(prediction), words(reference));
}

/// InfiniteBench: LongBench's normalisation without words.
double char_f1_zh(Text prediction, Text reference, const MetricInput& input) {
  auto characters = [&](Text text) {
    Words kept;
    for (char32_t c : without_spaces(lower(std::u32string(text)))) {
      bool gone = is_ascii_punctuation(c) || holds(kChinesePunctuation, Text(&c, 1)) ||
                  (clean(input) && is_punctuation_or_symbol(c));
      if (!gone) kept.emplace_back(1, c);
    }
    return kept;
  };
  return bag_f1(characters(prediction), characters(reference));
}

template <int n>
double rouge_package(Text prediction, Text reference, const MetricInput& input) {
  if (clean(input)) {
    Words a = unicode_words(prediction), b = unicode_words(reference);
    return n == 0 ? rouge_l(a, b) : rouge_n(a, b, n);
  }
  return n == 0 ? rouge_package_l(prediction, reference) : rouge_package_n(prediction, reference, n);
}

double rouge_zh(Text prediction, Text reference, const MetricInput& input) {
  Words a = input.segmenter->cut(prediction), b = input.segmenter->cut(reference);
  if (!clean(input)) return rouge_package_l(join(a, U" "), join(b, U" "));
  auto no_word = [](const std::u32string& word) {
    return std::all_of(word.begin(), word.end(),
                       [](char32_t c) { return is_python_space(c) || is_punctuation_or_symbol(c); });
  };
  std::erase_if(a, no_word);
  std::erase_if(b, no_word);
  return rouge_l(a, b);
}

template <int n>
double rouge_score(Text prediction, Text reference, const MetricInput& input) {
  auto words = clean(input) ? unicode_words : rouge_score_words;
  Words a = words(prediction), b = words(reference);
  return n == 0 ? rouge_l(a, b) : rouge_n(a, b, n);
}

double rouge_score_lsum(Text prediction, Text reference, const MetricInput& input) {
  auto lines = [&](Text text) {
    std::vector<Words> sentences;
    for (const std::u32string& line : split_at(text, '\n'))
      sentences.push_back(clean(input) ? unicode_words(line) : rouge_score_words(line));
    return sentences;
  };
  return rouge_lsum(lines(prediction), lines(reference));
}

double classification(Text prediction, Text reference, const MetricInput& input) {
  auto classes = input.fields.find("all_classes");
  if (!input.fields.is_object() || classes == input.fields.end() || !classes->is_array())
    fail("the metric classification needs the list \"all_classes\" in its case");
  Words found;
  for (const Json& entry : *classes) {
    if (!entry.is_string()) fail("\"all_classes\" holds {}, which is no text", excerpt_json(entry));
    std::u32string name = code_points(entry.get_ref<const std::string&>());
    if (holds(prediction, name)) found.push_back(std::move(name));
  }
  auto part_of_reference = [&](const std::u32string& name) {
    return name != reference && holds(reference, name);
  };
  if (clean(input)) {
    std::erase_if(found, part_of_reference);
  } else {
    // The original removes from the list it walks over, so that it never looks at the name behind a removed
    // one.
    for (size_t i = 0; i < found.size(); ++i)
      if (part_of_reference(found[i])) found.erase(std::find(found.begin(), found.end(), found[i]));
  }
  bool right = std::find(found.begin(), found.end(), reference) != found.end();
  return right ? 1 / double(found.size()) : 0;
}

double share_equal(const Words& numbers, Text wanted) {
  if (numbers.empty()) return 0;
  return double(std::count(numbers.begin(), numbers.end(), wanted)) / double(numbers.size());
}

double count(Text prediction, Text reference, const MetricInput&) {
  return share_equal(digit_runs(prediction), reference);
}

double retrieval_after(Text mark, Text prediction, Text reference) {
  for (size_t at = reference.find(mark); at != reference.npos; at = reference.find(mark, at + 1)) {
    Text rest = reference.substr(at + mark.size());
    if (!rest.empty() && is_decimal_digit(rest[0]))
      return share_equal(digit_runs(prediction), digit_runs(rest)[0]);
  }
  fail("the reference {} is not of the form \"{}1\"", in_quotes(to_utf8(reference)), to_utf8(mark));
}

double retrieval(Text prediction, Text reference, const MetricInput&) {
  return retrieval_after(U"Paragraph ", prediction, reference);
}

double retrieval_zh(Text prediction, Text reference, const MetricInput&) {
  return retrieval_after(U"段落", prediction, reference);
}

/// The first line that looks like code.
std::u32string code_line(Text prediction) {
  prediction = prediction.substr(std::min(prediction.find_first_not_of(U'\n'), prediction.size()));
  for (auto& line : split_at(prediction, '\n'))
    if (!holds(line, U"`") && !holds(line, U"#") && !holds(line, U"//")) return line;
  return U"";
}

double code_sim(Text prediction, Text reference, const MetricInput& input) {
  std::u32string line = code_line(prediction);
  if (clean(input)) return difflib_ratio(line, reference, false);
  return fuzz_percent(line, reference, difflib_ratio(line, reference)) / 100.0;
}

double code_sim_levenshtein(Text prediction, Text reference, const MetricInput& input) {
  std::u32string line = code_line(prediction);
  double ratio = indel_ratio(line, reference);
  return clean(input) ? ratio : fuzz_percent(line, reference, ratio) / 100.0;
}

double presence(Text prediction, Text reference, const MetricInput&) {
  return holds(prediction, strip(reference)) ? 1 : 0;
}

double needle(Text prediction, Text keyword, const MetricInput& input) {
  if (holds(prediction, keyword)) return 1;
  if (clean(input)) return 0;
  if (!input.fields.is_object() || !input.fields.contains("needle") || !input.fields["needle"].is_string())
    fail("the metric needle needs the text \"needle\" in its case");
  std::u32string a = without_spaces(prediction);
  std::u32string b = without_spaces(code_points(input.fields["needle"].get_ref<const std::string&>()));
  size_t longer = std::max(a.size(), b.size());
  return longer == 0 ? 1 : 0.2 * (1 - double(levenshtein_distance(a, b)) / double(longer));
}

double needle_keyword(Text prediction, Text keyword, const MetricInput&) {
  return holds(prediction, keyword) ? 1 : 0;
}

double needle_reasoning(Text prediction, Text reference, const MetricInput&) {
  std::u32string text = lower(std::u32string(prediction));
  Words words = split_words(lower(std::u32string(reference)));
  if (words.empty()) return 0;
  auto found = std::count_if(words.begin(), words.end(), [&](const auto& word) { return holds(text, word); });
  return double(found) / double(words.size());
}

double ruler(Text prediction, Text reference, const MetricInput&) {
  // RULER first makes line feeds of control characters; no reference holds either.
  return holds(lower(std::u32string(prediction)), lower(std::u32string(reference))) ? 1 : 0;
}

double exact_match(Text prediction, Text reference, const MetricInput&) {
  return squad_normalise(std::u32string(prediction)) == squad_normalise(std::u32string(reference)) ? 1 : 0;
}

template <bool several>
double leval_choice(Text prediction, Text reference, const MetricInput& input) {
  std::u32string predicted = leval_letters(prediction, several, !clean(input));
  std::u32string wanted = leval_reference_letters(reference, !clean(input));
  if (clean(input)) return predicted == wanted ? 1 : 0;
  return leval_letters_score(predicted, wanted);
}

double leval_gsm(Text prediction, Text reference, const MetricInput&) {
  return leval_exact_match(leval_number(prediction), leval_number(reference));
}

double leval_topic(Text prediction, Text reference, const MetricInput&) {
  return leval_exact_match(prediction, reference);
}

double leval_code(Text prediction, Text reference, const MetricInput&) {
  return leval_code_score(prediction, reference);
}

template <bool fact>
double leval_judged(Text prediction, Text reference, const MetricInput&) {
  return leval_exact_match(leval_judgement(prediction), leval_verdict(reference, fact));
}

double opencompass_topic(Text prediction, Text reference, const MetricInput&) {
  std::u32string phrase = opencompass_phrase(prediction);
  return holds(phrase, opencompass_phrase(reference)) || holds(phrase, reference) ? 1 : 0;
}

template <std::u32string (*letters)(Text)>
double opencompass_choice(Text prediction, Text reference, const MetricInput&) {
  return letters(prediction) == leval_reference_letters(reference) ? 1 : 0;
}

double opencompass_gsm(Text prediction, Text reference, const MetricInput& input) {
  std::u32string wanted(reference);
  std::erase(wanted, U',');
  return (clean(input) ? leval_number(prediction) : opencompass_number(prediction)) == wanted ? 1 : 0;
}

/// The chosen number of the prediction equals the reference as numbers.
template <bool last>
double one_number(Text prediction, Text reference, const MetricInput&) {
  auto plain = [](std::u32string digits) {
    return digits.substr(std::min(digits.find_first_not_of(U'0'), digits.size() - 1));
  };
  Words found = digit_runs(prediction), wanted = digit_runs(reference);
  if (wanted.empty()) fail("the reference {} holds no number", in_quotes(to_utf8(reference)));
  return !found.empty() && plain(last ? found.back() : found.front()) == plain(wanted[0]) ? 1 : 0;
}

constexpr const char* kRougeClean =
    "words of any script without punctuation, each counted as often as it stands in both";

constexpr Metric kMetrics[] = {
    {"qa_f1", qa_f1, Across::kBest, false, "F1 of the bags of words, normalised as SQuAD does", ""},
    {"qa_f1_zh", qa_f1_zh, Across::kBest, true, "F1 of the bags of jieba's words without punctuation",
     "all Unicode punctuation and symbols are deleted; the original's list lacks 《 and others"},
    {"char_f1_zh", char_f1_zh, Across::kBest, false,
     "F1 of the bags of characters without punctuation (InfiniteBench)",
     "all Unicode punctuation and symbols are deleted"},
    {"rouge_1", rouge_package<1>, Across::kBest, false, "F of distinct words (package rouge)", kRougeClean},
    {"rouge_2", rouge_package<2>, Across::kBest, false, "F of distinct pairs of words (package rouge)",
     kRougeClean},
    {"rouge_l", rouge_package<0>, Across::kBest, false,
     "F of the distinct words of common subsequences by sentence (package rouge)", kRougeClean},
    {"rouge_l_zh", rouge_zh, Across::kBest, true, "rouge_l of jieba's words",
     "length of the longest common subsequence of jieba's words without punctuation"},
    {"rouge_score_1", rouge_score<1>, Across::kBest, false,
     "F of words a-z, 0-9 (package rouge_score, no stemmer)", kRougeClean},
    {"rouge_score_2", rouge_score<2>, Across::kBest, false,
     "F of pairs of words a-z, 0-9 (package rouge_score, no stemmer)", kRougeClean},
    {"rouge_score_l", rouge_score<0>, Across::kBest, false,
     "F of the longest common subsequence of words a-z, 0-9 (package rouge_score, no stemmer)", kRougeClean},
    {"rouge_score_lsum", rouge_score_lsum, Across::kBest, false,
     "F of the union of common subsequences by line (package rouge_score, no stemmer)", kRougeClean},
    {"classification", classification, Across::kBest, false,
     "1 / number of classes named, if the right one is among them (LongBench)",
     "all names inside the right one are dropped; the original skips the name behind a dropped one"},
    {"count", count, Across::kBest, false, "share of the numbers that equal the reference (LongBench)", ""},
    {"retrieval", retrieval, Across::kBest, false,
     "share of the numbers that equal that of Paragraph N (LongBench)", ""},
    {"retrieval_zh", retrieval_zh, Across::kBest, false,
     "share of the numbers that equal that of 段落N (LongBench)", ""},
    {"code_sim", code_sim, Across::kBest, false,
     "fuzz.ratio of the first line of code, by difflib, whole percents (LongBench)",
     "not rounded, frequent characters not ignored"},
    {"code_sim_levenshtein", code_sim_levenshtein, Across::kBest, false,
     "fuzz.ratio of the first line of code, with python-Levenshtein installed", "not rounded"},
    {"presence", presence, Across::kBest, false,
     "the reference stands in the prediction (Abacus, NoLiMa, passkey)", ""},
    {"needle", needle, Across::kBest, false,
     "1 if the keyword stands in the prediction, else 0.2 (1 - edit distance to the needle / longer) "
     "(NeedleBench 1)",
     "0 without the keyword, as NeedleBench 2"},
    {"needle_multi", needle_keyword, Across::kMean, false,
     "share of the keywords in the prediction (NeedleBench)", ""},
    {"needle_reasoning", needle_reasoning, Across::kBest, false,
     "share of the reference's words that stand in the prediction, case ignored (NeedleBench 1)", ""},
    {"ruler_all", ruler, Across::kMean, false,
     "share of the references in the prediction, case ignored (RULER)", ""},
    {"ruler_part", ruler, Across::kBest, false, "any reference is in the prediction, case ignored (RULER qa)",
     ""},
    {"exact_match", exact_match, Across::kBest, false, "equal after SQuAD's normalisation", ""},
    {"first_number", one_number<false>, Across::kBest, false,
     "the first number is the reference (LongChat-Lines)", ""},
    {"last_number", one_number<true>, Across::kBest, false,
     "the last number is the reference (LongEval lines)", ""},
    {"leval_choice", leval_choice<false>, Across::kBest, false,
     "the first letter A-D; A if there is none (L-Eval)", "no letter is a wrong answer"},
    {"leval_choices", leval_choice<true>, Across::kBest, false,
     "the letters A-D; 0.25 for a part of the right ones, A if there are none (L-Eval coursera)",
     "a part counts nothing, no letter is a wrong answer"},
    {"leval_gsm", leval_gsm, Across::kBest, false, "the number behind \"The answer is\" (L-Eval)", ""},
    {"leval_topic", leval_topic, Across::kBest, false,
     "the reference is in the prediction, case and blanks ignored (L-Eval)", ""},
    {"opencompass_choice", opencompass_choice<opencompass_capital>, Across::kBest, false,
     "the first capital of any kind (OpenCompass L-Eval)", ""},
    {"opencompass_choices", opencompass_choice<opencompass_capitals>, Across::kBest, false,
     "the first run of letters A-D (OpenCompass L-Eval coursera)", ""},
    {"opencompass_gsm", opencompass_gsm, Across::kBest, false,
     "all digits of the number behind \"The answer is\"; 18.00 is 1800 (OpenCompass L-Eval)",
     "digits up to the point"},
    {"opencompass_topic", opencompass_topic, Across::kBest, false,
     "the reference is in the first line up to a full stop or comma (OpenCompass L-Eval)", ""},
    {"leval_code", leval_code, Across::kBest, false,
     "the reference is among the last words, or those behind \"the final output\" (L-Eval codeU)", ""},
    {"leval_loyalty", leval_judged<false>, Across::kBest, false,
     "true or false, in the story's world (L-Eval sci_fi)", ""},
    {"leval_fact", leval_judged<true>, Across::kBest, false, "true or false, in ours (L-Eval sci_fi)", ""},
    {"longbench2", longbench2_answer, Across::kBest, false,
     "the letter behind \"The correct answer is\" (LongBench v2)", ""},
    {"best_subspan_em", best_subspan_em, Across::kBest, false,
     "the reference is in the first line, both normalised (Lost in the Middle)",
     "leading line feeds are skipped"},
    {"contains", nolima_contains, Across::kBest, false,
     "the reference is in the prediction as it is (NoLiMa)", ""},
    {"mrcr", mrcr, Across::kBest, false,
     "difflib's ratio behind the word to be prepended, 0 without it (MRCR)",
     "frequent characters not ignored"},
    {"bamboo_exact", bamboo_exact, Across::kBest, false,
     "equal, case and full stops at the ends aside (BAMBOO)", ""},
    {"infinitebench_number", infinitebench_number, Across::kBest, false, "the first digits (InfiniteBench)",
     ""},
    {"infinitebench_kv", infinitebench_kv, Across::kBest, false, "one of the words (InfiniteBench)", ""},
    {"infinitebench_find", infinitebench_find, Across::kBest, false, "the first number (InfiniteBench)", ""},
    {"infinitebench_calc", infinitebench_calc, Across::kBest, false,
     "share of the values up to the first wrong one (InfiniteBench)", "signs are read"},
    {"infinitebench_run", infinitebench_run, Across::kBest, false, "the last word (InfiniteBench)", ""},
    {"infinitebench_debug", infinitebench_debug, Across::kBest, false,
     "letter or name behind \"answer is:\" and the like (InfiniteBench)", ""},
    {"infinitebench_choice", infinitebench_choice, Across::kBest, false,
     "the letter at the beginning, behind \"answer is\", or the first (InfiniteBench)", ""},
    {"infinitebench_dialogue", infinitebench_dialogue, Across::kBest, false,
     "the name is one of the words (InfiniteBench)", ""},
};

}  // namespace

std::span<const Metric> metrics() { return kMetrics; }

const Metric& find_metric(std::string_view name) {
  std::vector<std::string> names;
  for (const Metric& metric : kMetrics) {
    if (metric.name == name) return metric;
    names.push_back(metric.name);
  }
  fail("there is no metric {}{}; there are {}", in_quotes(name), meant_name(name, names),
       fmt::join(names, ", "));
}

double score(const Metric& metric, std::string_view prediction, std::span<const std::string> references,
             const MetricInput& input) {
  if (references.empty()) fail("the metric {} has no reference to compare with", metric.name);
  if (metric.needs_segmenter && !input.segmenter) fail("the metric {} needs jieba's dictionary", metric.name);
  std::u32string predicted = code_points(prediction);
  double best = 0, sum = 0;
  for (const std::string& reference : references) {
    double one = metric.score(predicted, code_points(reference), input);
    best = std::max(best, one);
    sum += one;
  }
  return metric.across == Across::kBest ? best : sum / double(references.size());
}

std::string_view first_line(std::string_view prediction) {
  prediction.remove_prefix(std::min(prediction.find_first_not_of('\n'), prediction.size()));
  return prediction.substr(0, prediction.find('\n'));
}

}  // namespace longspan
