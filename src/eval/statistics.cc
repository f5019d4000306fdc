#include "eval/statistics.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <numeric>

#include "base/random.h"

namespace longspan {

namespace {

constexpr double kNormal975 = 1.959963984540054;  // quantile of the normal distribution
constexpr int kDraws = 2000, kFlips = 10000;
constexpr size_t kMostExact = 13;
constexpr uint64_t kSeed = 20240501;

/// Between the two nearest of sorted values.
double quantile(const std::vector<double>& sorted, double q) {
  double at = q * static_cast<double>(sorted.size() - 1);
  auto below = static_cast<size_t>(at);
  size_t above = std::min(below + 1, sorted.size() - 1);
  return std::lerp(sorted[below], sorted[above], at - static_cast<double>(below));
}

double mean_of(std::span<const double> x) {
  return std::accumulate(x.begin(), x.end(), 0.0) / static_cast<double>(x.size());
}

}  // namespace

Interval wilson(double p, double n) {
  double z2 = kNormal975 * kNormal975;
  double centre = (p + z2 / (2 * n)) / (1 + z2 / n);
  double half = kNormal975 / (1 + z2 / n) * std::sqrt(p * (1 - p) / n + z2 / (4 * n * n));
  return {p == 0 ? 0 : std::max(0.0, centre - half), p == 1 ? 1 : std::min(1.0, centre + half)};
}

double student975(int64_t df) {
  assert(df > 0);
  constexpr double kSmall[] = {12.7062, 4.3027, 3.1824, 2.7764, 2.5706,
                               2.4469,  2.3646, 2.3060, 2.2622, 2.2281};
  if (df <= std::ssize(kSmall)) return kSmall[df - 1];
  // Cornish and Fisher's expansion in 1 / df.
  double z = kNormal975, z2 = z * z, v = static_cast<double>(df);
  return z + z * (z2 + 1) / (4 * v) + z * (5 * z2 * z2 + 16 * z2 + 3) / (96 * v * v) +
         z * (3 * z2 * z2 * z2 + 19 * z2 * z2 + 17 * z2 - 15) / (384 * v * v * v);
}

Interval newcombe(double p1, double p2, double both, double n) {
  Interval one = wilson(p1, n), two = wilson(p2, n);
  double neither = 1 - p1 - p2 + both, excess = both * neither - (p1 - both) * (p2 - both), phi = 0;
  if (double spread = p1 * (1 - p1) * p2 * (1 - p2); spread > 0)
    phi = (excess > 0 ? std::max(excess - 1 / (2 * n), 0.0) : excess) / std::sqrt(spread);
  auto reach = [&](double a, double b) { return std::sqrt(std::max(a * a - 2 * phi * a * b + b * b, 0.0)); };
  return {p2 - p1 - reach(p2 - two.low, one.high - p1), p2 - p1 + reach(two.high - p2, p1 - one.low)};
}

bool zero_or_one(std::span<const double> scores) {
  return std::all_of(scores.begin(), scores.end(), [](double s) { return s == 0 || s == 1; });
}

Interval bootstrap(std::span<const size_t> strata,
                   const std::function<double(std::span<const uint32_t>)>& statistic) {
  std::vector<uint32_t> rows(std::accumulate(strata.begin(), strata.end(), size_t{0}));
  std::vector<double> seen;
  Random random(kSeed);
  for (int draw = 0; draw < kDraws; ++draw) {
    size_t at = 0;
    for (size_t size : strata)
      for (size_t i = 0; i < size; ++i) rows[at++] = static_cast<uint32_t>(random.below(size));
    seen.push_back(statistic(rows));
  }
  std::sort(seen.begin(), seen.end());
  return {quantile(seen, 0.025), quantile(seen, 0.975)};
}

double permutation_p(size_t n, const std::function<double(std::span<const uint8_t>)>& statistic) {
  std::vector<uint8_t> flips(n, 0);
  // Sums of the same numbers in another order differ in their last bits.
  double bar = std::abs(statistic(flips)) * (1 - 1e-9) - 1e-12;
  int64_t far = 0;
  if (n <= kMostExact) {
    for (uint32_t mask = 0; mask < 1u << n; ++mask) {
      for (size_t i = 0; i < n; ++i) flips[i] = mask >> i & 1;
      far += std::abs(statistic(flips)) >= bar;
    }
    return static_cast<double>(far) / static_cast<double>(1u << n);
  }
  Random random(kSeed);
  for (int draw = 0; draw < kFlips; ++draw) {
    for (size_t i = 0; i < n;) {
      uint64_t bits = random.next();
      for (int b = 0; b < 64 && i < n; ++b, ++i) flips[i] = bits >> b & 1;
    }
    far += std::abs(statistic(flips)) >= bar;
  }
  return static_cast<double>(far + 1) / (kFlips + 1);
}

std::vector<uint32_t> every_row(std::span<const size_t> strata) {
  std::vector<uint32_t> rows;
  for (size_t size : strata)
    for (size_t i = 0; i < size; ++i) rows.push_back(static_cast<uint32_t>(i));
  return rows;
}

Estimate estimate(std::span<const double> scores) {
  size_t n = scores.size();
  if (n == 0) return {};
  double mean = mean_of(scores);
  Interval interval = zero_or_one(scores) ? wilson(mean, static_cast<double>(n))
                                          : bootstrap({&n, 1}, [&](std::span<const uint32_t> rows) {
                                              double sum = 0;
                                              for (uint32_t row : rows) sum += scores[row];
                                              return sum / static_cast<double>(n);
                                            });
  return {mean, interval.low, interval.high, static_cast<int64_t>(n)};
}

Difference difference(std::span<const double> a, std::span<const double> b) {
  assert(a.size() == b.size());
  size_t n = a.size();
  if (n == 0) return {};
  std::vector<double> change(n);
  for (size_t i = 0; i < n; ++i) change[i] = b[i] - a[i];
  Interval interval = bootstrap({&n, 1}, [&](std::span<const uint32_t> rows) {
    double sum = 0;
    for (uint32_t row : rows) sum += change[row];
    return sum / static_cast<double>(n);
  });
  double p = permutation_p(n, [&](std::span<const uint8_t> flips) {
    double sum = 0;
    for (size_t i = 0; i < n; ++i) sum += flips[i] ? -change[i] : change[i];
    return sum / static_cast<double>(n);
  });
  return {{mean_of(change), interval.low, interval.high, static_cast<int64_t>(n)}, p};
}

}  // namespace longspan
