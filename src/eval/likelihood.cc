#include "eval/likelihood.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <numeric>
#include <optional>

#include "base/error.h"

namespace longspan {

namespace {

using Ids = std::vector<int32_t>;

ptrdiff_t common_prefix(std::span<const int32_t> a, std::span<const int32_t> b) {
  return std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin();
}

/// The tokens that precede all choices, and those of each choice after them.
struct Seam {
  Ids prompt;  // not empty
  std::vector<Ids> choices;
};

Seam find_seam(const Tokenizer& tokenizer, const Prompt& prompt, const CaseText& text) {
  // Read as make_prompt did: plain text, or text with its special tokens spelled out.
  EncodeOptions as_read{.add_special = true, .parse_special = false};
  Ids base = tokenizer.encode(prompt.text, as_read);
  if (base != prompt.ids) {
    as_read = {.add_special = false, .parse_special = true};
    base = tokenizer.encode(prompt.text, as_read);
  }
  Seam seam;
  ptrdiff_t shared = std::ssize(base);
  for (const std::string& choice : text.choices) {
    seam.choices.push_back(tokenizer.encode(prompt.text + choice, as_read));
    shared = std::min(shared, common_prefix(base, seam.choices.back()));
  }
  for (Ids& ids : seam.choices) ids.erase(ids.begin(), ids.begin() + shared);
  // The text of a cut prompt may tokenise differently around the cut. Its ids are what was fitted to the
  // window, so only the few ids of the seam are replaced.
  ptrdiff_t kept = std::ssize(prompt.ids) - (std::ssize(base) - shared);
  if (kept < 1) fail("a choice needs a prompt of at least one token before it; give a context or a question");
  seam.prompt.assign(prompt.ids.begin(), prompt.ids.begin() + kept);
  return seam;
}

/// Keeps what the sequence shares with the prompt and returns the number of tokens left to read: at least the
/// last one, which is read again with every choice, since its logits give the probability of the choice's
/// first token.
int64_t keep_shared(Sequence& sequence, const Seam& seam) {
  return std::ssize(seam.prompt) - sequence.keep_prefix(seam.prompt);
}

int64_t tokens_of_choices(const Seam& seam) {
  int64_t tokens = 0;
  for (const Ids& choice : seam.choices) tokens += std::ssize(choice);
  return tokens;
}

/// Log-probability of every choice; empty when progress, which counts tokens, asked to stop.
std::vector<double> sums_behind(Sequence& sequence, const Seam& seam,
                                const std::function<bool(int64_t)>& going) {
  auto before = std::span(seam.prompt).first(seam.prompt.size() - 1);
  int64_t read = keep_shared(sequence, seam), done = 0;
  auto part = [&](int64_t of_step, int64_t) { return going(done + of_step); };
  if (!sequence.feed(before.subspan(sequence.ids().size()), part)) return {};
  done = read - 1;
  std::vector<double> sums;
  for (const Ids& choice : seam.choices) {
    Ids ids = {seam.prompt.back()};
    ids.insert(ids.end(), choice.begin(), choice.end());
    std::vector<float> logprobs;
    sequence.truncate(std::ssize(before));
    if (!sequence.score(ids, logprobs, part)) return {};
    sums.push_back(std::accumulate(logprobs.begin(), logprobs.end(), 0.0));
    done += std::ssize(choice);
  }
  sequence.truncate(std::ssize(before));
  return sums;
}

/// 1 when the largest value (the first of equal ones) is that of the correct choice.
double right(const std::vector<double>& values, size_t correct) {
  return static_cast<size_t>(std::max_element(values.begin(), values.end()) - values.begin()) == correct;
}

Prompt plain_prompt(const Tokenizer& tokenizer, const std::string& text) {
  Prompt prompt;
  prompt.text = text;
  prompt.ids = tokenizer.encode(text, {.add_special = true, .parse_special = false});
  return prompt;
}

/// The same in both scorings: 1 when the largest value is that of the correct choice.
MetricScore score_of(const char* metric, const std::vector<double>& values, size_t correct) {
  double score = right(values, correct);
  return {metric, score, score};
}

}  // namespace

std::vector<PositionBucket> position_buckets(std::span<const float> logprobs, int64_t from) {
  assert(from >= 1);
  constexpr double kFirstBucket = 16;
  std::vector<PositionBucket> buckets;
  int64_t first = 1, at = from, end = from + std::ssize(logprobs);
  for (double edge = kFirstBucket; at < end; edge *= std::sqrt(2.0)) {
    int64_t last = std::lround(edge) - 1;
    PositionBucket bucket{first, last};
    for (; at < end && at <= last; ++at, ++bucket.count)
      bucket.sum -= logprobs[static_cast<size_t>(at - from)];
    if (bucket.count > 0) buckets.push_back(bucket);
    first = last + 1;
  }
  return buckets;
}

std::optional<WindowLoss> run_loss(Sequence& sequence, const Engine& engine, const CaseText& text,
                                   const Progress& progress) {
  assert(text.from >= 1 && text.from < std::ssize(text.ids));
  const int64_t first = text.whole_curve ? 1 : text.from;
  std::vector<float> logprobs;
  if (!sequence.score(text.ids, logprobs, progress, static_cast<size_t>(first))) return std::nullopt;
  std::span<const float> counted = std::span(logprobs).subspan(static_cast<size_t>(text.from - first));
  WindowLoss loss;
  for (float logprob : counted) loss.nll -= logprob;
  loss.tokens = std::ssize(counted);
  for (int32_t id : std::span(text.ids).subspan(static_cast<size_t>(text.from)))
    loss.bytes += std::ssize(engine.tokenizer().token_bytes(id));
  loss.buckets = position_buckets(logprobs, first);
  return loss;
}

int64_t choice_room(const Tokenizer& tokenizer, const CaseText& text) {
  constexpr int64_t kSeam = 8;  // extra tokens that tokenising across the seam may give
  int64_t longest = 0;
  for (const std::string& choice : text.choices)
    longest = std::max(longest, std::ssize(tokenizer.encode(choice, {.add_special = false})));
  return longest + kSeam;
}

std::optional<ChoiceScores> run_choice(Sequence& sequence, const Engine& engine, const Prompt& prompt,
                                       const CaseText& text, const Progress& progress) {
  const Tokenizer& tokenizer = engine.tokenizer();
  const Seam seam = find_seam(tokenizer, prompt, text);
  const int64_t read = keep_shared(sequence, seam), asked = read + tokens_of_choices(seam);
  std::optional<Seam> neutral;
  int64_t total = asked;
  if (!text.neutral.empty()) {
    neutral = find_seam(tokenizer, plain_prompt(tokenizer, text.neutral), text);
    total += std::ssize(neutral->prompt) + tokens_of_choices(*neutral);
  }
  auto going = [&](int64_t done) { return !progress || progress(done, total); };

  const std::vector<double> sums = sums_behind(sequence, seam, going);
  if (sums.empty()) return std::nullopt;
  std::vector<double> per_byte;
  for (size_t k = 0; k < sums.size(); ++k)
    per_byte.push_back(sums[k] / static_cast<double>(std::max<size_t>(1, text.choices[k].size())));
  ChoiceScores result;
  result.read_tokens = read;
  result.logprobs = sums;
  result.scores = {score_of("accuracy", sums, text.correct),
                   score_of("accuracy_per_byte", per_byte, text.correct)};
  if (!neutral) return result;

  Sequence bare(engine, sequence.declared_length());  // `sequence` keeps what it has read
  std::vector<double> gains = sums_behind(bare, *neutral, [&](int64_t done) { return going(asked + done); });
  if (gains.empty()) return std::nullopt;
  result.neutral_logprobs = gains;
  for (size_t k = 0; k < gains.size(); ++k) gains[k] = sums[k] - gains[k];
  result.scores.push_back(score_of("accuracy_gain", gains, text.correct));
  return result;
}

}  // namespace longspan
