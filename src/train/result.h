// The result of a run: the trained model or adapter, averaged as the recipe says.
#pragma once

#include <functional>

#include "train/recipe.h"

namespace longspan {

/// Error before anything starts when the trained tensors could not be written: a family whose files hold
/// other tensors than those that train.
void check_writable(const Recipe& recipe, const Checkpoint& checkpoint, const TrainingModel& model);

/// The mean of the last recipe.averaged snapshots (1 or 0: the parameters as they are), then with a share of
/// the original weights; with adapters, their product is scaled down by that share.
void average(const Recipe& recipe, const Checkpoint& checkpoint, TrainingModel& model);

/// OUTPUT/model, or OUTPUT/adapter and OUTPUT/merged; under the last stage's positions, with a window of the
/// longest stage. A folder that already exists is left unchanged. Notes say where the results are.
void write_result(const Recipe& recipe, const Checkpoint& checkpoint, const TrainingModel& model,
                  const std::function<void(const std::string&)>& note);

}  // namespace longspan
