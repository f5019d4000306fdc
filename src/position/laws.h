// Two published laws for the rotary base that a window requires, and the bases that authors of long-context
// models chose. d: dimensions that rotate, T: trained window, N: target window, tokens.
#pragma once

#include <cstdint>
#include <span>

namespace longspan {

/// Dimensions whose frequencies completed a full turn in training: 2 ceil(d/2 log_base(T / 2 pi)), at most d.
/// Liu et al. 2023, "Scaling laws of RoPE-based extrapolation", arXiv 2310.05209.
int64_t critical_dimension(int64_t d, double base, double trained);

/// The length up to which the critical dimension stays within the angles seen in training: 2 pi
/// base^(critical / d) tokens. Same paper.
double extrapolation_limit(int64_t d, int64_t critical, double base);

/// The base whose extrapolation limit is N: (N / 2 pi)^(d / critical).
double base_for_limit(int64_t d, int64_t critical, double target);

/// Smallest base under which B(m) = sum_i cos(m base^(-2i/d)) >= 0 for all distances 0 <= m <= N: with a
/// smaller base, attention prefers a random token to a similar one at some distance. Xu et al. 2024, "Base of
/// RoPE bounds context length", arXiv 2405.14591. Found on a grid of bases 0.05 % apart (0.2 % beyond 64K). 0
/// for windows beyond kLongestBound, where the search would take too long.
double smallest_base(int64_t d, int64_t target);
constexpr int64_t kLongestBound = int64_t{1} << 20;
/// B(m) of that law at one distance.
double similar_token_preference(int64_t d, double base, double distance);

/// The paper's fit of that bound for d = 128: 0.0424 N^1.628.
double fitted_smallest_base(double target);

/// A base that a published model was trained with, and the window it was trained for.
struct ChosenBase {
  const char* model;
  int64_t head_dim;
  int64_t window;
  double base;
};
std::span<const ChosenBase> chosen_bases();

}  // namespace longspan
