// Learning rates of a stage.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace longspan {

enum class Decay { Constant, Linear, Cosine, Wsd };
/// "constant", "linear", "cosine", "wsd".
std::vector<const char*> decay_names();
/// Requires that it is one of these.
Decay decay_named(std::string_view name);

/// Warms up from 0 in `warmup` steps (step 1 has lr / warmup), then decays to lr * final at the last step.
/// WSD (warm-up, stable, decay; Hu 2024, arXiv 2404.06395) holds lr, then falls linearly during the last
/// `decay_share` of the steps.
struct Schedule {
  double lr = 0;
  int64_t warmup = 0, steps = 0;
  Decay decay = Decay::Cosine;
  double final = 0.1;
  double decay_share = 0.1;
};
/// 1 <= step <= steps.
double learning_rate(const Schedule& schedule, int64_t step);

}  // namespace longspan
