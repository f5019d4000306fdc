// What a model will hold in memory, computed from shapes before anything is loaded: reading a text, and
// training. Each figure comes from the code that allocates.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "model/kv_pool.h"
#include "model/training.h"

namespace longspan {

/// Bytes resident while a context is in use, on the device that computes.
struct MemoryPlan {
  int64_t weights = 0;   // on the host the mapped files: all of their pages, once every weight has been read
  int64_t copied = 0;    // tensors that had to be transformed at load
  int64_t packed = 0;    // second layouts that the kernels make at first use
  int64_t kv_cache = 0;  // whole pages
  int64_t activations = 0;  // buffers of one chunk
  int64_t program = 0;      // on the host: code, libraries, vocabulary; on a GPU: working memory
  // Not in the total: what `score` needs in addition, since it multiplies the head by many rows.
  int64_t scoring = 0;
  int64_t total() const { return weights + copied + packed + kv_cache + activations + program; }
};

/// A run as memory sees it: texts that are in the cache at once.
struct MemoryUse {
  int64_t tokens = 0;     // of the longest text, with its answer
  int64_t sequences = 1;  // texts of that length
  bool scored = false;    // logits of many rows are wanted at once
};

/// Of a context of `context` tokens that is read in chunks of `chunk`.
MemoryPlan plan_memory(const Checkpoint& checkpoint, const ModelConfig& config, const Kernels& k,
                       Compute compute, WeightReading reading, CacheTypes cache_types, int64_t chunk,
                       int64_t context);
/// The same for `use`, when the weights have been planned already.
MemoryPlan plan_memory(const WeightsPlan& weights, const ModelConfig& config, const Kernels& k,
                       CacheTypes cache_types, int64_t chunk, const MemoryUse& use);

/// Sets of keys that the config's position method keeps for a context of that length.
int64_t key_copies(const ModelConfig& config, int64_t context);

/// Tokens, in whole pages, whose cache fits into `available` bytes together with everything else of the plan.
int64_t longest_context(const MemoryPlan& plan, const ModelConfig& config, CacheTypes cache_types,
                        int64_t copies, int64_t available);

/// A run against the memory that there is.
struct MemoryFit {
  MemoryUse use;
  int64_t needed = 0, kv_cache = 0;  // bytes; the cache is part of what is needed
  std::optional<int64_t> available;  // null: the system does not say, and everything fits
  int64_t longest = 0;               // tokens of a text, in whole pages, that would fit; 0: none
  const char* where = "this machine";
  bool fits() const { return !available || needed <= *available; }
};
MemoryFit fit_memory(const MemoryPlan& plan, const ModelConfig& config, CacheTypes cache_types,
                     const MemoryUse& use, std::optional<int64_t> available);
/// What is needed and had, and how many tokens fit, as a sentence without its end.
std::string describe(const MemoryFit& fit);

/// A training run as memory sees it.
struct TrainingShape {
  struct Rows {
    PositionSpec spec;
    int64_t tokens = 0;   // of the longest row
    int64_t context = 0;  // frozen, of the longest
  };
  struct Held {  // held-out texts, read in chunks with a cache
    PositionSpec spec;
    int64_t tokens = 0;
    int64_t chunk = 0;
  };
  Trained trained;
  TrainingPlan plan;
  Compute compute = Compute::F32;
  std::vector<Rows> stages{};
  std::vector<Held> validations{};
  bool original = false;  // the original model is loaded as well
};

/// Label and bytes.
using MemoryTable = std::vector<std::pair<std::string, int64_t>>;
MemoryTable plan_training_memory(const Checkpoint& checkpoint, const ModelConfig& config, const Kernels& k,
                                 const TrainingShape& shape);
/// Error with the table's sum and its largest row when the sum exceeds `available`; without a value there is
/// no check.
void check_memory(const MemoryTable& table, std::optional<int64_t> available);

}  // namespace longspan
