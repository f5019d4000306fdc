// A recipe: everything a training run does, in TOML, checked as a whole before anything starts. Stages follow
// each other; each has its length, position method, data and learning rate. recipes/*.toml are published
// ones.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "data/loader.h"
#include "model/training.h"
#include "train/schedule.h"

namespace longspan {

struct TextData {
  TextOptions options;                       // folders of shards, or
  std::vector<std::filesystem::path> files;  // text and JSONL to tokenise into OUTPUT/shards first
  double weight = 1;
};
struct ChatData {
  ChatOptions options;
  double weight = 1;
};

struct ShortRows {           // beside each long row, so that short ability stays
  int64_t rows = 0;          // per step
  int64_t tokens = 2048;     // of each
  double cross_entropy = 0;  // weight of their own loss
  double divergence = 0;     // weight of KL to the original model under its own positions
  std::vector<TextData> text;
  std::vector<ChatData> chat;
};

struct Stage {
  std::string name;
  std::string position;      // a --position text; empty: the model's own
  int64_t row_tokens = 0;    // length
  int64_t batch_tokens = 0;  // of one step, at least a row
  int64_t steps = 0;         // or by tokens = steps * batch_tokens in the recipe
  Schedule schedule;         // its steps are those above
  std::vector<TextData> text;
  std::vector<ChatData> chat;
  ShortRows short_rows;
};

struct Recipe {
  std::string name, source;  // what it follows: paper or report
  std::filesystem::path file;
  std::string model;  // path or a name of fetch
  std::filesystem::path output;
  uint64_t seed = 1;
  std::optional<Compute> compute;
  Trained trained;
  double beta1 = 0.9, beta2 = 0.95, eps = 1e-8, weight_decay = 0.1, clip = 1.0;
  TrainingPlan plan;
  int64_t snapshot_steps = 0;  // 0: by minutes only
  double snapshot_minutes = 10;
  int64_t snapshots_kept = 2;
  int64_t validation_steps = 0;  // 0: never
  std::vector<std::filesystem::path> validation_files;
  std::vector<int64_t> validation_lengths;
  double jump = 3;            // a loss or gradient norm this many times its running median is reported
  int64_t averaged = 0;       // last snapshots to average at the end; 0: none
  double original_share = 0;  // of the original weights in the result
  std::vector<Stage> stages;
};

/// Error names file, line and key: unknown keys, wrong types, impossible numbers (batch below a row, row
/// beyond the position method's reach, weights that are all 0, files that do not exist). Paths are relative
/// to the recipe.
Recipe read_recipe(const std::filesystem::path& file, const std::vector<std::string>& overrides = {});

}  // namespace longspan
