#include "model/memory.h"

#include <algorithm>

#include "base/error.h"
#include "base/text.h"
#include "model/flops.h"
#include "model/frozen_context.h"

namespace longspan {

namespace {

// Fitted together to the resident memory of SmolLM2 (49,152 entries) minus everything else in the plan: code,
// libraries and oneDNN's generated code, and a share for each entry of the vocabulary. The two were not
// measured separately for other sizes.
constexpr int64_t kProgramBytes = int64_t{12} << 20;
constexpr int64_t kVocabularyEntryBytes = 220;
// The same for training, with its rows: rounded up.
constexpr int64_t kTrainingProgramBytes = int64_t{64} << 20;
// cuBLASLt's workspace, and what kernels and cuDNN load when first used.
constexpr int64_t kGpuLibraryBytes = int64_t{512} << 20;

int64_t validation_bytes(const ModelConfig& config, CacheTypes types, const TrainingShape::Held& v) {
  return kv_bytes(config, types, v.tokens, key_copies(v.spec)) +
         activation_bytes(config, v.spec, std::min(v.chunk, v.tokens));
}

/// What operations on a GPU take beside their operands: of a product the BF16 copies of weight and input, of
/// attention a layer's keys and values in BF16 and its results. Estimated from shapes, not fitted to a card.
int64_t gpu_working_bytes(const ModelConfig& c, int64_t chunk, const MemoryUse& use) {
  int64_t widest = std::max(c.intermediate_size, c.num_attention_heads * c.head_dim);
  int64_t outputs = use.scored ? std::max(widest, c.vocab_size) : widest;
  int64_t products = 2 * (outputs * c.hidden_size + chunk * widest);
  int64_t attention = 4 * use.tokens * c.num_key_value_heads * c.head_dim +
                      3 * chunk * c.num_attention_heads * c.head_dim * int64_t{sizeof(float)};
  return kGpuLibraryBytes + std::max(products, attention);
}

}  // namespace

MemoryPlan plan_memory(const WeightsPlan& weights, const ModelConfig& config, const Kernels& k,
                       CacheTypes cache_types, int64_t chunk, const MemoryUse& use) {
  MemoryPlan plan;
  plan.weights = weights.mapped;
  plan.copied = weights.copied;
  plan.packed = weights.packed;
  PositionSpec spec = position_spec(config.position, config.head_shape(), use.tokens);
  plan.kv_cache = use.sequences * kv_bytes(config, cache_types, use.tokens, key_copies(spec));
  plan.scoring = weights.packed_head + (kHeadRows - 1) * dtype_bytes(DType::F32, config.vocab_size);
  if (k.on_host) {
    int64_t rows = std::min(chunk, use.sequences * use.tokens);  // those that are touched
    plan.activations = activation_bytes(config, spec, rows, 1);
    plan.program = kProgramBytes + kVocabularyEntryBytes * config.vocab_size;
  } else {
    plan.weights = weights.uploaded, plan.copied = 0;
    plan.activations = activation_bytes(config, spec, chunk);
    // A pool takes at most 9/10 of what is free (Engine::make_pool).
    plan.program = std::max(gpu_working_bytes(config, chunk, use), plan.kv_cache / 9 - plan.activations);
  }
  return plan;
}

MemoryPlan plan_memory(const Checkpoint& checkpoint, const ModelConfig& config, const Kernels& k,
                       Compute compute, WeightReading reading, CacheTypes cache_types, int64_t chunk,
                       int64_t context) {
  return plan_memory(plan_weights(checkpoint, config, k, compute, reading), config, k, cache_types, chunk,
                     {.tokens = context});
}

int64_t key_copies(const ModelConfig& config, int64_t context) {
  return key_copies(position_spec(config.position, config.head_shape(), context));
}

int64_t longest_context(const MemoryPlan& plan, const ModelConfig& config, CacheTypes cache_types,
                        int64_t copies, int64_t available) {
  int64_t rest = available - (plan.total() - plan.kv_cache);
  int64_t page = kv_bytes(config, cache_types, 1, copies);
  return std::max<int64_t>(0, rest / page) * kPageTokens;
}

MemoryFit fit_memory(const MemoryPlan& plan, const ModelConfig& config, CacheTypes cache_types,
                     const MemoryUse& use, std::optional<int64_t> available) {
  MemoryFit fit{.use = use, .kv_cache = plan.kv_cache, .available = available};
  fit.needed = plan.total() + (use.scored ? plan.scoring : 0);
  if (available) {
    int64_t rest = *available - (fit.needed - plan.kv_cache);
    int64_t page = use.sequences * kv_bytes(config, cache_types, 1, key_copies(config, use.tokens));
    fit.longest = std::max<int64_t>(0, rest / page) * kPageTokens;
  }
  return fit;
}

std::string describe(const MemoryFit& fit) {
  auto human = [](int64_t bytes) { return human_bytes(static_cast<double>(bytes)); };
  std::string texts = fit.use.sequences > 1 ? fmt::format(" in each of {} texts", fit.use.sequences) : "";
  return fmt::format("{} tokens{} need {} of memory, {} of it for keys and values, and {} has {} free: {}",
                     grouped(fit.use.tokens), texts, human(fit.needed), human(fit.kv_cache), fit.where,
                     fit.available ? human(*fit.available) : "enough",
                     fit.longest > 0 ? fmt::format("{} tokens{} fit", grouped(fit.longest), texts)
                                     : std::string("not even the weights fit"));
}

MemoryTable plan_training_memory(const Checkpoint& checkpoint, const ModelConfig& config, const Kernels& k,
                                 const TrainingShape& shape) {
  WeightsPlan weights = plan_weights(checkpoint, config, k, shape.compute, WeightReading::Packed);
  int64_t trained = trained_elements(config, shape.trained) * 4;
  // Backward packs the other side of a product, too.
  int64_t packed = 2 * (weights.packed + weights.packed_head);
  int64_t buffers = 0, validation = 0;
  DType kv = shape.compute == Compute::BF16 ? DType::BF16 : DType::F32;
  int64_t rank = shape.trained.lora_rank;
  for (const TrainingShape::Rows& rows : shape.stages) {
    DType dtype = k.product_dtype(shape.compute, rows.tokens);
    int64_t bytes = training_buffer_bytes(config, dtype, rows.spec, rows.tokens, shape.plan, rank);
    if (rows.context > 0)
      bytes += FrozenContext::bytes(config, rows.spec, rows.context, rows.tokens, dtype, k, rank);
    buffers = std::max(buffers, bytes);
  }
  for (const TrainingShape::Held& held : shape.validations)
    validation = std::max(validation, validation_bytes(config, {kv, kv}, held));
  // The rows of length 1 that a model with NormHead multiplies with stand beside the head that trains.
  bool unit_head = config.norm_head && shape.trained.embeddings && !config.tie_word_embeddings;
  int64_t unit = unit_head ? dtype_bytes(DType::F32, config.vocab_size * config.hidden_size) : 0;
  MemoryTable table = {
      {"weights of the file", weights.mapped},
      {"copied weights", weights.copied},
      {"trained weights", trained + unit},
      {"gradients", trained + unit},
      {"moments", 2 * trained},
      {"packed for products", packed},
      {"buffers of a row", buffers},
      {"program", kTrainingProgramBytes},
  };
  // The buffers of rows stay while held-out texts are read.
  if (validation > 0) table.emplace_back("validation", validation);
  if (shape.original)
    table.emplace_back("original model", weights.copied + weights.packed + weights.packed_head);
  return table;
}

void check_memory(const MemoryTable& table, std::optional<int64_t> available) {
  int64_t needed = 0;
  for (const auto& [label, bytes] : table) needed += bytes;
  auto human = [](int64_t bytes) { return human_bytes(static_cast<double>(bytes)); };
  if (!available || needed <= *available) return;
  auto most = std::max_element(table.begin(), table.end(),
                               [](const auto& a, const auto& b) { return a.second < b.second; });
  fail(
      "the run needs {} of memory, {} are available, {} are missing; most of it is {} ({}): train adapters, "
      "shorter rows or with recompute",
      human(needed), human(*available), human(needed - *available), most->first, human(most->second));
}

}  // namespace longspan
