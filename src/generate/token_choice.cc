#include "generate/token_choice.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace longspan {

ScoredToken scored(std::span<const float> logits, int32_t id, int top) {
  float most = -INFINITY;
  for (float x : logits) most = x > most ? x : most;
  double sum = 0;
  for (float x : logits)
    if (!std::isnan(x)) sum += std::exp(static_cast<double>(x) - most);
  double log_sum = most + std::log(sum);
  auto log_p = [&](int32_t i) {
    return static_cast<float>(static_cast<double>(logits[static_cast<size_t>(i)]) - log_sum);
  };
  ScoredToken token{.id = id, .logprob = log_p(id)};
  if (top <= 0) return token;
  std::vector<int32_t> order(logits.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int32_t>(i);
  auto kept = order.begin() + std::min<ptrdiff_t>(top, std::ssize(order));
  // NaN counts as the least, so that the order is one.
  auto value = [&](int32_t i) {
    float x = logits[static_cast<size_t>(i)];
    return std::isnan(x) ? -INFINITY : x;
  };
  std::partial_sort(order.begin(), kept, order.end(),
                    [&](int32_t a, int32_t b) { return value(a) != value(b) ? value(a) > value(b) : a < b; });
  for (auto i = order.begin(); i != kept; ++i) token.top.emplace_back(*i, log_p(*i));
  return token;
}

TokenChooser::TokenChooser(ChoiceOptions options, const Tokenizer& tokenizer)
    : options_(std::move(options)),
      sampler_(options_.sampling),
      vocabulary_(static_cast<size_t>(tokenizer.vocab_size())),
      ends_(tokenizer.stop_ids()) {}

ScoredToken TokenChooser::choose(std::span<float> logits, std::span<const int32_t> history) {
  // Padded embeddings have rows that are no token's: they are never drawn. Greedy follows the model, as
  // `generate` does.
  if (options_.sampling.temperature > 0 || options_.constraint)
    logits = logits.first(std::min(logits.size(), vocabulary_));
  std::vector<float> own;
  if (options_.logprobs >= 0) own.assign(logits.begin(), logits.end());
  auto at = [&](int32_t id) -> float* {
    return id >= 0 && static_cast<size_t>(id) < logits.size() ? &logits[static_cast<size_t>(id)] : nullptr;
  };
  for (auto [id, bias] : options_.logit_bias)
    if (float* x = at(id)) *x += bias;
  if (options_.frequency_penalty != 0 || options_.presence_penalty != 0)
    for (auto [id, count] : counts_)
      if (float* x = at(id))
        *x -= options_.frequency_penalty * static_cast<float>(count) + options_.presence_penalty;
  if (options_.ignore_end)
    for (int32_t id : ends_)
      if (float* x = at(id)) *x = -INFINITY;
  if (options_.constraint) {
    allowed_.assign(vocabulary_, 0);
    options_.constraint.allow(allowed_);
    if (std::find(allowed_.begin(), allowed_.end(), 1) == allowed_.end())
      fail("the grammar of the answer allows no further token and no end");
    for (size_t i = 0; i < logits.size(); ++i)
      if (!allowed_[i]) logits[i] = -INFINITY;
  }
  int32_t id = sampler_.sample(logits, history);
  if (options_.logprobs < 0) return {.id = id};
  return scored(own, id, options_.logprobs);
}

void TokenChooser::accept(int32_t id) {
  ++counts_[id];
  if (options_.constraint) options_.constraint.accept(id);
}

}  // namespace longspan
