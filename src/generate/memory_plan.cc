#include "generate/memory_plan.h"

#include <algorithm>

namespace longspan {

namespace {
// Measured: resident memory of a run on SmolLM2 less everything else in the plan, and of `longspan tokenize`
// on vocabularies of 49,152 and 151,936 entries. Code, libraries and oneDNN's generated code; then one entry
// of a vocabulary.
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
  plan.kv_cache = KvCache::bytes(config, options.cache_dtype, context);
  plan.activations = activation_bytes(config, std::min(options.chunk, context), 1);
  plan.scoring = weights.packed_head + (kHeadRows - 1) * dtype_bytes(DType::F32, config.vocab_size);
  plan.program = kProgramBytes + kVocabularyEntryBytes * config.vocab_size;
  return plan;
}

}  // namespace longspan
