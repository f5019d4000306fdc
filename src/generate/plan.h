// `longspan plan`: what it takes to stretch a model to a window of N tokens: base, method, training, memory.
// Every figure is a formula of the model's own numbers or a measurement or choice that somebody published,
// named beside it; nothing is scaled by rule of thumb.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "generate/memory_plan.h"

namespace longspan {

/// Bases that the laws of position/laws.h ask for at N tokens.
struct BaseLaws {
  int64_t critical_dimension = 0;  // of r, in the trained window
  double extrapolation_limit = 0;  // tokens, under the base now
  double base_for_limit = 0;       // whose extrapolation limit is N; 0 when no dimension ever turned
  double smallest_base = 0;        // exact, at this head size; 0: not searched
  double fitted_smallest_base = 0;
  double recommended = 0;  // the larger of base_for_limit and fitted_smallest_base, rounded up to one digit,
                           // and never below the base now
};
BaseLaws base_laws(const PositionConfig& model, const HeadShape& shape, int64_t target);

/// A method as --position takes it, and the reason.
struct Advice {
  std::string position;
  std::string why;
};
Advice advise_untrained(const PositionConfig& model, const HeadShape& shape, int64_t target);
Advice advise_trained(const PositionConfig& model, const HeadShape& shape, int64_t target);

/// A training that was really made: what it took and what came of it.
struct TrainingRecipe {
  const char* name;
  double parameters;
  int64_t from, to;  // windows, tokens
  double tokens;
  const char* outcome;
};
std::span<const TrainingRecipe> training_recipes();
/// Of those that reached N tokens (of all, when none did) the one whose model is nearest in size.
const TrainingRecipe& nearest_recipe(double parameters, int64_t target);

/// FLOPs to train on one token in sequences of N: 6 P + 12 L H D min(N / 2, sliding window): forward and
/// twice that for backward, P the parameters that are multiplied (no input embedding), attention causal.
/// Nothing for recomputed activations.
double training_flops_per_token(const ModelConfig& config, int64_t parameters, int64_t length);
/// P of a checkpoint.
int64_t multiplied_parameters(const Checkpoint& checkpoint, const ModelConfig& config);

/// The memory plan of one method and cache type, against `available` bytes.
struct MemoryRow {
  std::string position;
  DType cache_dtype = DType::F16;
  int64_t key_copies = 1;
  MemoryPlan plan;
  bool fits = false;
  int64_t longest = 0;  // tokens that would fit, whole pages
};
MemoryRow memory_row(const Checkpoint& checkpoint, const ModelConfig& config, const std::string& position,
                     EngineOptions options, int64_t target, int64_t available);

/// What the system says programs may still take (MemAvailable of /proc/meminfo); 0 when it does not say.
int64_t available_memory();

}  // namespace longspan
