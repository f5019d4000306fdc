// Likelihoods of given text: the loss of a window, and which of several continuations is the most likely.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "eval/case_result.h"
#include "generate/sequence.h"
#include "suites/cases.h"
#include "suites/prompt.h"

namespace longspan {

/// Tokens at positions from, from + 1, .. (from >= 1) with these log-probabilities, in buckets that begin at
/// 1, 16, 23, 32, 45, 64, ..: each sqrt(2) times as wide as the last. Empty buckets are omitted.
std::vector<PositionBucket> position_buckets(std::span<const float> logprobs, int64_t from);

/// Fields of CaseResult.
struct WindowLoss {
  double nll = 0;
  int64_t tokens = 0, bytes = 0;
  std::vector<PositionBucket> buckets;
  // Set by the responder: the whole time, and its part that went into the logits of scored tokens.
  double seconds = 0, head_seconds = 0;
};

/// Runs a Loss case on an empty sequence declared for its ids. Nothing when progress asked to stop.
std::optional<WindowLoss> run_loss(Sequence& sequence, const Engine& engine, const CaseText& text,
                                   const Progress& progress);

/// The most tokens that a Choice case adds to its prompt.
int64_t choice_room(const Tokenizer& tokenizer, const CaseText& text);

/// Fields of CaseResult.
struct ChoiceScores {
  int64_t read_tokens = 0;
  std::vector<double> logprobs, neutral_logprobs;
  std::vector<MetricScore> scores;
  double seconds = 0;  // set by the responder
};

/// Runs a Choice case. The sequence keeps what it shares with the prompt, and holds the beginning of the
/// prompt afterwards. Choices are tokenised together with the prompt, because a tokenizer may merge across
/// the seam; the ids after the part that all of them share with the prompt are scored. The choice taken (the
/// first of equal ones) has the largest
///   accuracy           log p(choice | prompt)
///   accuracy_per_byte  log p(choice | prompt) / bytes
///   accuracy_gain      log p(choice | prompt) - log p(choice | neutral prompt): what the prompt adds,
///   however
///                      likely the choice is by itself (Brown et al. 2020, arXiv 2005.14165, section 2.4);
///                      only where the case has a neutral prompt
/// Nothing when progress asked to stop. Error when the prompt has no token before the seam.
std::optional<ChoiceScores> run_choice(Sequence& sequence, const Engine& engine, const Prompt& prompt,
                                       const CaseText& text, const Progress& progress);

}  // namespace longspan
