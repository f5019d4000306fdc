// One layer, shared by inference and training: what a layer reads and writes, and its two halves. The caller
// owns the buffers and decides which of them it keeps; nothing here allocates for long.
#pragma once

#include <span>
#include <vector>

#include "model/forward.h"

namespace longspan {

/// A spec made ready for one batch: its rotations with their tables, and what attention is told.
struct Positions {
  Rotations rotations;
  std::vector<RopeTable> queries, keys;
  std::vector<float> slopes, decay, indices;
};

/// Positions and attention of the layers that share them.
struct LayerKind {
  PositionSpec spec;
  Positions positions;
  AttentionShape shape;
  std::span<const double> given;  // positions of the batch's rows, or empty: past + t

  double position(int64_t t) const {
    return given.empty() ? static_cast<double>(shape.past + t) : given[static_cast<size_t>(t)];
  }
};

struct LayerKinds {
  LayerKind whole, local;
  const LayerKind& of(const ModelConfig& config, int64_t layer) const {
    return config.local_layer(layer) ? local : whole;
  }
};

/// Tables of cos and sin that a spec asks for: the caller's buffers have so many times the batch's rows.
int64_t rope_tables(const ModelConfig& config, const PositionSpec& spec);
/// `cos`, `sin`: [rope_tables * rows, r/2].
LayerKinds layer_kinds(const ModelConfig& config, const PositionSpec& spec, const Batch& batch, Tensor cos,
                       Tensor sin);

/// The buffers of one layer, cut to the rows of the batch. All are contiguous: oneDNN's fast products want
/// that.
struct LayerBuffers {
  Tensor residual;   // [T, C] F32
  Tensor normed;     // [T, C] F32 or BF16
  Tensor branch;     // [T, C] F32; may be the memory of `normed`
  Tensor q, k, v;    // F32
  Tensor rotated_q;  // [(R - 1) T, H D] F32
  Tensor rotated_k;  // [T, K D] F32
  Tensor attended;   // [T, H D] F32 or BF16
  Tensor log_sum;    // [T, H] F32, or null where nobody needs it
  Tensor gate, up;   // [T, F] F32
  Tensor mlp;        // [T, F] F32 or BF16
};

/// Where the layer's keys (one view for each rotation) and values lie.
struct LayerKv {
  std::vector<KvPages> keys;
  KvPages values;
};

/// The input type of products of T rows: below kGemmRows they are bound by reading weights and gain nothing
/// from BF16.
DType activation_dtype(const Model& model, int64_t rows);

/// out = x W^T + b with the adapter's product; out += when accumulate.
void project(const Kernels& k, Tensor out, Tensor x, const Linear& w, const Adapter& adapter,
             bool accumulate);

/// Rotates q and k as every zone asks, stores keys and values, and says what attention reads.
std::vector<AttentionZone> rotate_and_store(const Model& model, const LayerKind& kind, const LayerBuffers& b,
                                            const LayerKv& kv);

/// First half: residual += o(attention(norm(residual))). Leaves normed, q (rotated), attended, log_sum.
void attend(const Model& model, int64_t layer, const LayerKind& kind, const LayerBuffers& b,
            const LayerKv& kv, const AttentionObserver& observer);
/// Second half but its last product: normed, gate, up and mlp from residual.
void gate_mlp(const Model& model, int64_t layer, const LayerBuffers& b);
/// residual += down(mlp).
void add_mlp(const Model& model, int64_t layer, const LayerBuffers& b);

/// residual [T, C] F32 of the ids. Error names an id outside the vocabulary.
void embed_tokens(const Model& model, Tensor residual, std::span<const int32_t> ids);

/// max(1, ln(position + 1) / ln(log_n)): what multiplies a query; 1 when log_n is 0.
float sharpness(const PositionSpec& spec, double position);

void copy_rows(Tensor out, Tensor x);

}  // namespace longspan
