// From results to figures: scores of tasks, categories, lengths and depths with their confidence intervals,
// and whether one run is better than another. Nothing here depends on time or order: a run that was killed
// and resumed gives the same summary.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "eval/results.h"

namespace longspan {

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

/// The score of one case under the run's scoring: its first metric, or what the task combines; loss: mean
/// nll.
double case_score(const CaseResult& result, const Json& task, const std::string& scoring);

/// {"suite", "dialect", "scoring", "score", "unit" ("%" or "nats"), "low", "high", "cases", "planned",
///  "complete", "warnings": {cut, stopped_by_length, empty},
///  "tasks": [{name, category, metric, n, planned, score, low, high, unit, compat, clean, by, ...}],
///  "categories": [..], "by": {"length": [{value, n, score, low, high}], "depth": [..], ...},
///  "grids": [{task, of: {} or {FIELD: value}, across ("length" or "lines"), lengths, depths,
///             cells: [[{score, n} or null]], a row for each depth}],
///  "curve": [{task, length, points: [[first, last, nats a token, tokens]]}] (losses),
///  "known": [{model, task, length, score, source}], "settings",
///  "cost": {tokens, read_tokens, reuse, seconds}}
/// Scores of answers are in per cent. Score: mean of the categories' means; loss: nll of all counted tokens,
/// and "perplexity", "bits_per_byte" beside it; of a suite of both the losses stand under "loss".
Json summarise(const RunResults& run);

/// A table for a terminal.
std::string summary_table(const Json& summary);

/// Two runs of a suite, paired by case: {"suite", "a", "b" (folders), "pairs", "only_a", "only_b", "unit",
/// "change", "low", "high", "p", "verdict", "all": {n, a, b, change, ...}, "loss" (of a suite of both),
/// "tasks": [{name, n, a, b, unit, change, low, high, p, verdict}], "by": {..}, "settings": [{key, a, b}]}.
/// verdict: "better", "worse", "noise" (the interval holds 0, or p > 0.05). Losses are in bits a byte when
/// the runs count the tokens of a case differently. Error when the suites differ or no case is in both.
Json compare_runs(const RunResults& a, const RunResults& b);
std::string diff_table(const Json& diff);

}  // namespace longspan
