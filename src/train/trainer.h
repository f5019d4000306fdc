// The loop: rows -> gradients -> clip -> AdamW -> what one sees. Everything random is a function of the seed
// and the step, so that a resumed run is the same run.
#pragma once

#include <functional>

#include "base/progress.h"
#include "train/recipe.h"
#include "train/snapshot.h"

namespace longspan {

struct StepReport {
  int64_t step = 0, steps = 0;  // of the whole recipe
  std::string stage;
  double loss = 0;        // mean over target tokens, weights counted
  double divergence = 0;  // mean KL of the short rows; NaN without
  double grad_norm = 0, lr = 0;
  double seconds = 0, tokens_per_s = 0;
  double mfu = 0;      // model FLOPs (6 N + causal attention, no recompute) / s over the measured peak
  int64_t memory = 0;  // resident bytes
  std::vector<std::string> suspicious;  // documents of this step when loss or gradient norm jumped
};
struct ValidationReport {
  int64_t step = 0;
  std::vector<std::pair<int64_t, double>> loss;  // length -> mean loss of its last tokens
};

struct TrainerEvents {
  std::function<void(const StepReport&)> step;
  std::function<void(const ValidationReport&)> validation;
  std::function<void(const std::string&)> note;  // a sentence for people
  std::function<bool()> stop;                    // true: snapshot and leave
};

/// Runs a recipe to its end, from its newest snapshot when `resume`. Writes OUTPUT/metrics.jsonl, TensorBoard
/// events, snapshots, and at the end the model (all weights: a Hugging Face directory; adapters: a PEFT
/// directory and, if asked, the merged model). Error: a NaN (the last good snapshot stays), a full disk, a
/// missing shard, too little memory (before it starts).
void train(const Recipe& recipe, bool resume, const TrainerEvents& events);

}  // namespace longspan
