#include "generate/memory_plan.h"

#include <algorithm>

namespace longspan {

namespace {
// Together fitted to the resident memory of SmolLM2 (49,152 entries) less everything else in the plan: code,
// libraries and oneDNN's generated code; then a share for each entry of the vocabulary, which was not
// measured apart for other sizes.
constexpr int64_t kProgramBytes = int64_t{12} << 20;
constexpr int64_t kVocabularyEntryBytes = 220;
}  // namespace

MemoryPlan plan_memory(const Checkpoint& checkpoint, const ModelConfig& config, const EngineOptions& options,
                       int64_t context) {
  const Kernels& k = options.kernels.empty() ? kernels() : kernels_named(options.kernels);
  WeightsPlan weights = plan_weights(checkpoint, config, k, options.compute.value_or(preferred_compute(k)));
  MemoryPlan plan;
  plan.weights = weights.mapped;
  plan.copied = weights.copied;
  plan.packed = weights.packed;
  PositionSpec spec = position_spec(config.position, config.head_shape(), context);
  plan.kv_cache =
      KvCache::bytes(config, options.cache_dtype, context, static_cast<int64_t>(rotations(spec).keys.size()));
  plan.activations = activation_bytes(config, spec, std::min(options.chunk, context), 1);
  plan.scoring = weights.packed_head + (kHeadRows - 1) * dtype_bytes(DType::F32, config.vocab_size);
  plan.program = kProgramBytes + kVocabularyEntryBytes * config.vocab_size;
  return plan;
}

}  // namespace longspan
