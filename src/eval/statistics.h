// The three rules behind every interval and verdict: Wilson's interval (1927), the percentile bootstrap
// (Efron 1979) and the paired permutation test. Their random streams have fixed seeds: the same results give
// the same figures on every machine.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace longspan {

struct Interval {
  double low = 0, high = 0;
};

/// 95 % of a share `p` that was seen in n trials; n > 0 need not be whole (the effective number of weighted
/// ones).
Interval wilson(double p, double n);

/// Every score is 0 or 1.
bool zero_or_one(std::span<const double> scores);

/// Percentiles 2.5 and 97.5 of `statistic` over 2,000 draws. `strata`: how many cases each stratum has; a
/// draw holds for each case a row of its own stratum, 0 <= row < size, strata one behind the other.
Interval bootstrap(std::span<const size_t> strata,
                   const std::function<double(std::span<const uint32_t>)>& statistic);

/// Share of the ways to flip n signs (0 kept, 1 flipped) whose statistic is at least as far from 0 as without
/// a flip: all 2^n up to 13, else 10,000 drawn ones and the one without.
double permutation_p(size_t n, const std::function<double(std::span<const uint8_t>)>& statistic);

/// A mean and the interval that holds the true one with 95 %.
struct Estimate {
  double mean = 0, low = 0, high = 0;
  int64_t n = 0;
};
/// Wilson's interval when every score is 0 or 1 (Wilson 1927), else the percentile bootstrap of 2,000 draws
/// (Efron 1979) with a fixed seed; low = high = mean for one score that is neither. n = 0: all zero.
Estimate estimate(std::span<const double> scores);

/// Mean of b - a over pairs with its bootstrap interval, and the share of sign flips of the differences that
/// give a mean at least as far from 0 (paired permutation test, 10,000 draws; exact up to 13 pairs).
struct Difference {
  Estimate change;
  double p = 1;
};
Difference difference(std::span<const double> a, std::span<const double> b);

/// 0, 1, .. n-1: the draw that is the sample itself.
std::vector<uint32_t> every_row(std::span<const size_t> strata);

}  // namespace longspan
