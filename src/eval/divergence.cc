#include "eval/divergence.h"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "base/error.h"
#include "base/threads.h"

namespace longspan {

namespace {

/// Rows whose logits are kept at once, of both sequences.
constexpr size_t kRows = 128;

struct LogSum {
  size_t likeliest;
  double log_sum;
};

LogSum log_sum(std::span<const float> logits) {
  auto most = std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (float x : logits) sum += std::exp(static_cast<double>(x) - *most);
  return {static_cast<size_t>(most - logits.begin()), *most + std::log(sum)};
}

TokenDivergence divergence(std::span<const float> base, std::span<const float> other, size_t next) {
  LogSum p = log_sum(base), q = log_sum(other);
  double kl = 0;
  for (size_t i = 0; i < base.size(); ++i) {
    double log_p = base[i] - p.log_sum;
    if (double share = std::exp(log_p); share > 0) kl += share * (log_p - (other[i] - q.log_sum));
  }
  return {.kl = static_cast<float>(std::max(kl, 0.0)),
          .base_logprob = static_cast<float>(base[next] - p.log_sum),
          .logprob = static_cast<float>(other[next] - q.log_sum),
          .same_likeliest = p.likeliest == q.likeliest};
}

/// Mean of n values with these sums, and its standard error.
struct Mean {
  double sum = 0, squares = 0;
  void add(double x) { sum += x, squares += x * x; }
  double mean(double n) const { return sum / n; }
  double error(double n) const {
    return n < 2 ? 0 : std::sqrt(std::max(0.0, squares / n - mean(n) * mean(n)) / (n - 1));
  }
};

}  // namespace

bool diverge(Sequence& base, Sequence& other, std::span<const int32_t> ids, size_t from,
             std::vector<TokenDivergence>& out, const Progress& progress) {
  assert(from >= 1 && from < ids.size() && base.ids().empty() && other.ids().empty());
  auto total = std::ssize(ids);
  // The logits after token from - 1 are the first that count.
  for (size_t at = 0; at + 1 < ids.size();) {
    bool counts = at + 1 >= from;
    auto chunk = static_cast<size_t>(std::min(base.chunk(), other.chunk()));
    size_t rows = counts ? std::min(kRows, ids.size() - 1 - at) : std::min(chunk, from - 1 - at);
    auto part = ids.subspan(at, rows);
    for (Sequence* sequence : {&base, &other}) {
      if (counts)
        sequence->feed_each(part);
      else
        sequence->read_on(part);
    }
    if (counts) {
      if (base.logits().size() != other.logits().size())
        fail("vocabularies of {} and {} tokens cannot be compared; give two models with one tokenizer",
             base.logits().size(), other.logits().size());
      size_t first = out.size();
      out.resize(first + rows);
      parallel_for(std::ssize(part), [&](int64_t i) {
        size_t place = at + static_cast<size_t>(i) + 1;
        out[first + static_cast<size_t>(i)] =
            divergence(base.logits_after(place), other.logits_after(place), static_cast<size_t>(ids[place]));
      });
    }
    at += rows;
    if (progress && !progress(static_cast<int64_t>(at) + 1, total)) return false;
  }
  return true;
}

DivergenceSummary summarise(std::span<const TokenDivergence> tokens) {
  assert(!tokens.empty());
  DivergenceSummary s;
  s.tokens = std::ssize(tokens);
  auto n = static_cast<double>(s.tokens);
  Mean kl, change;
  double squares = 0;
  int64_t same = 0;
  std::vector<float> sorted;
  for (const TokenDivergence& t : tokens) {
    kl.add(t.kl);
    change.add(static_cast<double>(t.base_logprob) - t.logprob);
    s.base_nll -= t.base_logprob / n;
    s.nll -= t.logprob / n;
    same += t.same_likeliest;
    double difference =
        std::exp(static_cast<double>(t.logprob)) - std::exp(static_cast<double>(t.base_logprob));
    squares += difference * difference;
    sorted.push_back(t.kl);
  }
  std::sort(sorted.begin(), sorted.end());
  auto quantile = [&](double q) {
    return static_cast<double>(sorted[static_cast<size_t>(q * static_cast<double>(sorted.size() - 1))]);
  };
  s.same_likeliest = static_cast<double>(same) / n;
  s.kl = kl.mean(n), s.kl_error = kl.error(n);
  s.nll_change = change.mean(n), s.nll_error = change.error(n);
  s.kl_median = quantile(0.5), s.kl_99 = quantile(0.99), s.kl_most = sorted.back();
  s.probability_rms = std::sqrt(squares / n);
  return s;
}

}  // namespace longspan
