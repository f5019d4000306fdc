// One layer, shared by inference and training: what a layer reads and writes, and its two halves. The caller
// owns the buffers and decides which of them it keeps. Nothing here allocates device memory, and only kernels
// touch the memory of tensors.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "model/adapter.h"
#include "model/far_attention.h"
#include "model/kv_pool.h"
#include "model/pass.h"
#include "model/weights.h"

namespace longspan {

struct Model {
  std::shared_ptr<Device>
      device{};  // where it computes, with which kernels; ends after everything that it holds
  ModelConfig config{};
  Weights weights{};
  std::vector<LayerAdapters> adapters{};  // [L], or none
  Compute compute = Compute::F32;
  float sparse = 0;  // AttentionShape::sparse of layers that see everything
  std::shared_ptr<SparseScores> sparse_scores = std::make_shared<SparseScores>();

  const Kernels& kernels() const { return device->kernels(); }
  /// The largest rank of an adapter; 0 without adapters.
  int64_t adapter_rank() const;
};

/// Called at each layer with what attention is about to read: rotated queries, the cache's keys, the shape.
/// All of it is valid during the call only.
using AttentionObserver =
    std::function<void(int64_t layer, std::span<const AttentionZone> zones, const AttentionShape& shape)>;

/// The buffers of one layer, cut to the rows of the pass. All are contiguous, as oneDNN's fast products
/// require.
struct LayerBuffers {
  Tensor residual;  // [T, C] F32
  Tensor normed;    // [T, C] F32 or BF16
  Tensor branch;    // [T, C] F32, for families with norms after both halves; may share the memory of `normed`
  Tensor q, k, v;   // F32
  Tensor rotated_q;               // [(R - 1) T, H D] F32
  Tensor rotated_k;               // [T, K D] F32
  Tensor attended;                // [T, H D] F32 or BF16
  Tensor log_sum;                 // [T, H] F32, or null where it is not needed
  bool attended_is_kept = false;  // attended and log_sum hold the result already: only the rest is computed
  Tensor gate, up;                // [T, F] F32
  Tensor mlp;                     // [T, F] F32 or BF16
  Tensor low_rank;                // [T, r] F32, for adapters
  bool kept = true;  // the caller reads normed, k, gate and up: fused operations do not leave them
};

/// The pages of the layer's keys (one view for each rotation) and values.
struct LayerKv {
  std::vector<KvPages> keys;
  KvPages values;
  const FarAttention* far = nullptr;  // keys beyond these, or none
};

/// A layer's adapters; kNoAdapters where the model has none.
const LayerAdapters& adapters_of(const Model& model, int64_t layer);
extern const LayerAdapters kNoAdapters;

/// out = x W^T + b with the adapter's product; out += when accumulate. `low` [T at least, r] F32 is
/// overwritten.
void project(const Kernels& k, Tensor out, Tensor x, const Linear& w, const Adapter& adapter, Tensor low,
             bool accumulate);

/// Normalises each head of x [T, heads D], or all of them as one vector where the weight is that long; does
/// nothing without a weight.
void normalise_heads(const Model& model, Tensor x, Tensor weight);

/// First half: residual += o(attention(norm(residual))). Leaves q (rotated), attended, log_sum and, where
/// buffers are kept, normed.
void attend(const Model& model, int64_t layer, const LayerAdapters& adapters, const LayerKind& kind,
            const LayerBuffers& b, const LayerKv& kv, const AttentionObserver& observer = {});
/// Second half without its last product: mlp and, where buffers are kept, normed, gate and up from residual.
void gate_mlp(const Model& model, int64_t layer, const LayerAdapters& adapters, const LayerBuffers& b);
/// residual += down(mlp).
void add_mlp(const Model& model, int64_t layer, const LayerAdapters& adapters, const LayerBuffers& b);

/// residual [T, C] F32 of the ids [T] I32.
void embed_tokens(const Model& model, Tensor residual, Tensor ids);

}  // namespace longspan
