// Snapshots: everything that a run needs to resume with the same bits: parameters, both moments, counters. A
// snapshot is written under a temporary name with an xxHash64 digest, synced and renamed; the newest complete
// one counts, so that a kill at any moment costs at most the steps since the last. Random state needs no
// storing: everything random is a function of the seed and a step number.
#pragma once

#include <filesystem>
#include <optional>
#include <vector>

#include "model/training.h"

namespace longspan {

struct RunState {
  int64_t step = 0;        // steps done in total
  int64_t stage = 0;       // index of the stage that the next step belongs to
  int64_t stage_step = 0;  // steps done in it
  int64_t rows = 0;        // long rows taken in this stage
  int64_t short_rows = 0;
  int64_t tokens = 0;  // target tokens in total
  uint64_t recipe_digest = 0;
  Json history = {};  // of the jump detector
};

/// First and second moments of every parameter, in the order of TrainingModel::parameters.
struct Moments {
  std::vector<Tensor> first, second;
  Arena memory;
};
Moments make_moments(const TrainingModel& model);

/// Writes FOLDER/step-NNNNNNNN.snapshot and removes all but the newest `kept`. Error (disk full, ...) leaves
/// the older ones as they are.
void write_snapshot(const std::filesystem::path& folder, const RunState& state, const TrainingModel& model,
                    const Moments& moments, int64_t kept);

/// Newest first.
std::vector<std::filesystem::path> snapshots(const std::filesystem::path& folder);

/// Loads one. Error when it is damaged or has other parameters.
RunState read_snapshot(const std::filesystem::path& file, TrainingModel& model, Moments& moments);

/// Sets the model's parameters to the mean of those of the snapshots. Error as read_snapshot.
void average_snapshots(const std::vector<std::filesystem::path>& files, TrainingModel& model);

}  // namespace longspan
