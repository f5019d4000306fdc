#include "generate/memory_plan.h"

#include <algorithm>

namespace longspan {

namespace {
// Measured as resident memory after loading minus everything else in the plan, for vocabularies of 49,152 and 151,936
// entries (docs/memory.md has the command): code and libraries, then vocabulary, merges and their index.
constexpr int64_t kProgramBytes = int64_t{30} << 20;
constexpr int64_t kVocabularyEntryBytes = 300;
}  // namespace

MemoryPlan plan_memory(const Checkpoint& checkpoint, const ModelConfig& config, const EngineOptions& options, int64_t context) {
  const Kernels& k = options.kernels.empty() ? kernels() : kernels_named(options.kernels);
  WeightsPlan weights = plan_weights(checkpoint, config, k, options.compute.value_or(preferred_compute(k)));
  MemoryPlan plan;
  plan.weights = weights.mapped;
  plan.copied = weights.copied;
  plan.packed = weights.packed;
  plan.kv_cache = KvCache::bytes(config, options.cache_dtype, context);
  plan.activations = activation_bytes(config, std::min(options.chunk, context));
  plan.program = kProgramBytes + kVocabularyEntryBytes * config.vocab_size;
  return plan;
}

}  // namespace longspan
