// Sampling: greedy, temperature, top-k, top-p (Holtzman 2020), min-p (Nguyen 2024), repetition penalty
// (Keskar 2019), in transformers' order: penalty, temperature, top-k, top-p, min-p. Seeded.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <unordered_set>
#include <vector>

#include "base/random.h"
#include "grammar/network.h"

namespace longspan {

struct SamplingOptions {
  float temperature = 0.0f;         // 0: greedy
  int top_k = 0;                    // 0: off
  float top_p = 1.0f;               // 1: off
  float min_p = 0.0f;               // 0: off
  float repetition_penalty = 1.0f;  // 1: off; over prompt and answer, as in transformers
  uint64_t seed = 0;
  std::vector<std::string> stop;  // the answer ends before the first of these
  // What the answer follows; null: it is free. Other tokens are taken out before all filters, so that the
  // Sampler itself does not look at it.
  std::shared_ptr<const Grammar> grammar = {};
};

/// Error with the option's name when a value is out of range.
void check_sampling(const SamplingOptions& options);

struct TokenProbability {
  int32_t id;
  double probability;
};

/// The distribution that is drawn from: the tokens that survive, most probable first (equal logits: lower id
/// first, so that a seed gives one answer everywhere), probabilities summing to 1. Greedy keeps one. logits
/// [V] are changed in place; NaN and -inf never survive unless nothing else is there.
std::vector<TokenProbability> distribution(std::span<float> logits, std::span<const int32_t> history,
                                           const SamplingOptions& options);

class Sampler {
 public:
  explicit Sampler(const SamplingOptions& options);
  /// Next id from logits [V], which are changed in place; `history` is prompt plus answer so far: from call
  /// to call it only grows.
  int32_t sample(std::span<float> logits, std::span<const int32_t> history);

 private:
  void see(std::span<const int32_t> history);

  SamplingOptions options_;
  Random random_;
  // Of the history, for the penalty: its tokens, each once, and how much of it has been looked at.
  std::vector<int32_t> seen_;
  std::unordered_set<int32_t> is_seen_;
  size_t known_ = 0;
};

}  // namespace longspan
