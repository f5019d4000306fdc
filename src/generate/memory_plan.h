// What a model will cost in memory, computed from shapes before anything is loaded. `longspan info --context
// N` prints it.
#pragma once

#include <filesystem>

#include "generate/engine.h"

namespace longspan {

/// Bytes resident while a context of `context` tokens is in use. Each is what the room that allocates says it
/// will.
struct MemoryPlan {
  int64_t weights = 0;      // files, mapped: all of their pages once every weight was read
  int64_t copied = 0;       // tensors that had to be transformed at load
  int64_t packed = 0;       // second layouts that the kernels make at first use
  int64_t kv_cache = 0;     // whole pages
  int64_t activations = 0;  // buffers of one chunk
  int64_t program = 0;      // code, libraries, vocabulary
  int64_t scoring =
      0;  // not in the total: what `score` needs besides, since it multiplies the head by many rows
  int64_t total() const { return weights + copied + packed + kv_cache + activations + program; }
};

MemoryPlan plan_memory(const Checkpoint& checkpoint, const ModelConfig& config, const EngineOptions& options,
                       int64_t context);

}  // namespace longspan
