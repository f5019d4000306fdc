#include "generate/sampler.h"

#include <algorithm>
#include <cmath>
#include <unordered_set>

#include "base/error.h"

namespace longspan {

namespace {

struct Candidate {
  float logit;
  int32_t id;
};

/// Larger logit first; equal logits by id, so that a seed gives one answer on every machine.
bool before(const Candidate& a, const Candidate& b) {
  return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
}

void penalise(std::span<float> logits, std::span<const int32_t> history, float penalty) {
  std::unordered_set<int32_t> seen(history.begin(), history.end());
  for (int32_t id : seen) {
    if (static_cast<size_t>(id) >= logits.size()) continue;  // a row of the embedding that is no token's
    float& x = logits[static_cast<size_t>(id)];
    x = x < 0 ? x * penalty : x / penalty;
  }
}

int32_t argmax(std::span<const float> logits) {
  size_t best = 0;
  for (size_t i = 1; i < logits.size(); ++i)
    if (logits[i] > logits[best] || std::isnan(logits[best])) best = i;
  return static_cast<int32_t>(best);
}

/// Probabilities of the candidates, which are sorted.
std::vector<double> softmax(const std::vector<Candidate>& candidates) {
  std::vector<double> p(candidates.size());
  double sum = 0;
  for (size_t i = 0; i < p.size(); ++i)
    sum += p[i] = std::exp(static_cast<double>(candidates[i].logit) - candidates[0].logit);
  for (double& x : p) x /= sum;
  return p;
}

/// Keeps the shortest beginning of the sorted candidates whose probability reaches top_p.
void keep_top_p(std::vector<Candidate>& candidates, float top_p) {
  std::vector<double> p = softmax(candidates);
  double sum = 0;
  size_t keep = 0;
  while (keep < p.size() && sum < top_p) sum += p[keep++];
  candidates.resize(std::max<size_t>(1, keep));
}

void keep_min_p(std::vector<Candidate>& candidates, float min_p) {
  std::vector<double> p = softmax(candidates);
  size_t keep = 1;
  while (keep < p.size() && p[keep] >= min_p * p[0]) ++keep;
  candidates.resize(keep);
}

}  // namespace

void check_sampling(const SamplingOptions& o) {
  if (!(o.temperature >= 0)) fail("--temperature {}: must be 0 (greedy) or more", o.temperature);
  if (o.top_k < 0) fail("--top-k {}: must be 0 (off) or more", o.top_k);
  if (!(o.top_p > 0 && o.top_p <= 1)) fail("--top-p {}: must be above 0 and at most 1 (off)", o.top_p);
  if (!(o.min_p >= 0 && o.min_p <= 1)) fail("--min-p {}: must be from 0 (off) to 1", o.min_p);
  if (!(o.repetition_penalty > 0))
    fail("--repetition-penalty {}: must be above 0; 1 is off", o.repetition_penalty);
}

Sampler::Sampler(const SamplingOptions& options) : options_(options), random_(options.seed) {
  check_sampling(options);
}

std::vector<TokenProbability> distribution(std::span<float> logits, std::span<const int32_t> history,
                                           const SamplingOptions& options) {
  if (options.repetition_penalty != 1.0f) penalise(logits, history, options.repetition_penalty);
  if (options.temperature == 0 || options.top_k == 1) return {{argmax(logits), 1.0}};

  std::vector<Candidate> candidates;
  candidates.reserve(logits.size());
  for (size_t i = 0; i < logits.size(); ++i)
    if (!std::isnan(logits[i]))
      candidates.push_back({logits[i] / options.temperature, static_cast<int32_t>(i)});
  if (candidates.empty()) return {{0, 1.0}};

  if (options.top_k > 0 && static_cast<size_t>(options.top_k) < candidates.size()) {
    std::nth_element(candidates.begin(), candidates.begin() + options.top_k, candidates.end(), before);
    candidates.resize(static_cast<size_t>(options.top_k));
  }
  std::sort(candidates.begin(), candidates.end(), before);
  if (options.top_p < 1) keep_top_p(candidates, options.top_p);
  if (options.min_p > 0) keep_min_p(candidates, options.min_p);

  std::vector<double> p = softmax(candidates);
  std::vector<TokenProbability> kept(candidates.size());
  for (size_t i = 0; i < kept.size(); ++i) kept[i] = {candidates[i].id, p[i]};
  return kept;
}

int32_t Sampler::sample(std::span<float> logits, std::span<const int32_t> history) {
  std::vector<TokenProbability> kept = distribution(logits, history, options_);
  if (kept.size() == 1) return kept[0].id;
  double u = random_.uniform(), sum = 0;
  for (const TokenProbability& token : kept)
    if ((sum += token.probability) > u) return token.id;
  return kept.back().id;
}

}  // namespace longspan
