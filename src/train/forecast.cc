// How long a run will take: its FLOPs, known from shapes, over the rate at which this machine trains one row.
#include <algorithm>
#include <chrono>
#include <cmath>

#include "kernels/devices.h"
#include "model/flops.h"
#include "train/result.h"
#include "train/trainer.h"

namespace longspan {

namespace {

constexpr int64_t kProbeTokens = 512, kWarmUpTokens = 64;
constexpr int64_t kFrozenPart = 16;  // of a frozen record, its questions have at most one part in so many

/// One document of n tokens, each of which predicts the next.
TrainingRow plain_row(int64_t n) {
  TrainingRow row;
  auto count = static_cast<size_t>(n);
  row.ids.assign(count, 0), row.starts.assign(count, 0), row.targets.assign(count, 0);
  row.weights.assign(count, 1);
  for (int64_t t = 0; t < n; ++t) row.positions.push_back(static_cast<double>(t));
  return row;
}

/// A row of a frozen context of n tokens; its questions are assumed to be a pass.
TrainingRow row_behind(int64_t n) {
  TrainingRow row = plain_row(std::min(kFrozenPassTokens, n / kFrozenPart));
  row.context.assign(static_cast<size_t>(n - row.tokens()), 0);
  return row;
}

/// The mean over a stage's sources by their weights, every row being as long as it may be.
struct MeanRow {
  double tokens = 0, flops = 0;
};
MeanRow mean_row(const Recipe& recipe, const Stage& stage, const ModelConfig& config) {
  MeanRow mean;
  double sum = 0;
  auto add = [&](double weight, const TrainingRow& row) {
    sum += weight;
    mean.tokens += weight * static_cast<double>(row.tokens() + std::ssize(row.context));
    mean.flops += weight * row_flops(config, recipe.trained, row);
  };
  for (const TextData& t : stage.data.text) add(t.weight, plain_row(t.options.row_tokens));
  for (const ChatData& c : stage.data.chat)
    add(c.weight, c.options.frozen ? row_behind(c.options.row_tokens) : plain_row(c.options.row_tokens));
  if (sum == 0) add(1, plain_row(stage.row_tokens));
  return {mean.tokens / sum, mean.flops / sum};
}

}  // namespace

TrainingForecast::OfStage forecast_stage(const Recipe& recipe, const Stage& stage,
                                         const ModelConfig& config) {
  auto steps = static_cast<double>(stage.steps);
  MeanRow row = mean_row(recipe, stage, config);
  double rows = std::max(1.0, static_cast<double>(stage.batch_tokens) / row.tokens);
  double flops = rows * row.flops;
  const ShortRows& shorts = stage.short_rows;
  if (shorts.rows > 0) {
    TrainingRow row = plain_row(shorts.tokens);
    double both = row_flops(config, recipe.trained, row), of_row = 0;
    if (shorts.cross_entropy > 0) of_row += both;
    if (shorts.divergence > 0) of_row += both + forward_flops(config, row);
    flops += static_cast<double>(shorts.rows) * of_row;
  }
  auto tokens = static_cast<int64_t>(std::llround(steps * rows * row.tokens));
  return {stage.name, stage.steps, tokens + stage.steps * shorts.rows * shorts.tokens, steps * flops};
}

double TrainingForecast::seconds() const {
  double flops = 0;
  for (const OfStage& stage : stages) flops += stage.flops;
  return flops_per_s > 0 ? flops / flops_per_s : 0;
}

TrainingForecast forecast_training(const Recipe& recipe, const Checkpoint& checkpoint,
                                   const std::shared_ptr<Device>& device) {
  const Kernels& k = device->kernels();
  ModelConfig config = read_config(checkpoint);
  check_memory(training_memory(recipe, checkpoint, k), device->free_memory());
  if (recipe.plan.deterministic) make_deterministic(*device);
  TrainingForecast forecast;
  for (const Stage& stage : recipe.stages) forecast.stages.push_back(forecast_stage(recipe, stage, config));
  TrainingModel model = make_training_model(checkpoint, config, device, recipe.compute.value_or(k.preferred),
                                            recipe.trained, recipe.seed);
  check_writable(recipe, checkpoint, model);
  // A GPU is idle in a short row, and a long one takes it no time worth saving.
  forecast.probe_tokens = pass_tokens(recipe.stages[0]);
  if (k.on_host) forecast.probe_tokens = std::min(kProbeTokens, forecast.probe_tokens);
  PositionSpec spec = position_spec(config.position, config.head_shape(), forecast.probe_tokens);
  auto buffers = make_training_buffers(model, spec, forecast.probe_tokens, training_plan(recipe, k));
  StepScalars scalars = make_step_scalars(model);
  auto train_row = [&](int64_t tokens) {
    TrainingRow row = plain_row(tokens);
    auto start = std::chrono::steady_clock::now();
    add_row_gradient(model, spec, row, 1, *buffers, scalars.loss);
    device->synchronise();
    return row_flops(config, recipe.trained, row) /
           std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  // Packs the weights; on a GPU plans are made for rows of this very length.
  train_row(k.on_host ? std::min(kWarmUpTokens, forecast.probe_tokens) : forecast.probe_tokens);
  forecast.flops_per_s = train_row(forecast.probe_tokens);
  return forecast;
}

}  // namespace longspan
