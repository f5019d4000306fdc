// The loop: rows -> gradients -> clip -> AdamW -> reports. Everything random is a function of the seed and
// the step, so that a resumed run is the same run.
#pragma once

#include <functional>
#include <limits>

#include "model/memory.h"
#include "tokenizer/tokenizer.h"
#include "train/recipe.h"
#include "train/step.h"

namespace longspan {

struct StepReport {
  int64_t step = 0, steps = 0;  // of the whole recipe
  std::string stage;
  double loss = 0;  // mean over target tokens, weights counted
  // Mean loss and mean KL of the short rows; NaN without.
  double short_loss = std::numeric_limits<double>::quiet_NaN();
  double divergence = std::numeric_limits<double>::quiet_NaN();
  double grad_norm = 0, lr = 0;
  int64_t tokens = 0;  // read in this step, including short rows
  double seconds = 0, tokens_per_s = 0, seconds_left = 0;
  double mfu = 0;                       // row_flops / s over measured_peak
  int64_t memory = 0;                   // resident bytes
  std::vector<std::string> suspicious;  // documents of this step when loss or gradient norm jumped
};
struct ValidationReport {
  int64_t step = 0;
  std::vector<std::pair<int64_t, double>> loss;  // length -> mean loss of its last tokens
};

struct TrainerEvents {
  std::function<void(const StepReport&)> step = {};
  std::function<void(const ValidationReport&)> validation = {};
  std::function<void(const std::string&)> note = {};  // a sentence for people
  std::function<bool()> stop = {};                    // true: snapshot and leave
};

/// The sources of rows of every stage, and the held-out texts, each of which has as many tokens as the
/// longest validation length.
struct TrainingData {
  std::vector<StageRows> stages;
  std::vector<std::vector<int32_t>> validation;
};
/// Opens the recipe's data, tokenising it into OUTPUT/shards first where necessary. Error as check_files and
/// the data room say.
TrainingData open_training_data(const Recipe& recipe, const Checkpoint& checkpoint,
                                const std::function<void(const std::string&)>& note);

/// Opens every input of the recipe without writing anything: the first document of each file, all shards, the
/// chat template, the held-out texts. Error that names what is missing or cannot be read.
void check_inputs(const Recipe& recipe, const Checkpoint& checkpoint,
                  const std::function<void(const std::string&)>& note);

/// What a run will compute and how long that takes.
struct TrainingForecast {
  struct OfStage {
    std::string name;
    int64_t steps = 0, tokens = 0;  // read, short rows included
    double flops = 0;               // row_flops, each row being one document: at most
  };
  std::vector<OfStage> stages;
  int64_t probe_tokens = 0;  // of the row that was timed
  double flops_per_s = 0;    // reached by it, forward and backward
  double seconds() const;    // without validation and snapshots
};
TrainingForecast::OfStage forecast_stage(const Recipe& recipe, const Stage& stage, const ModelConfig& config);
/// The recipe's plan, complete.
TrainingPlan training_plan(const Recipe& recipe, const Kernels& k);
/// Loads the model and trains one row of at most kProbeTokens tokens, which is forgotten. Error when the
/// memory does not suffice, or when the result could not be written.
TrainingForecast forecast_training(const Recipe& recipe, const Checkpoint& checkpoint,
                                   const std::shared_ptr<Device>& device);

/// Error when `resume` finds no snapshot, or when a new run finds some.
void check_snapshots(const Recipe& recipe, bool resume);

/// What the run will hold in memory, computed before anything is loaded.
MemoryTable training_memory(const Recipe& recipe, const Checkpoint& checkpoint, const Kernels& k = kernels());

/// Runs a recipe to its end, from its newest whole snapshot when `resume`. Writes OUTPUT/metrics.jsonl,
/// TensorBoard events, OUTPUT/snapshots, and at the end OUTPUT/model (all weights: a Hugging Face directory)
/// or OUTPUT/adapter (PEFT) and, if asked, OUTPUT/merged. False when `stop` ended it. Error: a NaN (the last
/// good snapshot stays), a full disk, a missing shard, too little memory (before it starts), snapshots of
/// another recipe, or any snapshots when not resuming. `device`: null is the host.
bool train(const Recipe& recipe, const Checkpoint& checkpoint, const TrainingData& data, bool resume,
           const TrainerEvents& events, std::shared_ptr<Device> device = nullptr);

}  // namespace longspan
