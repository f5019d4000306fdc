// Which token comes next in an answer: what the request changes in the logits, what a constraint allows, the
// sampler, and the log-probabilities that are reported.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "generate/sampler.h"
#include "generate/token_constraint.h"
#include "tokenizer/tokenizer.h"

namespace longspan {

struct ChoiceOptions {
  SamplingOptions sampling;
  // Over the tokens of the answer: logit -= frequency_penalty * count + presence_penalty * (count > 0).
  float frequency_penalty = 0, presence_penalty = 0;
  std::vector<std::pair<int32_t, float>> logit_bias = {};  // added to the logits of these tokens
  int logprobs = -1;        // alternatives that are reported beside each token; -1: not even its own
  bool ignore_end = false;  // tokens that end an answer are never drawn
  TokenConstraint constraint = {};
};

/// A token with log p, natural, of the model's own distribution: before penalties and temperature.
struct ScoredToken {
  int32_t id = -1;
  float logprob = 0;
  std::vector<std::pair<int32_t, float>> top = {};  // the likeliest, with theirs, best first
};

/// `id` with its log-probability and those of the `top` likeliest tokens (equal ones: lower id first).
ScoredToken scored(std::span<const float> logits, int32_t id, int top);

class TokenChooser {
 public:
  TokenChooser(ChoiceOptions options, const Tokenizer& tokenizer);

  /// From logits [V], which are changed in place. history = prompt and answer so far.
  /// Error when the constraint allows no token.
  ScoredToken choose(std::span<float> logits, std::span<const int32_t> history);
  /// The answer goes on with that token.
  void accept(int32_t id);
  const ChoiceOptions& options() const { return options_; }

 private:
  ChoiceOptions options_;
  Sampler sampler_;
  size_t vocabulary_;
  std::vector<int32_t> ends_;
  std::unordered_map<int32_t, int32_t> counts_;
  std::vector<uint8_t> allowed_;
};

}  // namespace longspan
