// How far the next-token distributions of one engine are from another's over a text: what a quantised cache
// or weight, or another position method, costs. The measures are those of llama.cpp's `--kl-divergence`.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/progress.h"
#include "generate/sequence.h"

namespace longspan {

/// One token of a text. p: the base's distribution before it, q: the other's; natural logarithms.
struct TokenDivergence {
  float kl = 0;                 // sum over the vocabulary of p (log p - log q), never negative
  float base_logprob = 0;       // log p of the token that follows
  float logprob = 0;            // log q of it
  bool same_likeliest = false;  // both find the same token the likeliest
};

/// Feeds ids to both sequences, which are empty and have room for them, and appends one entry for each of
/// ids[from], ids[from + 1], .. (from >= 1). False when progress asked to stop: `out` then holds those
/// computed. Error when the vocabularies differ in size.
bool diverge(Sequence& base, Sequence& other, std::span<const int32_t> ids, size_t from,
             std::vector<TokenDivergence>& out, const Progress& progress = {});

struct DivergenceSummary {
  int64_t tokens = 0;
  double base_nll = 0, nll = 0;          // nats a token
  double nll_change = 0, nll_error = 0;  // mean of the differences, and its standard error
  double kl = 0, kl_error = 0;           // mean, and its standard error
  double kl_median = 0, kl_99 = 0, kl_most = 0;
  double same_likeliest = 0;   // share of the tokens, 0 .. 1
  double probability_rms = 0;  // root mean square of q - p of the token that follows
};
/// Of at least one token.
DivergenceSummary summarise(std::span<const TokenDivergence> tokens);

}  // namespace longspan
