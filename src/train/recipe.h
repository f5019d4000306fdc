// A recipe: everything a training run does, in TOML, checked as a whole before anything starts. Stages follow
// each other; each has its length, position method, data and learning rate. recipes/*.toml are published
// ones. Keys are those of the table in recipe.cc, grouped as [trained], [optimizer], [plan], [snapshots],
// [validation], [result], [[stage]] with [[stage.text]], [[stage.chat]] and [stage.short].
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
/// options.row_tokens of each is `length` of its own where it has one, else that of its stage.
struct RowData {
  std::vector<TextData> text;
  std::vector<ChatData> chat;

  bool empty() const { return text.empty() && chat.empty(); }
};

struct ShortRows {           // beside the long rows of each step, so that short ability stays
  int64_t rows = 0;          // per step
  int64_t tokens = 2048;     // of each
  double cross_entropy = 0;  // weight of their own mean loss
  double divergence = 0;     // weight of their mean KL to the original model under its own positions
  RowData data = {};
};

struct Stage {
  std::string name;
  std::string position;      // a --position text; empty: the model's own
  int64_t row_tokens = 0;    // length: of the longest rows
  int64_t batch_tokens = 0;  // of one step's long rows, as near as whole rows come to it, at least one
  int64_t steps = 0;         // or by tokens = steps * batch_tokens in the recipe
  Schedule schedule;         // its steps are those above
  RowData data = {};
  ShortRows short_rows;
};

struct Recipe {
  std::string name, source;  // what it follows: paper or report
  std::filesystem::path file;
  std::string model;             // path (relative to the recipe, where there is one) or a name of fetch
  std::string chat_template;     // built-in name or path of a Jinja file; empty: the model's own
  std::filesystem::path output;  // default: runs/NAME below the working directory
  uint64_t seed = 1;
  std::optional<Compute> compute;
  Trained trained;
  double beta1 = 0.9, beta2 = 0.95, eps = 1e-8, weight_decay = 0.1, clip = 1.0;  // clip 0: never
  TrainingPlan plan;
  int64_t snapshot_steps = 0;  // 0: by minutes only
  double snapshot_minutes = 10;
  int64_t snapshots_kept = 2;
  int64_t validation_steps = 0;  // 0: never
  std::vector<std::filesystem::path> validation_files;
  std::vector<int64_t> validation_lengths;
  int64_t validation_windows = 4;  // of each length
  double jump = 3;                 // a loss or gradient norm this many times its running median is reported
  int64_t averaged = 0;            // last snapshots to average at the end; 0: none
  double original_share = 0;       // of the original weights in the result
  bool merge = false;              // adapters: also write the merged model
  std::optional<DType> type;       // of the model that is written; default as write_model
  std::vector<Stage> stages;

  int64_t steps() const;
  /// Of everything that decides the numbers of a run: a snapshot of another recipe is not resumed.
  uint64_t digest = 0;
};

/// Error names file, line and key: unknown keys, wrong types, impossible numbers (batch below a row, weights
/// that are all 0, warm-up beyond the steps). Paths are relative to the recipe; whether they exist is
/// check_files' to say, so that recipes can be read where the data is not. An override is KEY=VALUE with a
/// dotted key, numbers standing for places in lists: "optimizer.clip=0.5", "stage.0.length=4096".
Recipe read_recipe(const std::filesystem::path& file, const std::vector<std::string>& overrides = {});

/// Error naming every file and folder of the recipe that is missing.
void check_files(const Recipe& recipe);

/// The positions of a stage under a model's own: Error names the stage when the text is wrong or when its
/// rows, or the positions that they skip to, lie beyond what the method reaches.
PositionConfig stage_position(const Stage& stage, const ModelConfig& model);
PositionSpec stage_spec(const Stage& stage, const ModelConfig& model);
/// Largest position of the stage's rows, plus 1.
int64_t stage_reach(const Stage& stage);

}  // namespace longspan
