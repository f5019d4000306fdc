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

/// 0, 1, .. n-1: the draw that is the sample itself.
std::vector<uint32_t> every_row(std::span<const size_t> strata);

}  // namespace longspan
