#include "position/laws.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <numbers>
#include <vector>

namespace longspan {

namespace {

constexpr double kTurn = 2 * std::numbers::pi;

const ChosenBase kChosen[] = {
    {"XVERSE-13B-256K, stage at 32K", 128, 32768, 500000},
    {"Index-1.9B-32K", 128, 32768, 320000},
    {"Llama 3", 128, 8192, 500000},
    {"Aquila2-34B (June 2024)", 128, 8192, 1000000},
    {"ProLong at 64K", 128, 65536, 8e6},
    {"ProLong at 512K", 128, 524288, 1.28e8},
};

/// B(m) for consecutive m, eight at a time so that the compiler vectorises the sum; angles advance by
/// rotation, which stays accurate to 12 digits over a million steps.
class Walk {
 public:
  static constexpr int64_t kBlock = 8;
  using Block = std::array<double, kBlock>;

  Walk(int64_t d, double base, int64_t from) {
    for (int64_t i = 0; i < d / 2; ++i) {
      double theta = std::pow(base, -2.0 * static_cast<double>(i) / static_cast<double>(d));
      Pair pair{.turn_cos = std::cos(kBlock * theta), .turn_sin = std::sin(kBlock * theta)};
      for (size_t k = 0; k < kBlock; ++k) {
        double angle = theta * static_cast<double>(from + static_cast<int64_t>(k));
        pair.cos[k] = std::cos(angle), pair.sin[k] = std::sin(angle);
      }
      pairs_.push_back(pair);
    }
  }

  /// B of the next kBlock distances.
  Block next() {
    Block sum{};
    for (Pair& p : pairs_)
      for (size_t k = 0; k < kBlock; ++k) {
        sum[k] += p.cos[k];
        double turned = p.cos[k] * p.turn_cos - p.sin[k] * p.turn_sin;
        p.sin[k] = p.sin[k] * p.turn_cos + p.cos[k] * p.turn_sin;
        p.cos[k] = turned;
      }
    return sum;
  }

 private:
  struct Pair {
    double turn_cos, turn_sin;
    Block cos{}, sin{};
  };
  std::vector<Pair> pairs_;
};

/// The first distance in [from, to] with B < 0; -1 when there is none.
int64_t first_negative(int64_t d, double base, int64_t from, int64_t to) {
  Walk walk(d, base, from);
  for (int64_t m = from; m <= to; m += Walk::kBlock) {
    Walk::Block block = walk.next();
    for (int64_t k = 0; k < Walk::kBlock && m + k <= to; ++k)
      if (block[static_cast<size_t>(k)] < 0) return m + k;
  }
  return -1;
}

}  // namespace

int64_t critical_dimension(int64_t d, double base, double trained) {
  if (trained <= kTurn) return 0;
  double pairs = static_cast<double>(d) / 2 * std::log(trained / kTurn) / std::log(base);
  return static_cast<int64_t>(std::min(static_cast<double>(d), 2 * std::ceil(pairs)));
}

double extrapolation_limit(int64_t d, int64_t critical, double base) {
  return kTurn * std::pow(base, static_cast<double>(critical) / static_cast<double>(d));
}

double base_for_limit(int64_t d, int64_t critical, double target) {
  assert(critical > 0);
  return std::pow(target / kTurn, static_cast<double>(d) / static_cast<double>(critical));
}

double similar_token_preference(int64_t d, double base, double distance) {
  double sum = 0;
  for (int64_t i = 0; i < d / 2; ++i)
    sum += std::cos(distance * std::pow(base, -2.0 * static_cast<double>(i) / static_cast<double>(d)));
  return sum;
}

double smallest_base(int64_t d, int64_t target) {
  constexpr double kLargest = 1e18;
  if (target > kLongestBound) return 0;
  // The fit is for d = 128; at 64 the bound is five times higher, at 256 somewhat lower.
  double base = std::max(2.0, fitted_smallest_base(static_cast<double>(target)) / 50);
  const double step = target <= 65536 ? 1.0005 : 1.002;
  // The distance that rules out one base usually rules out the next one too, a little further out: looking
  // there first makes most of the search cheap.
  int64_t forbidding = -1;
  for (; base < kLargest; base *= step) {
    int64_t at = -1;
    if (forbidding >= 0)
      at = first_negative(d, base, forbidding - forbidding / 32,
                          std::min(target, forbidding + forbidding / 16));
    if (at < 0) at = first_negative(d, base, 0, target);
    if (at < 0) return base;
    forbidding = at;
  }
  return 0;
}

double fitted_smallest_base(double target) { return 0.0424 * std::pow(target, 1.628); }

std::span<const ChosenBase> chosen_bases() { return kChosen; }

}  // namespace longspan
