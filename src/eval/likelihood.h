// What a model gives given text: the loss of a window, and which of several continuations is the likeliest.
// Fields are those of runs/results.h.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/json.h"
#include "generate/engine.h"
#include "suites/cases.h"
#include "suites/prompt.h"

namespace longspan {

struct PositionBucket {
  int64_t first = 0, last = 0;  // positions in the window, the same bounds in every window
  double sum = 0;               // of -log p, natural log
  int64_t count = 0;            // tokens counted, > 0
};

/// Tokens at positions from, from + 1, .. (from >= 1) with these log-probabilities, in buckets that begin at
/// 1, 16, 23, 32, 45, 64, ..: their width grows by sqrt(2). Only buckets that received tokens.
std::vector<PositionBucket> position_buckets(std::span<const float> logprobs, int64_t from);

/// Of a Loss case over an empty sequence declared for its ids: prompt_tokens, read_tokens, nll, tokens,
/// bytes, buckets, scores. Null when progress asked to stop.
Json run_loss(Sequence& sequence, const Engine& engine, const CaseText& text, const Progress& progress);

/// Tokens that a sequence needs for a Choice case behind its prompt, at most.
int64_t choice_room(const Tokenizer& tokenizer, const CaseText& text);

/// Of a Choice case: prompt_tokens, read_tokens, logprobs, bytes, correct, scores. The sequence keeps what it
/// shares with the prompt and is left holding the prompt's beginning. Choices are read together with the
/// prompt, for a tokenizer may join across the seam; ids behind what all of them share with the prompt count.
/// The choice taken, the earlier one of equals, is that of the largest
///   accuracy           log p(choice | prompt)
///   accuracy_per_byte  log p(choice | prompt) / bytes
///   accuracy_gain      log p(choice | prompt) - log p(choice | neutral prompt): what the prompt adds,
///   however
///                      likely a choice is by itself (Brown et al. 2020, arXiv 2005.14165, section 2.4);
///                      where the case has a neutral prompt, and neutral_logprobs with it
/// Null when progress asked to stop. Error when the prompt has no token before the seam.
Json run_choice(Sequence& sequence, const Engine& engine, const Prompt& prompt, const CaseText& text,
                const Progress& progress);

}  // namespace longspan
