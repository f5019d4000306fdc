// The statistics behind every interval and verdict: Wilson's interval (1927), the percentile bootstrap (Efron
// 1979), for few cases Newcombe's interval (1998) and Student's t, and the paired permutation test. Seeds are
// fixed: the same results give the same figures on every machine.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace longspan {

struct Interval {
  double low = 0, high = 0;
};

/// 95 % interval of a proportion `p` observed in n trials; n > 0 need not be an integer (the effective number
/// of weighted trials).
Interval wilson(double p, double n);

/// Quantile 0.975 of Student's t distribution with `df` > 0 degrees of freedom, to 1e-3: half the width of a
/// 95 % interval in standard errors.
double student975(int64_t df);

/// 95 % interval of p2 - p1, two proportions of the same n cases (n need not be an integer), of which the
/// share `both` succeeded twice: Newcombe's hybrid of two Wilson intervals with the correlation of the pairs
/// (1998, method 10). Unlike a bootstrap it does not shrink to nothing when few pairs agree by chance.
Interval newcombe(double p1, double p2, double both, double n);

/// Whether every score is 0 or 1.
bool zero_or_one(std::span<const double> scores);

/// Percentiles 2.5 and 97.5 of `statistic` over 2,000 draws. `strata`: the number of cases in each stratum. A
/// draw holds one row of the own stratum for each case (0 <= row < size), stratum after stratum.
Interval bootstrap(std::span<const size_t> strata,
                   const std::function<double(std::span<const uint32_t>)>& statistic);

/// Share of the ways to flip n signs (0: kept, 1: flipped) whose statistic is at least as far from 0 as
/// without flips: all 2^n up to n = 13, else 10,000 random ones and the one without flips.
double permutation_p(size_t n, const std::function<double(std::span<const uint8_t>)>& statistic);

/// A mean with its 95 % confidence interval.
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

/// 0, 1, .. n-1 of each stratum: the draw that is the sample itself.
std::vector<uint32_t> every_row(std::span<const size_t> strata);

}  // namespace longspan
