#include "train/result.h"

#include <algorithm>

#include "base/error.h"
#include "base/text.h"
#include "model/adapter_files.h"
#include "model/export.h"
#include "model/write_model.h"
#include "train/snapshot.h"

namespace longspan {

namespace fs = std::filesystem;

namespace {

bool is_adapter(const Parameter& p) { return p.name.find(".lora_") != std::string::npos; }

/// Whole parameters as files hold them: views of their own memory, or copies in `memory`.
std::vector<NamedTensor> whole_parameters(const TrainingModel& model, Arena& memory) {
  std::vector<NamedTensor> whole;
  for (const Parameter& p : model.parameters)
    if (!is_adapter(p)) whole.push_back({p.name, as_filed(model, p, memory)});
  return whole;
}

/// What to do with the adapter, for whoever finds it.
std::string readme(const Checkpoint& checkpoint, const fs::path& adapter, const fs::path& base,
                   const std::string& position, int64_t window) {
  std::string own = fs::absolute(checkpoint.path).string(), to = fs::absolute(adapter).string();
  std::string text = fmt::format(
      "# LoRA adapter\n\nTrained by longspan on {} under the positions `{}`.\n\nlongspan sets these "
      "positions "
      "itself:\n\n    longspan ask {} --adapter {} -f FILE \"QUESTION\"\n\nPEFT takes the positions from the "
      "config.json of the base, so the base has to be one with these:\n\n",
      own, position, own, to);
  std::string opened = base.string();
  if (opened.empty()) {
    opened = "BASE";
    text += fmt::format("    longspan extend {} --position {} --to {} -o BASE\n\n", own, position, window);
  }
  return text + fmt::format(
                    "    base = AutoModelForCausalLM.from_pretrained(\"{}\")\n"
                    "    model = PeftModel.from_pretrained(base, \"{}\")\n\n"
                    "`longspan merge` writes one model of both.\n",
                    opened, to);
}

bool there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

/// A directory that PEFT can open as the adapter's base, with the positions of the training: the model's own,
/// or OUTPUT/base, whose weights are links. Empty when there is none: PEFT cannot open GGUF files.
fs::path base_for_peft(const Recipe& recipe, const Checkpoint& checkpoint, const ModelWish& result,
                       const std::function<void(const std::string&)>& note) {
  if (checkpoint.format == CheckpointFormat::Gguf) return {};
  ModelConfig config = read_config(checkpoint);
  if (describe(config.position) == describe(*result.position)) return fs::absolute(checkpoint.path);
  ModelWish wish{.directory = fs::absolute(recipe.output / "base"),
                 .position = result.position,
                 .window = result.window,
                 .type = {},
                 .symbolic = true};
  if (there(wish.directory)) return wish.directory;
  try {
    for (const std::string& sentence : write_model(checkpoint, config, wish))
      if (note) note(fmt::format("{}: {}", wish.directory.string(), sentence));
  } catch (const Error& e) {  // the adapter is what matters
    if (note) note(e.what());
    return {};
  }
  return wish.directory;
}

}  // namespace

void check_writable(const Recipe& recipe, const Checkpoint& checkpoint, const TrainingModel& model) {
  bool adapters = recipe.trained.lora_rank > 0;
  if (adapters && !recipe.merge) return;
  if (checkpoint.format == CheckpointFormat::Gguf) {
    named_weights(model.model.weights, model.model.config);
    return;
  }
  for (const Parameter& p : model.parameters)
    if (!is_adapter(p) && !checkpoint.find(p.name))
      fail("{}: its files have no tensor {}: this family can train adapters only", checkpoint.path.string(),
           excerpt(p.name));
}

void average(const Recipe& recipe, const Checkpoint& checkpoint, TrainingModel& model) {
  if (recipe.averaged > 1) {
    std::vector<fs::path> files = snapshots(recipe.output / "snapshots");
    files.resize(std::min(files.size(), static_cast<size_t>(recipe.averaged)));
    average_snapshots(files, model);
  }
  if (recipe.original_share <= 0) return;
  TrainingModel original = make_training_model(checkpoint, model.model.config, model.model.device,
                                               model.model.compute, recipe.trained, recipe.seed);
  auto share = static_cast<float>(recipe.original_share);
  for (size_t i = 0; i < model.parameters.size(); ++i) {
    const Parameter& p = model.parameters[i];
    if (p.name.find(".lora_A") != std::string::npos) continue;  // B alone scales the product; its start is 0
    model.model.kernels().axpby(p.value, 1 - share, original.parameters[i].value, share);
  }
  parameters_changed(model);
}

void write_result(const Recipe& recipe, const Checkpoint& checkpoint, const TrainingModel& model,
                  const std::function<void(const std::string&)>& note) {
  const Stage& last = recipe.stages.back();
  ModelWish wish;
  wish.position = stage_position(last, model.model.config);
  wish.window = extended_context(*wish.position);
  for (const Stage& stage : recipe.stages) wish.window = std::max(wish.window, stage_reach(stage));
  wish.type = recipe.type;
  Arena memory;
  wish.replaced = whole_parameters(model, memory);
  auto say = [&](const std::string& what, const fs::path& where) {
    if (note) note(fmt::format("{}: {}", where.string(), what));
  };
  if (recipe.trained.lora_rank > 0) {
    fs::path folder = recipe.output / "adapter";
    std::string position = describe(*wish.position);
    fs::path base = base_for_peft(recipe, checkpoint, wish, note);
    write_adapter(folder, model, recipe.trained,
                  base.empty() ? fs::absolute(checkpoint.path).string() : base.string(), position,
                  recipe.type.value_or(DType::F32));
    write_file_atomic(folder / "README.md", readme(checkpoint, folder, base, position, wish.window));
    say(fmt::format("the adapter, trained under {}{}", position,
                    base.empty() ? "; PEFT needs a base with these positions, see README.md there" : ""),
        folder);
    if (!recipe.merge) return;
    for (NamedTensor& t : merged_weights(model.model, memory)) wish.replaced.push_back(std::move(t));
  }
  wish.directory = recipe.output / (recipe.trained.lora_rank > 0 ? "merged" : "model");
  if (there(wish.directory)) {
    say("already exists; left unchanged", wish.directory);
    return;
  }
  for (const std::string& sentence : write_model(checkpoint, model.model.config, wish))
    if (note) note(sentence);
  say(fmt::format("the model, a window of {} tokens under {}", wish.window, describe(*wish.position)),
      wish.directory);
}

}  // namespace longspan
