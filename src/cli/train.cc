// train: runs a recipe and shows its progress.
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "base/error.h"
#include "base/plural.h"
#include "base/text.h"
#include "base/threads.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/model_sources.h"
#include "cli/output.h"
#include "kernels/devices.h"
#include "report/training_report.h"
#include "train/metrics.h"
#include "train/trainer.h"

namespace longspan::cli {

namespace {

struct TrainOptions : Options {
  std::string recipe;
  std::vector<std::string> overrides;
  bool resume = false, check = false;
};

/// "12/240 [####......] loss 3.412  norm 0.91  lr 2.0e-04  812 tokens/s  41.2 % mfu  4.1 GiB  3m 02s left"
std::string step_line(const StepReport& r, bool bar) {
  constexpr int64_t kBar = 20;
  std::string line = fmt::format("{}/{} ", r.step, r.steps);
  if (bar) {
    auto full = static_cast<size_t>(kBar * r.step / std::max<int64_t>(1, r.steps));
    line += "[" + std::string(full, '#') + std::string(kBar - full, '.') + "] ";
  }
  line += fmt::format("loss {:.4f}", r.loss);
  if (std::isfinite(r.short_loss)) line += fmt::format("  short {:.4f}", r.short_loss);
  if (std::isfinite(r.divergence)) line += fmt::format("  kl {:.4f}", r.divergence);
  return line + fmt::format("  norm {:.3g}  lr {:.2e}  {:.0f} tokens/s  {:.1f} % mfu  {}  {} left",
                            r.grad_norm, r.lr, r.tokens_per_s, 100 * r.mfu,
                            human_bytes(static_cast<double>(r.memory)), human_seconds(r.seconds_left));
}

/// Lines on stdout (--json), and for people one redrawn line on a terminal, or one line per step in a file.
class Screen {
 public:
  explicit Screen(const TrainOptions& o) : o_(o), terminal_(::isatty(STDERR_FILENO)) {}

  void step(const StepReport& r) {
    if (o_.json) print_json(step_json(r));
    if (!o_.quiet) {
      if (terminal_)
        fmt::print(stderr, "\r{}\033[K", step_line(r, true));
      else
        fmt::print(stderr, "{}\n", step_line(r, false));
      std::fflush(stderr);
      drawn_ = terminal_;
    }
    for (const std::string& document : r.suspicious)
      note(fmt::format("step {}: loss or gradient jumped; it held {}", r.step, document));
  }
  void validation(const ValidationReport& r) {
    if (o_.json) print_json(validation_json(r));
    std::string text = fmt::format("held-out loss after step {}:", r.step);
    for (const auto& [length, loss] : r.loss) text += fmt::format("  {}: {:.4f}", grouped(length), loss);
    note(text);
  }
  void note(const std::string& sentence) {
    if (drawn_) std::fputs("\n", stderr);
    drawn_ = false;
    remark(o_, "{}", sentence);
  }

 private:
  const TrainOptions& o_;
  bool terminal_, drawn_ = false;
};

void show_memory(const TrainOptions& o, const std::vector<std::pair<std::string, int64_t>>& table) {
  int64_t sum = 0;
  for (const auto& [label, bytes] : table) {
    sum += bytes;
    if (bytes > 0) remark(o, "{:>10}  {}", human_bytes(static_cast<double>(bytes)), label);
  }
  remark(o, "{:>10}  in all", human_bytes(static_cast<double>(sum)));
}

/// The command that makes the run, without what only controls output.
std::string command_line(const TrainOptions& o, bool resume) {
  std::string line = fmt::format("longspan train {}{}", shell_word(o.recipe), resume ? " --resume" : "");
  for (const std::string& one : o.overrides) line += " --set " + shell_word(one);
  if (o.threads > 0) line += fmt::format(" --threads {}", o.threads);
  if (o.device != Options().device) line += " --device " + shell_word(o.device);
  return line;
}

/// The command that goes on with a run that was stopped.
std::string resuming_command(const TrainOptions& o) {
  std::string line = command_line(o, true);
  if (o.json) line += " --json";
  if (o.quiet) line += " --quiet";
  return line;
}

void show_forecast(const TrainOptions& o, const TrainingForecast& f, const MemoryTable& memory) {
  Json stages = Json::array();
  double flops = 0;
  for (const TrainingForecast::OfStage& s : f.stages) {
    remark(o, "{}: {} in {}", s.name, counted(s.tokens, "token"), counted(s.steps, "step"));
    stages.push_back({{"name", s.name}, {"steps", s.steps}, {"tokens", s.tokens}, {"flops", s.flops}});
    flops += s.flops;
  }
  remark(
      o,
      "it will take about {}: {:.3g} FLOPs, at the {:.3g} a second with which a row of {} tokens was trained "
      "here just now; validation and snapshots come on top",
      human_seconds(f.seconds()), flops, f.flops_per_s, grouped(f.probe_tokens));
  if (!o.json) return;
  int64_t bytes = 0;
  for (const auto& [label, n] : memory) bytes += n;
  print_json({{"stages", stages},
              {"memory_bytes", bytes},
              {"flops_per_s", f.flops_per_s},
              {"probe_tokens", f.probe_tokens},
              {"hours", f.seconds() / 3600}});
}

int train_recipe(const TrainOptions& o) {
  Recipe recipe = read_recipe(o.recipe, o.overrides);
  set_threads(o.threads > 0 ? o.threads : physical_cores());
  Checkpoint checkpoint = open_checkpoint(resolve_plain_model(recipe.model));
  Screen screen(o);
  remark(o, "{}: {} in {}{}{}", recipe.name, counted(recipe.steps(), "step"),
         counted(std::ssize(recipe.stages), "stage"), recipe.source.empty() ? "" : ", after ", recipe.source);
  std::shared_ptr<Device> device = device_named(o.device, kernels());
  auto memory = training_memory(recipe, checkpoint, device->kernels());
  show_memory(o, memory);
  check_memory(memory, device->free_memory());
  auto note = [&](const std::string& sentence) { screen.note(sentence); };
  if (o.check) {
    check_inputs(recipe, checkpoint, note);
    show_forecast(o, forecast_training(recipe, checkpoint, device), memory);
    return kExitDone;
  }
  check_snapshots(recipe, o.resume);
  TrainingData data = open_training_data(recipe, checkpoint, note);
  arm_interrupt();
  bool complete = train(recipe, checkpoint, data, o.resume,
                        {.step = [&](const StepReport& r) { screen.step(r); },
                         .validation = [&](const ValidationReport& r) { screen.validation(r); },
                         .note = note,
                         .stop = interrupted},
                        device);
  if (!complete) {
    note(fmt::format("stopped with a snapshot; go on with: {}", resuming_command(o)));
    return kExitInterrupted;
  }
  try {
    write_training_report(recipe, read_metrics(recipe.output / "metrics.jsonl"), command_line(o, false));
    note(page_remark(recipe.output / "report.html"));
  } catch (const Error& e) {  // what was trained is written, and counts
    note(fmt::format("the run is complete, but has no report: {}", e.what()));
  }
  return kExitDone;
}

}  // namespace

Run define_train(CLI::App& app) {
  auto o = std::make_shared<TrainOptions>();
  app.add_option("RECIPE", o->recipe, "recipe in TOML (recipes/ has published ones)")->required();
  app.add_flag("--resume", o->resume, "go on from the newest whole snapshot");
  app.add_flag("--check", o->check,
               "open the recipe's model and data, say memory, tokens and hours, and leave");
  app.add_option("--set", o->overrides,
                 "KEY=VALUE in place of the recipe's, as stage.0.steps=100; may be repeated")
      ->allow_extra_args(false);
  app.add_option("-t,--threads", o->threads, "threads; default the physical cores")
      ->check(CLI::Range(1, 1024).description(""));
  add_device_option(app, *o);
  add_output_options(app, *o);
  return [o] { return train_recipe(*o); };
}

}  // namespace longspan::cli
