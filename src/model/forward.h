// forward: one loop over layers for every mode. The caller gives token ids and where they stand in the
// sequence; keys and values go to the cache; what comes out is the hidden state of each row after the final
// norm. The head runs apart, in chunks of rows, so that logits of a long text are never stored whole.
#pragma once

#include <functional>
#include <span>

#include "model/kv_cache.h"
#include "model/weights.h"

namespace longspan {

/// Called at each layer with what attention is about to read: rotated queries, the cache's keys, the shape.
/// All of it lives for the call only.
using AttentionObserver =
    std::function<void(int64_t layer, std::span<const AttentionZone> zones, const AttentionShape& shape)>;

/// The one input of forward: T consecutive tokens of one sequence, after `past` cached ones.
struct Batch {
  std::span<const int32_t> ids;
  int64_t past = 0;
  AttentionObserver observer{};  // or none
};

/// Buffers of one layer, reused by all (inference plan). Sized for `rows` tokens.
struct Activations {
  int64_t rows = 0;
  Tensor residual;   // [T, C] F32
  Tensor normed;     // [T, C] F32 or BF16 (two views of one buffer)
  Tensor q, k, v;    // [T, H D], [T, K D], [T, K D] F32, before rotation
  Tensor rotated_q;  // [(R - 1) T, H D] F32: all rotations of the queries but one, which turns in place
  Tensor rotated_k;  // [T, K D] F32, one rotation of the keys at a time; null where there is but one
  Tensor attended;   // [T, H D] F32 or BF16
  Tensor gate, up;   // [T, F] F32
  Tensor mlp;        // [T, F] F32 or BF16
  Tensor cos, sin;   // [R T, r/2] F32: of each rotation of queries and keys
  Tensor logits;     // [kHeadRows, V] F32
  Arena arena;
};
constexpr int64_t kHeadRows = 64;

/// Buffers for chunks of at most `rows` tokens under `spec` (or one that asks for as many rotations).
Activations make_activations(const ModelConfig& config, const PositionSpec& spec, int64_t rows);
/// `head_rows`: rows of logits that will be asked for at once (1 when only the last token is wanted).
int64_t activation_bytes(const ModelConfig& config, const PositionSpec& spec, int64_t rows,
                         int64_t head_rows = kHeadRows);

struct Model {
  ModelConfig config;
  Weights weights;
  const Kernels* kernels = nullptr;
  Compute compute = Compute::F32;
};

/// Runs the batch through all layers. Keys and values are stored at past .. past + T - 1 and the cache's
/// length set. `spec` is the position spec of the whole sequence (its declared length), the same for each
/// call on that sequence; the cache holds as many copies of keys as it asks for. Returns [T, C] F32, a view
/// into `a`, valid until the next call.
Tensor forward(const Model& model, const PositionSpec& spec, KvCache& cache, const Batch& batch,
               Activations& a);

/// logits = head(hidden rows), for at most kHeadRows rows: [rows, V] F32, a view into `a`.
Tensor head_logits(const Model& model, Tensor hidden, Activations& a);

}  // namespace longspan
