#include "train/trainer.h"

#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <fstream>

#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"
#include "kernels/devices.h"
#include "model/flops.h"
#include "train/jumps.h"
#include "train/metrics.h"
#include "train/result.h"
#include "train/validation.h"

namespace longspan {

namespace fs = std::filesystem;

namespace {

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

int64_t resident_bytes() {
  int64_t total = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> total >> resident;
  return resident * ::sysconf(_SC_PAGESIZE);
}

/// The state of one run. Members are initialised in this order.
struct Run {
  const Recipe& recipe;
  const Checkpoint& checkpoint;
  const TrainingData& data;
  const TrainerEvents& events;
  TrainingModel model;
  Moments moments;
  StepScalars scalars{};
  std::unique_ptr<Model> original_model{};  // loaded where the trained model cannot serve as the original
  Original original{};
  RunState state{};
  Jumps jumps{};
  double peak = 0;  // FLOPs a second
  double snapshot_at = 0, started = 0;
  // For the estimate of the time left: FLOPs of a step of each stage, and those of the steps done by this
  // process.
  std::vector<double> forecast{};
  double forecast_done = 0;

  void note(const std::string& sentence) const {
    if (events.note) events.note(sentence);
  }
  fs::path snapshot_folder() const { return recipe.output / "snapshots"; }
  /// The newest snapshot, for people.
  std::string last_snapshot() const {
    auto all = snapshots(snapshot_folder());
    return all.empty() ? "there is no snapshot yet" : "the last snapshot is " + all.front().string();
  }
};

bool has_divergence(const Recipe& recipe) {
  return std::any_of(recipe.stages.begin(), recipe.stages.end(), [](const Stage& stage) {
    return stage.short_rows.rows > 0 && stage.short_rows.divergence > 0;
  });
}

/// Short rows with a divergence need the original model. The trained one without its adapters will do, unless
/// something else trains, too.
bool loads_original(const Recipe& recipe) {
  const Trained& t = recipe.trained;
  return has_divergence(recipe) && (t.all || t.norms || t.embeddings);
}

void prepare_original(Run& run) {
  if (!has_divergence(run.recipe)) return;
  const ModelConfig& config = run.model.model.config;
  run.original.spec = position_spec(config.position, config.head_shape(), 0);
  if (!loads_original(run.recipe)) return;
  const Model& trained = run.model.model;
  Weights weights = load_weights(run.checkpoint, config, *trained.device);
  run.original_model =
      std::make_unique<Model>(Model{trained.device, config, std::move(weights), {}, trained.compute});
  run.original.model = run.original_model.get();
}

/// Loads the newest complete snapshot. Error when there are snapshots but none can be used: a run never
/// starts over on top of them.
void resume_run(Run& run) {
  std::vector<fs::path> files = snapshots(run.snapshot_folder());
  std::string first_fault;
  for (const fs::path& file : files) {
    try {
      run.state = read_snapshot(file, run.model, run.moments);
    } catch (const Error& e) {
      if (first_fault.empty()) first_fault = e.what();
      run.note(fmt::format("{}; trying an older one", e.what()));
      continue;
    }
    if (run.state.recipe_digest != run.recipe.digest)
      fail("{}: was written by a different recipe than {}; resume with the original or choose another output",
           file.string(), run.recipe.file.string());
    run.jumps = Jumps(run.state.history);
    return run.note(fmt::format("going on after step {} of {}", run.state.step, run.recipe.steps()));
  }
  fail("{}; no older snapshot will do either: begin anew in another output", first_fault);
}

void snapshot(Run& run) {
  run.state.history = run.jumps.history();
  write_snapshot(run.snapshot_folder(), run.state, run.model, run.moments,
                 std::max(run.recipe.snapshots_kept, run.recipe.averaged));
  run.snapshot_at = seconds_now();
}

void validate(Run& run, const PositionConfig& position, Metrics& metrics) {
  ValidationReport report;
  report.step = run.state.step;
  report.loss = validation_loss(run.model.model, position, run.data.validation, run.recipe.validation_lengths,
                                run.events.stop);
  if (report.loss.empty()) return;
  metrics.add(report);
  if (run.events.validation) run.events.validation(report);
}

double step_flops(const Run& run, const Stage& stage, const StepRows& rows) {
  const ModelConfig& config = run.model.model.config;
  double flops = 0;
  for (const TrainingRow& row : rows.rows) flops += row_flops(config, run.recipe.trained, row);
  for (const TrainingRow& row : rows.short_rows) {
    double both = row_flops(config, run.recipe.trained, row);
    if (stage.short_rows.cross_entropy > 0) flops += both;
    if (stage.short_rows.divergence > 0) flops += both + forward_flops(config, row);
  }
  return flops;
}

/// FLOPs of all steps after those done, as the steps of their stages are forecast.
double flops_left(const Run& run) {
  double left = 0;
  for (size_t s = static_cast<size_t>(run.state.stage); s < run.recipe.stages.size(); ++s) {
    int64_t done = static_cast<int64_t>(s) == run.state.stage ? run.state.stage_step : 0;
    left += static_cast<double>(run.recipe.stages[s].steps - done) * run.forecast[s];
  }
  return left;
}

/// Error when a figure of the step is NaN or infinite; nothing has been changed yet.
void check_figures(const Run& run, const StepRows& rows, const StepLoss& loss, double norm) {
  const char* what = !std::isfinite(loss.loss) || std::isinf(loss.divergence) ? "loss"
                     : !std::isfinite(norm)                                   ? "gradient"
                                                                              : nullptr;
  if (!what) return;
  fail("step {}: the {} is NaN or infinite (loss {}, gradient norm {}); documents of the step: {}; {}",
       run.state.step + 1, what, loss.loss, norm,
       excerpt(fmt::format("{}", fmt::join(rows.documents(), ", ")), 600), run.last_snapshot());
}

StepReport one_step(Run& run, const Stage& stage, const StageRows& sources, const StagePositions& positions,
                    TrainingBuffers& buffers) {
  double begin = seconds_now();
  StepRows rows = next_rows(stage, sources, run.state);
  zero_gradients(run.model);
  StepLoss loss =
      batch_gradient(run.model, positions, run.original, stage.short_rows, rows, buffers, run.scalars);
  double norm = loss.gradient_norm;
  check_figures(run, rows, loss, norm);
  double lr = learning_rate(stage.schedule, run.state.stage_step + 1);
  update(run.model, run.moments, run.recipe, lr, norm, moment_steps(run.recipe, run.state) + 1);

  RunState& s = run.state;
  s.step += 1, s.stage_step += 1;
  s.rows += static_cast<int64_t>(rows.rows.size()),
      s.short_rows += static_cast<int64_t>(rows.short_rows.size());
  s.tokens += loss.targets;
  StepReport r;
  r.step = s.step, r.steps = run.recipe.steps(), r.stage = stage.name, r.loss = loss.loss;
  r.short_loss = loss.short_loss, r.divergence = loss.divergence, r.grad_norm = norm, r.lr = lr;
  bool jumped = run.jumps.jumped("loss", loss.loss, run.recipe.jump);
  jumped |= run.jumps.jumped("grad_norm", norm, run.recipe.jump);
  if (jumped) r.suspicious = rows.documents();
  double now = seconds_now();
  r.tokens = rows.tokens(), run.forecast_done += run.forecast[static_cast<size_t>(s.stage)];
  r.seconds = now - begin, r.tokens_per_s = static_cast<double>(r.tokens) / r.seconds;
  r.mfu = step_flops(run, stage, rows) / r.seconds / run.peak;
  r.seconds_left = flops_left(run) * (now - run.started) / run.forecast_done;
  r.memory = resident_bytes();
  return r;
}

/// False when it was asked to stop.
bool run_stage(Run& run, Metrics& metrics) {
  const Recipe& recipe = run.recipe;
  const Stage& stage = recipe.stages[static_cast<size_t>(run.state.stage)];
  const ModelConfig& config = run.model.model.config;
  StagePositions positions = stage_positions(stage, config);
  auto buffers =
      make_training_buffers(run.model, positions.spec, pass_tokens(stage),
                            training_plan(recipe, run.model.model.kernels()), frozen_tokens(stage));
  if (run.state.stage_step == 0 && stage.fresh_optimizer)
    for (const auto* moments : {&run.moments.first, &run.moments.second})
      for (const Tensor& x : *moments) run.model.model.kernels().fill(x, 0);
  while (run.state.stage_step < stage.steps) {
    StepReport report =
        one_step(run, stage, run.data.stages[static_cast<size_t>(run.state.stage)], positions, *buffers);
    metrics.add(report);
    if (run.events.step) run.events.step(report);
    bool stop = run.events.stop && run.events.stop(), last = run.state.step == recipe.steps();
    if (recipe.validation_steps > 0 && !stop && (run.state.step % recipe.validation_steps == 0 || last))
      validate(run, positions.config, metrics);
    bool due = recipe.snapshot_steps > 0 && run.state.step % recipe.snapshot_steps == 0;
    due |= recipe.snapshot_minutes > 0 && seconds_now() - run.snapshot_at >= 60 * recipe.snapshot_minutes;
    if (due || stop || last) snapshot(run);
    if (stop && !last) return false;
  }
  return true;
}

}  // namespace

TrainingPlan training_plan(const Recipe& recipe, const Kernels& k) {
  constexpr int64_t kCpuHeadChunk = 256, kGpuHeadChunk = 4096;
  TrainingPlan plan = recipe.plan;
  if (plan.head_chunk == 0) plan.head_chunk = k.on_host ? kCpuHeadChunk : kGpuHeadChunk;
  return plan;
}

void check_snapshots(const Recipe& recipe, bool resume) {
  const fs::path folder = recipe.output / "snapshots";
  bool some = !snapshots(folder).empty();
  if (some && !resume)
    fail("{}: holds snapshots of a run: go on with --resume, or choose another output",
         recipe.output.string());
  if (resume && !some)
    fail(
        "{}: there is no snapshot to resume from; begin without --resume, or name the run's folder with "
        "--set output=DIR",
        folder.string());
}

MemoryTable training_memory(const Recipe& recipe, const Checkpoint& checkpoint, const Kernels& k) {
  ModelConfig config = read_config(checkpoint);
  TrainingShape shape{.trained = recipe.trained,
                      .plan = training_plan(recipe, k),
                      .compute = recipe.compute.value_or(k.preferred),
                      .original = loads_original(recipe)};
  for (const Stage& stage : recipe.stages) {
    shape.stages.push_back({stage_spec(stage, config), pass_tokens(stage), frozen_tokens(stage)});
    PositionConfig position = stage_position(stage, config);
    if (recipe.validation_steps > 0)
      for (int64_t length : recipe.validation_lengths)
        shape.validations.push_back(
            {position_spec(position, config.head_shape(), length), length, kValidationChunk});
  }
  return plan_training_memory(checkpoint, config, k, shape);
}

bool train(const Recipe& recipe, const Checkpoint& checkpoint, const TrainingData& data, bool resume,
           const TrainerEvents& events, std::shared_ptr<Device> device) {
  if (!device) device = host_device(kernels());
  ModelConfig config = read_config(checkpoint);
  for (const Stage& stage : recipe.stages) stage_spec(stage, config);
  const Kernels& k = device->kernels();
  if (recipe.plan.deterministic) make_deterministic(*device);
  check_memory(training_memory(recipe, checkpoint, k), device->free_memory());
  check_snapshots(recipe, resume);
  Run run{recipe,
          checkpoint,
          data,
          events,
          make_training_model(checkpoint, config, device, recipe.compute.value_or(k.preferred),
                              recipe.trained, recipe.seed),
          {}};
  check_writable(recipe, checkpoint, run.model);
  run.moments = make_moments(run.model);
  run.scalars = make_step_scalars(run.model);
  prepare_original(run);
  if (resume) resume_run(run);
  run.state.recipe_digest = recipe.digest;
  for (const Stage& stage : recipe.stages)
    run.forecast.push_back(forecast_stage(recipe, stage, config).flops / static_cast<double>(stage.steps));
  run.peak = measured_peak(*device, run.model.model.compute);
  Metrics metrics(recipe.output, run.state.step);
  run.started = run.snapshot_at = seconds_now();
  if (recipe.validation_steps > 0 && run.state.step == 0)
    validate(run, stage_position(recipe.stages[0], config), metrics);
  for (auto stages = static_cast<int64_t>(recipe.stages.size()); run.state.stage < stages;) {
    if (!run_stage(run, metrics)) return false;
    if (run.state.stage + 1 == stages) break;
    run.state.stage += 1;
    run.state.stage_step = run.state.rows = run.state.short_rows = 0;
  }
  average(recipe, checkpoint, run.model);
  write_result(recipe, checkpoint, run.model, events.note);
  return true;
}

}  // namespace longspan
