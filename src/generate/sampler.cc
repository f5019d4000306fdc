#include "generate/sampler.h"

#include <algorithm>
#include <cmath>
#include <set>

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

void penalise(std::span<float> logits, std::span<const int32_t> seen, float penalty) {
  for (int32_t id : seen) {
    if (static_cast<size_t>(id) >= logits.size()) continue;  // a row of the embedding that is no token's
    float& x = logits[static_cast<size_t>(id)];
    x = x < 0 ? x * penalty : x / penalty;
  }
}

/// Of numbers without NaN; -inf of none. In lanes, since the order of a plain loop forbids vectors.
float largest(std::span<const float> x) {
  constexpr size_t kLanes = 16;
  float lanes[kLanes], top = -INFINITY;
  std::fill(lanes, lanes + kLanes, -INFINITY);
  size_t whole = x.size() / kLanes * kLanes;
  for (size_t i = 0; i < whole; i += kLanes)
    for (size_t j = 0; j < kLanes; ++j) lanes[j] = x[i + j] > lanes[j] ? x[i + j] : lanes[j];
  for (float lane : lanes) top = std::max(top, lane);
  for (size_t i = whole; i < x.size(); ++i) top = x[i] > top ? x[i] : top;
  return top;
}

/// The first of the largest that is not NaN; the last where all are.
int32_t argmax(std::span<const float> logits) {
  auto found = std::find(logits.begin(), logits.end(), largest(logits));
  return static_cast<int32_t>(found != logits.end() ? found - logits.begin() : std::ssize(logits) - 1);
}

/// The tokens that may be drawn, in order as far as anyone asked: of a vocabulary only the head matters, and
/// sorting all of it would take longer than many a pass.
class Candidates {
 public:
  Candidates(std::span<const float> logits, const SamplingOptions& o) {
    all_.reserve(logits.size());
    for (size_t i = 0; i < logits.size(); ++i)
      if (logits[i] > -INFINITY) all_.push_back({logits[i] / o.temperature, static_cast<int32_t>(i)});
    if (all_.empty()) all_.push_back({0, 0});
    if (o.top_k > 0 && static_cast<size_t>(o.top_k) < all_.size()) {
      sort_to(static_cast<size_t>(o.top_k));
      all_.resize(static_cast<size_t>(o.top_k));
    }
    count_total();
    if (o.top_p < 1) keep_top_p(o.top_p);
    if (o.min_p > 0) keep_min_p(o.min_p);
  }

  size_t size() const { return all_.size(); }
  int32_t id(size_t i) {
    sort_to(i + 1);
    return all_[i].id;
  }
  double probability(size_t i) { return weight(i) / total_; }

 private:
  /// Relative to that of the most probable.
  double weight(size_t i) {
    sort_to(i + 1);
    return std::exp(static_cast<double>(all_[i].logit) - all_[0].logit);
  }
  /// Makes the first n those that they will be when all are sorted.
  void sort_to(size_t n) {
    if (n <= sorted_) return;
    auto at = [&](size_t i) { return all_.begin() + static_cast<ptrdiff_t>(i); };
    size_t end = std::min(all_.size(), std::max(n, std::max<size_t>(64, 4 * sorted_)));
    if (end < all_.size()) std::nth_element(at(sorted_), at(end), all_.end(), before);
    std::sort(at(sorted_), at(end), before);
    sorted_ = end;
  }
  void count_total() {
    sort_to(1);
    total_ = 0;
    for (const Candidate& c : all_) total_ += std::exp(static_cast<double>(c.logit) - all_[0].logit);
  }
  void keep(size_t n) {
    all_.resize(n);
    sorted_ = std::min(sorted_, n);
    count_total();
  }
  /// The shortest beginning whose probability reaches top_p.
  void keep_top_p(float top_p) {
    double sum = 0;
    size_t n = 0;
    while (n < size() && sum < top_p) sum += probability(n++);
    keep(std::max<size_t>(1, n));
  }
  void keep_min_p(float min_p) {
    size_t n = 1;
    while (n < size() && weight(n) >= min_p) ++n;
    keep(n);
  }

  std::vector<Candidate> all_;
  size_t sorted_ = 0;  // of them at their places
  double total_ = 0;   // of the weights
};

bool greedy(const SamplingOptions& o) { return o.temperature == 0 || o.top_k == 1; }

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
  if (options.repetition_penalty != 1.0f) {
    std::set<int32_t> seen(history.begin(), history.end());
    penalise(logits, std::vector<int32_t>(seen.begin(), seen.end()), options.repetition_penalty);
  }
  if (greedy(options)) return {{argmax(logits), 1.0}};
  Candidates candidates(logits, options);
  std::vector<TokenProbability> kept;
  for (size_t i = 0; i < candidates.size(); ++i)
    kept.push_back({candidates.id(i), candidates.probability(i)});
  return kept;
}

void Sampler::see(std::span<const int32_t> history) {
  for (int32_t id : history.subspan(std::min(known_, history.size())))
    if (is_seen_.insert(id).second) seen_.push_back(id);
  known_ = std::max(known_, history.size());
}

int32_t Sampler::sample(std::span<float> logits, std::span<const int32_t> history) {
  if (options_.repetition_penalty != 1.0f) {
    see(history);
    penalise(logits, seen_, options_.repetition_penalty);
  }
  if (greedy(options_)) return argmax(logits);
  Candidates candidates(logits, options_);
  if (candidates.size() == 1) return candidates.id(0);
  double u = random_.uniform(), sum = 0;
  for (size_t i = 0; i < candidates.size(); ++i)
    if ((sum += candidates.probability(i)) > u) return candidates.id(i);
  return candidates.id(candidates.size() - 1);
}

}  // namespace longspan
