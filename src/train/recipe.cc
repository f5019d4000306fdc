// The keys of a recipe and what their values must be: read_recipe is the reference of the format.
#include "train/recipe.h"

#include <fmt/ranges.h>
#include <xxhash.h>

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "base/settings.h"
#include "base/text.h"
#include "model/frozen_context.h"
#include "tokenizer/chat_template.h"

namespace longspan {

namespace fs = std::filesystem;

namespace {

/// The keys that texts and conversations share: length, weight, files, positions. T: TextOptions or
/// ChatOptions. `others`: the keys that only one of them has.
template <typename T>
void read_row_data(Settings& s, T& options, double& weight, std::vector<fs::path>& files, int64_t length,
                   const fs::path& base, const std::vector<std::string>& others) {
  options.row_tokens = length;
  s.read("length", options.row_tokens, 2, length);
  s.read("weight", weight, 0);
  s.read("files", files, base);
  std::string positions = "sequential";
  s.read("positions", positions, {"sequential", "skipped", "randomised"});
  if (positions == "skipped") options.positions = TrainingPositions::Skipped;
  if (positions == "randomised") options.positions = TrainingPositions::Randomised;
  bool target = s.read("position_target", options.position_target, 2);
  s.read("position_chunks", options.position_chunks, 2);
  s.read("position_share", options.position_share, 0, 1);
  s.done(others);
  bool skipped = options.positions == TrainingPositions::Skipped;
  if (skipped && options.position_target < options.row_tokens)
    s.refuse("positions", fmt::format("skipped positions need position_target, at least the length {}",
                                      options.row_tokens));
  if (target && !skipped) s.refuse("position_target", "only positions = \"skipped\" have one");
}

TextData read_text_data(Settings& s, int64_t length, const fs::path& base) {
  TextData data;
  TextOptions& o = data.options;
  read_row_data(s, o, data.weight, data.files, length, base,
                {"shards", "rows", "min_tokens", "categories", "up_sampling"});
  s.read("shards", o.folders, base);
  std::string windows = "packed";
  s.read("rows", windows, {"packed", "overlapping"});
  o.overlapping = windows == "overlapping";
  s.read("min_tokens", o.min_tokens, 0);
  s.table("categories", [&](Settings& c) { o.categories = c.numbers(0); });
  s.tables("up_sampling", [&](Settings& u) {
    TextOptions::LongOnes ones;
    u.read("tokens", ones.tokens, 1);
    u.read("times", ones.times, 0);
    o.up_sampling.push_back(ones);
  });
  if (data.files.empty() == o.folders.empty())
    s.refuse("files", "either files (to be tokenised) or shards (folders of them) are needed");
  return data;
}

ChatData read_chat_data(Settings& s, int64_t length, const fs::path& base) {
  ChatData data;
  ChatOptions& o = data.options;
  read_row_data(s, o, data.weight, o.files, length, base,
                {"pack", "text_weight", "answer_weight", "text_share", "frozen", "on_bad"});
  s.read("pack", o.pack);
  s.read("text_weight", o.text_weight, 0);
  s.read("answer_weight", o.answer_weight, 0);
  if (s.read("text_share", o.text_share, 0, 0.99) && o.text_weight > 0)
    s.refuse("text_share", "the text has a text_weight already");
  s.read("frozen", o.frozen);
  o.frozen_row_tokens = std::min(kFrozenPassTokens, o.row_tokens);
  std::string on_bad = "skip";
  s.read("on_bad", on_bad, {"skip", "fail"});
  o.on_bad = on_bad == "skip" ? OnBadDocument::Skip : OnBadDocument::Fail;
  if (o.files.empty()) s.refuse("files", "conversations (JSONL with \"messages\") are needed");
  if (o.text_weight + o.answer_weight <= 0)
    s.refuse("answer_weight", "text_weight and answer_weight are both 0");
  if (o.frozen && (o.text_weight > 0 || o.text_share > 0))
    s.refuse("frozen", "a frozen context is not learnt: leave out text_weight and text_share");
  if (o.frozen && o.positions != TrainingPositions::Sequential)
    s.refuse("frozen", "rows behind a frozen context have sequential positions");
  return data;
}

RowData read_data(Settings& s, int64_t length, const fs::path& base) {
  RowData data;
  s.tables("text", [&](Settings& t) { data.text.push_back(read_text_data(t, length, base)); });
  s.tables("chat", [&](Settings& c) { data.chat.push_back(read_chat_data(c, length, base)); });
  double sum = 0;
  for (const TextData& t : data.text) sum += t.weight;
  for (const ChatData& c : data.chat) sum += c.weight;
  if (!data.empty() && sum <= 0) s.refuse("text", "the weights of all text and chat data are 0");
  return data;
}

void read_short(Settings& s, ShortRows& rows, const fs::path& base) {
  s.read("rows", rows.rows, 0);
  s.read("tokens", rows.tokens, 2);
  s.read("cross_entropy", rows.cross_entropy, 0);
  s.read("divergence", rows.divergence, 0);
  s.done({"text", "chat"});
  rows.data = read_data(s, rows.tokens, base);
  for (const ChatData& chat : rows.data.chat)
    if (chat.options.frozen) s.refuse("chat", "short rows have no frozen context");
  if (rows.rows == 0) return;
  if (rows.data.empty())
    s.refuse("rows", "short rows need data: [[stage.short.text]] or [[stage.short.chat]]");
  if (rows.cross_entropy + rows.divergence <= 0)
    s.refuse("rows", "short rows without weight: give cross_entropy or divergence");
}

/// False without a learning rate.
bool read_schedule(Settings& s, Schedule& schedule) {
  std::string decay = "cosine";
  bool has_rate = s.read("lr", schedule.lr, 0);
  s.read("warmup", schedule.warmup, 0);
  s.read("final", schedule.final, 0, 1);
  s.read("decay_share", schedule.decay_share, 0, 1);
  s.read("schedule", decay, decay_names());
  schedule.decay = decay_named(decay);
  return has_rate;
}

int64_t shortest_rows(const Stage& stage) {
  int64_t least = stage.row_tokens;
  for (const TextData& t : stage.data.text) least = std::min(least, t.options.row_tokens);
  for (const ChatData& c : stage.data.chat) least = std::min(least, c.options.row_tokens);
  return least;
}

Stage read_stage(Settings& s, size_t number, const fs::path& base) {
  Stage stage;
  stage.name = fmt::format("stage {}", number + 1);
  s.read("name", stage.name);
  s.read("position", stage.position);
  bool has_length = s.read("length", stage.row_tokens, 2);
  bool has_batch = s.read("batch_tokens", stage.batch_tokens, 1);
  int64_t tokens = 0;
  bool by_steps = s.read("steps", stage.steps, 1), by_tokens = s.read("tokens", tokens, 1);
  bool has_rate = read_schedule(s, stage.schedule);
  s.read("fresh_optimizer", stage.fresh_optimizer);
  s.done({"text", "chat", "short"});
  if (!has_length) s.refuse("length", "the length of the rows is needed");
  stage.data = read_data(s, stage.row_tokens, base);
  if (stage.data.empty()) s.refuse("length", "a stage needs data: [[stage.text]] or [[stage.chat]]");
  if (!has_batch) stage.batch_tokens = stage.row_tokens;
  if (stage.batch_tokens < shortest_rows(stage))
    s.refuse("batch_tokens",
             fmt::format("{} is less than one row of {}", stage.batch_tokens, shortest_rows(stage)));
  if (by_steps == by_tokens) s.refuse("steps", "either steps or tokens is needed");
  if (by_tokens) stage.steps = (tokens + stage.batch_tokens - 1) / stage.batch_tokens;
  stage.schedule.steps = stage.steps;
  if (!has_rate) s.refuse("lr", "a learning rate is needed");
  if (stage.schedule.warmup > stage.steps)
    s.refuse("warmup",
             fmt::format("{} steps of warm-up in a stage of {}", stage.schedule.warmup, stage.steps));
  s.table("short", [&](Settings& t) { read_short(t, stage.short_rows, base); });
  return stage;
}

void read_trained(Settings& s, Trained& t) {
  s.read("all", t.all);
  s.read("lora_rank", t.lora_rank, 0, 1 << 16);
  s.read("lora_alpha", t.lora_alpha, 0);
  s.read("projections", t.projections);
  s.read("norms", t.norms);
  s.read("embeddings", t.embeddings);
  s.read("norm_lr", t.norm_lr, 0);
  s.read("lora_start", t.lora_start, 0);
  s.done();
  if (!t.all && t.lora_rank == 0 && !t.norms && !t.embeddings)
    s.refuse("all", "nothing trains: all = true, lora_rank, norms or embeddings are needed");
  if (t.all && t.lora_rank > 0) s.refuse("lora_rank", "all weights and adapters cannot train together");
  if (t.lora_rank > 0 && t.projections.empty())
    t.projections = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"};
}

void read_running(Settings& s, Recipe& r, const fs::path& base) {
  s.table("optimizer", [&](Settings& o) {
    o.read("beta1", r.beta1, 0, 1);
    o.read("beta2", r.beta2, 0, 1);
    o.read("eps", r.eps, 0);
    o.read("weight_decay", r.weight_decay, 0);
    o.read("clip", r.clip, 0);
  });
  s.table("plan", [&](Settings& p) {
    p.read("recompute", r.plan.recompute);
    p.read("keep_attention", r.plan.keep_attention);
    p.read("deterministic", r.plan.deterministic);
    p.read("head_chunk", r.plan.head_chunk, 1, 1 << 20);
  });
  s.table("snapshots", [&](Settings& p) {
    p.read("steps", r.snapshot_steps, 0);
    p.read("minutes", r.snapshot_minutes, 0);
    p.read("kept", r.snapshots_kept, 1);
  });
  s.table("validation", [&](Settings& v) {
    v.read("steps", r.validation_steps, 0);
    v.read("files", r.validation_files, base);
    v.read("lengths", r.validation_lengths, 2);
    v.read("windows", r.validation_windows, 1);
    v.done();
    if (r.validation_steps > 0 && (r.validation_files.empty() || r.validation_lengths.empty()))
      v.refuse("steps", "validation needs files and lengths");
  });
}

void read_result(Settings& s, Recipe& r) {
  s.table("result", [&](Settings& t) {
    t.read("averaged", r.averaged, 0);
    t.read("original_share", r.original_share, 0, 1);
    t.read("merge", r.merge);
    std::string type;
    if (t.read("type", type)) {
      t.done();
      r.type = dtype_from_name(type);
      if (!r.type || is_quantised(*r.type) || *r.type == DType::I32)
        t.refuse("type", "expected \"f32\", \"f16\" or \"bf16\"");
    }
    t.done();
    if (r.averaged > 1 && r.snapshot_steps == 0)
      t.refuse("averaged", "averaging snapshots needs snapshots by steps: [snapshots] steps");
    if (r.merge && r.trained.lora_rank == 0) t.refuse("merge", "only adapters can be merged");
  });
}

/// Digest of everything that decides the numbers, but not of where or how often they are written.
uint64_t digest_of(const Json& recipe) {
  nlohmann::json numbers = recipe;  // its keys are sorted, so the order of overrides does not count
  for (const char* key : {"name", "source", "output", "snapshots", "result", "validation"})
    numbers.erase(key);
  std::string bytes = numbers.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return XXH64(bytes.data(), bytes.size(), 0);
}

/// As a path if such a file exists, else as a name.
std::string path_or_name(const std::string& text, const fs::path& base) {
  std::error_code ignored;
  fs::path path = (base / text).lexically_normal();
  return fs::exists(path, ignored) ? path.string() : text;
}

}  // namespace

int64_t Recipe::steps() const {
  int64_t n = 0;
  for (const Stage& stage : stages) n += stage.steps;
  return n;
}

Recipe read_recipe(const fs::path& file, const std::vector<std::string>& overrides) {
  TomlFile toml = parse_toml(read_file(file), file.string());
  for (const std::string& text : overrides) apply_override(toml, parse_override(text));
  fs::path base = file.parent_path();
  Recipe r;
  r.file = file;
  r.text = toml_text(toml.values);
  r.digest = digest_of(toml.values);
  Settings s(toml.values, {.file = file.string(), .places = &toml.places});
  r.name = file.stem().string();
  s.read("name", r.name);
  s.read("source", r.source);
  std::string output = "runs/" + r.name, compute;
  bool has_model = s.read("model", r.model);
  s.read("chat_template", r.chat_template);
  r.output = s.read("output", output) ? (base / output).lexically_normal() : fs::path(output);
  int64_t seed = 1;
  s.read("seed", seed, 0);
  r.seed = static_cast<uint64_t>(seed);
  if (s.read("compute", compute, {"f32", "bf16"}))
    r.compute = compute == "f32" ? Compute::F32 : Compute::BF16;
  s.read("jump", r.jump, 1);
  s.done({"trained", "optimizer", "plan", "snapshots", "validation", "result", "stage"});
  if (!has_model) s.refuse("model", "the model to start from is needed");
  r.model = path_or_name(r.model, base);
  if (!r.chat_template.empty() && !builtin_chat_template(r.chat_template))
    r.chat_template = path_or_name(r.chat_template, base);
  s.table("trained", [&](Settings& t) { read_trained(t, r.trained); });
  if (!s.has("trained")) s.refuse("trained", "what trains is needed: [trained] all = true or lora_rank");
  read_running(s, r, base);
  read_result(s, r);
  s.tables("stage", [&](Settings& t) { r.stages.push_back(read_stage(t, r.stages.size(), base)); });
  if (r.stages.empty()) s.refuse("stage", "a recipe needs at least one [[stage]]");
  s.done();
  return r;
}

void check_files(const Recipe& r) {
  std::vector<std::string> missing;
  auto look = [&](const std::vector<fs::path>& paths) {
    std::error_code ignored;
    for (const fs::path& path : paths)
      if (!fs::exists(path, ignored) && std::find(missing.begin(), missing.end(), path) == missing.end())
        missing.push_back(path.string());
  };
  auto look_at = [&](const RowData& data) {
    for (const TextData& t : data.text) look(t.files), look(t.options.folders);
    for (const ChatData& c : data.chat) look(c.options.files);
  };
  look(r.validation_files);
  for (const Stage& stage : r.stages) look_at(stage.data), look_at(stage.short_rows.data);
  if (!missing.empty())
    fail("{}: there is no {}; put the data there or change the recipe", r.file.string(),
         fmt::join(missing, ", no "));
}

int64_t stage_reach(const Stage& stage) {
  int64_t reach = stage.row_tokens;
  for (const TextData& t : stage.data.text) reach = std::max(reach, t.options.position_target);
  for (const ChatData& c : stage.data.chat) reach = std::max(reach, c.options.position_target);
  return reach;
}

int64_t pass_tokens(const Stage& stage) {
  int64_t tokens = 0;
  for (const TextData& t : stage.data.text) tokens = std::max(tokens, t.options.row_tokens);
  for (const ChatData& c : stage.data.chat)
    tokens = std::max(tokens, c.options.frozen ? c.options.frozen_row_tokens : c.options.row_tokens);
  // Without frozen contexts some rows may come from the caller, as long as the stage says.
  if (frozen_tokens(stage) == 0) tokens = std::max(tokens, stage.row_tokens);
  return std::max(tokens, stage.short_rows.rows > 0 ? stage.short_rows.tokens : 0);
}

int64_t frozen_tokens(const Stage& stage) {
  int64_t tokens = 0;
  for (const ChatData& c : stage.data.chat)
    if (c.options.frozen) tokens = std::max(tokens, c.options.row_tokens);
  return tokens;
}

PositionConfig stage_position(const Stage& stage, const ModelConfig& model) {
  try {
    PositionConfig position =
        stage.position.empty() ? model.position : parse_position(stage.position, model.position);
    int64_t window = extended_context(position), reach = stage_reach(stage);
    bool grows = position_spec(position, model.head_shape(), reach).depends_on_length;
    if (window > 0 && reach > window && !grows)
      fail("its positions reach {}, but {} reaches {} only; {}, or insist with length={}", reach,
           describe(position), window,
           position.values.contains("factor")
               ? std::string("give it a larger factor")
               : "choose a method that stretches them, such as yarn with a factor",
           reach);
    if (frozen_tokens(stage) > 0) check_frozen(model, position_spec(position, model.head_shape(), reach));
    return position;
  } catch (const Error& e) {
    fail("stage {}: {}", in_quotes(stage.name), e.what());
  }
}

PositionSpec stage_spec(const Stage& stage, const ModelConfig& model) {
  return position_spec(stage_position(stage, model), model.head_shape(), stage_reach(stage));
}

}  // namespace longspan
