// A recipe describes everything that a training run does. It is a TOML file, checked as a whole before
// anything starts. Stages follow each other; each has its own length, position method, data and learning
// rate. recipes/*.toml holds published ones, docs/recipes.md explains the keys, and recipe.cc reads them.
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
/// options.row_tokens of each is its own `length` where it has one, otherwise that of its stage.
struct RowData {
  std::vector<TextData> text;
  std::vector<ChatData> chat;

  bool empty() const { return text.empty() && chat.empty(); }
};

/// Short rows that accompany the long rows of each step, so that the model keeps its ability on short texts.
struct ShortRows {
  int64_t rows = 0;          // per step
  int64_t tokens = 2048;     // of each row
  double cross_entropy = 0;  // weight of their mean loss
  double divergence = 0;     // weight of their mean KL to the original model under its own positions
  RowData data = {};
};

struct Stage {
  std::string name;
  std::string position;          // as for --position; empty: the model's own
  int64_t row_tokens = 0;        // the recipe's `length`: of the longest rows
  int64_t batch_tokens = 0;      // of the long rows of one step, rounded to whole rows, at least one
  int64_t steps = 0;             // a recipe may give tokens = steps * batch_tokens instead
  Schedule schedule;             // of as many steps
  bool fresh_optimizer = false;  // moments begin at zero, and their count of steps at 1
  RowData data = {};
  ShortRows short_rows;
};

struct Recipe {
  std::string name, source;  // source: the paper or report that it follows
  std::filesystem::path file;
  std::string text;              // TOML: as it was read, with the overrides
  std::string model;             // path (relative to the recipe, where there is one) or a name of fetch
  std::string chat_template;     // built-in name or path of a Jinja file; empty: the model's own
  std::filesystem::path output;  // default: runs/NAME below the working directory
  uint64_t seed = 1;
  std::optional<Compute> compute;
  Trained trained;
  double beta1 = 0.9, beta2 = 0.95, eps = 1e-8, weight_decay = 0.1, clip = 1.0;  // clip 0: never
  TrainingPlan plan{.head_chunk = 0};  // head_chunk 0: what suits the device
  int64_t snapshot_steps = 0;          // 0: by minutes only
  double snapshot_minutes = 10;
  int64_t snapshots_kept = 2;
  int64_t validation_steps = 0;  // 0: never
  std::vector<std::filesystem::path> validation_files;
  std::vector<int64_t> validation_lengths;
  int64_t validation_windows = 4;  // of each length
  double jump = 3;                 // a loss or gradient norm this many times its running median is reported
  int64_t averaged = 0;            // how many of the last snapshots are averaged at the end; 0: none
  double original_share = 0;       // share of the original weights in the result
  bool merge = false;              // adapters: also write the merged model
  std::optional<DType> type;       // of what is written; default F32 for an adapter, else as in write_model
  std::vector<Stage> stages;

  int64_t steps() const;
  /// Digest of everything that decides the numbers of a run: snapshots of other recipes are not resumed.
  uint64_t digest = 0;
};

/// Errors name file, line, column and key: unknown keys, wrong types, impossible numbers (a batch smaller
/// than a row, weights that are all 0, more warm-up than steps). Paths are relative to the recipe;
/// check_files() says whether they exist, so that recipes can be read where the data is not. Overrides are as
/// in base/settings.h: "optimizer.clip=0.5", "stage.0.length=4096".
Recipe read_recipe(const std::filesystem::path& file, const std::vector<std::string>& overrides = {});

/// Error that names every missing file and folder of the recipe.
void check_files(const Recipe& recipe);

/// The positions of a stage, given the model's own. Error names the stage when `position` cannot be parsed,
/// or when its rows, or the positions that they skip to, exceed what the method reaches.
PositionConfig stage_position(const Stage& stage, const ModelConfig& model);
PositionSpec stage_spec(const Stage& stage, const ModelConfig& model);
/// Largest position of the stage's rows, plus 1.
int64_t stage_reach(const Stage& stage);

/// Most tokens that pass through the model with gradients at once in rows behind a frozen context.
constexpr int64_t kFrozenPassTokens = 8192;
/// Tokens of the longest pass with gradients, short rows included.
int64_t pass_tokens(const Stage& stage);
/// Tokens of the longest frozen context; 0: none.
int64_t frozen_tokens(const Stage& stage);

}  // namespace longspan
