#include "generate/plan.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>

#include "base/error.h"
#include "position/laws.h"

namespace longspan {

namespace {

// Trial: stretching SmolLM2-135M-Instruct in PyTorch before this program existed (November 2026); needles are
// four facts in one haystack of books.
const TrainingRecipe kRecipes[] = {
    {"SmolLM2-135M trial, yarn 32, first stage", 134.5e6, 8192, 32768, 11.6e6, "97 % of needles at 32K"},
    {"SmolLM2-135M trial, yarn 32, three stages", 134.5e6, 8192, 131072, 28.0e6,
     "94 % of needles at 32K, 87 % at 128K"},
    {"SmolLM2-135M trial, the same at 256K", 134.5e6, 8192, 262144, 28.0e6, "56 % at 256K: not solved"},
    {"Index-1.9B-32K, base 320000", 2.173e9, 4096, 32768, 10e9, "LongBench 35.2, from 7.7"},
    {"ProLong-8B, base 8e6", 8e9, 8192, 65536, 20e9, "best of its size on HELMET"},
    {"ProLong-8B, base 1.28e8", 8e9, 8192, 524288, 40e9, "best of its size on HELMET"},
    {"LongRoPE2 on Llama-3-8B", 8e9, 8192, 131072, 10e9, "98.5 % of short scores kept"},
    {"XVERSE-13B-256K, base 500000, stage at 32K", 13.7e9, 8192, 32768, 640e9,
     "a fifth of 3.2T; stretched to 256K by fine-tuning"},
    {"Llama 2 Long 70B, base 500000", 70e9, 4096, 32768, 400e9, "arXiv 2309.16039"},
    {"Llama-3-Giraffe-70B, dynamic_ntk 4, PoSE", 70e9, 8192, 131072, 1.5e9, "reaches about 128K"},
};

double times_trained(const PositionConfig& model, int64_t target) {
  return static_cast<double>(target) / static_cast<double>(std::max<int64_t>(1, model.trained_context));
}

/// Rounded up to one digit: 886,000 -> 900,000.
double one_digit_up(double x) {
  double unit = std::pow(10, std::floor(std::log10(x)));
  return std::ceil(x / unit - 1e-9) * unit;
}

/// The least factor of one decimal that covers the target.
std::string factor_text(double ratio) { return fmt::format("{:.6g}", std::ceil(ratio * 10 - 1e-9) / 10); }

bool reaches(const PositionConfig& model, int64_t target) {
  int64_t window = extended_context(model);
  return window == 0 || target <= window;
}

bool plain(const PositionConfig& model) { return model.method == "rope" || model.method == "abf"; }

/// A model that is stretched already keeps the frequencies it was trained with: its base is raised so that
/// the slowest of them turns `ratio` times slower and the fastest as before.
Advice advise_on_top(const PositionConfig& model, const HeadShape& shape, int64_t target) {
  auto r = static_cast<double>(shape.rotary_dim);
  double ratio = static_cast<double>(target) / static_cast<double>(extended_context(model));
  PositionConfig raised = model;
  raised.values.erase("length");
  if (r > 2) raised.base = std::round(model.base * std::pow(ratio, r / (r - 2)));
  return {
      describe(raised),
      fmt::format("the model is stretched by {} already and keeps it: only its base is raised, as ntk raises "
                  "it, by the {:.3g} that are missing; nothing of this was measured, try it with compare",
                  model.method, ratio)};
}

}  // namespace

BaseLaws base_laws(const PositionConfig& model, const HeadShape& shape, int64_t target) {
  BaseLaws laws;
  auto n = static_cast<double>(target);
  int64_t r = shape.rotary_dim;
  laws.critical_dimension = critical_dimension(r, model.base, static_cast<double>(model.trained_context));
  laws.extrapolation_limit = extrapolation_limit(r, laws.critical_dimension, model.base);
  if (laws.critical_dimension > 0) laws.base_for_limit = base_for_limit(r, laws.critical_dimension, n);
  laws.smallest_base = smallest_base(r, target);
  laws.fitted_smallest_base = fitted_smallest_base(n);
  laws.recommended =
      std::max(model.base, one_digit_up(std::max(laws.base_for_limit, laws.fitted_smallest_base)));
  return laws;
}

Advice advise_untrained(const PositionConfig& model, const HeadShape& shape, int64_t target) {
  if (reaches(model, target)) return {describe(model), "the model reaches that far as it is"};
  if (!plain(model)) return advise_on_top(model, shape, target);
  double ratio = times_trained(model, target);
  if (ratio > 4)
    return {
        fmt::format("yarn:factor={}", factor_text(ratio)),
        "beyond four times the window no method retrieves anything without training (trial: 0 of 12 needles "
        "at "
        "8 times under every one); yarn at least kept the text readable (4.03 nats there, 3.47 inside the "
        "window)"};
  auto window = std::clamp<int64_t>(model.trained_context / 8, 1, 1024);
  // The smallest group that keeps every distance within what was trained: coarser ones cost loss.
  auto group = static_cast<int64_t>(
      std::ceil(static_cast<double>(target - window) /
                static_cast<double>(std::max<int64_t>(1, model.trained_context - window))));
  return {
      fmt::format("self_extend:group={},length={},window={}", group, target, window),
      "held loss best without training on SmolLM2-135M: 3.427 nats at 2 times the window and 3.448 at 4 "
      "times, 3.420 inside it (docs/methods.md; yarn, which costs no second copy of keys: 3.472 and 3.621); "
      "of needles it found 20 % and 10 % in the trial, with coarser groups"};
}

Advice advise_trained(const PositionConfig& model, const HeadShape& shape, int64_t target) {
  if (reaches(model, target)) return {describe(model), "the model reaches that far as it is"};
  if (!plain(model)) return advise_on_top(model, shape, target);
  double ratio = times_trained(model, target);
  if (ratio > 4)
    return {fmt::format("yarn:factor={}", factor_text(ratio)),
            "beyond four times the window yarn trained best in the trial (58 % of needles at 32 times after "
            "training "
            "at 4 times, a raised base 17 %; n = 12 each)"};
  return {fmt::format("abf:base={:.0f}", base_laws(model, shape, target).recommended),
          "up to four times the window a raised base was gentlest in the trial (short texts -1.8 % loss, "
          "book loss "
          "3.317 against 3.38 to 3.44 under yarn; 81 % of needles at 4 times, yarn 97 %)"};
}

std::span<const TrainingRecipe> training_recipes() { return kRecipes; }

const TrainingRecipe& nearest_recipe(double parameters, int64_t target) {
  const TrainingRecipe* best = nullptr;
  double least = std::numeric_limits<double>::infinity();
  for (const TrainingRecipe& recipe : kRecipes) {
    double distance = std::abs(std::log(parameters / recipe.parameters)) + (recipe.to < target ? 1e3 : 0);
    if (distance < least) least = distance, best = &recipe;
  }
  return *best;
}

double training_flops_per_token(const ModelConfig& config, int64_t parameters, int64_t length) {
  double seen = static_cast<double>(length) / 2;
  if (config.sliding_window > 0) seen = std::min(seen, static_cast<double>(config.sliding_window));
  auto width = static_cast<double>(config.num_hidden_layers * config.num_attention_heads * config.head_dim);
  // Scores and their sum over values: 2 products of 2 FLOPs, once forward and twice backward.
  return 6.0 * static_cast<double>(parameters) + 12.0 * width * seen;
}

int64_t multiplied_parameters(const Checkpoint& checkpoint, const ModelConfig& config) {
  int64_t embedding = config.tie_word_embeddings ? 0 : config.vocab_size * config.hidden_size;
  return checkpoint.parameters() - embedding;
}

MemoryRow memory_row(const Checkpoint& checkpoint, const ModelConfig& config, const std::string& position,
                     EngineOptions options, int64_t target, int64_t available) {
  ModelConfig stretched = config;
  if (!position.empty()) stretched.position = parse_position(position, config.position);
  MemoryRow row;
  row.position = describe(stretched.position);
  row.cache_dtype = options.cache_dtype;
  row.key_copies = static_cast<int64_t>(
      rotations(position_spec(stretched.position, stretched.head_shape(), target)).keys.size());
  row.plan = plan_memory(checkpoint, stretched, options, target);
  row.fits = row.plan.total() <= available;
  int64_t rest = available - (row.plan.total() - row.plan.kv_cache);
  int64_t page = KvCache::bytes(stretched, options.cache_dtype, 1, row.key_copies);
  row.longest = std::max<int64_t>(0, rest / page) * kPageTokens;
  return row;
}

int64_t available_memory() {
  std::ifstream in("/proc/meminfo");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("MemAvailable:")) return std::strtoll(line.c_str() + 13, nullptr, 10) * 1024;
  return 0;
}

}  // namespace longspan
