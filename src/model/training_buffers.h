// The memory of one pass of training: what forward keeps for backward, and the gradients of activations.
// training_buffers.cc makes and counts them, backward.cc uses them.
#pragma once

#include <vector>

#include "model/frozen_context.h"
#include "model/pass.h"
#include "model/training.h"

namespace longspan {

/// What backward needs of a layer, and what the layer's forward writes for it.
struct LayerSet {
  Tensor middle;        // [T, C] F32: the residual after attention
  Tensor q, rotated_q;  // F32
  Tensor gate, up;      // [T, F] F32
  Tensor kv;            // pages of keys, one rotation after another, then of values
};

/// What attention gave.
struct AttentionSet {
  Tensor attended, log_sum;  // [T, H D], [T, H]
};

class TrainingBuffers {
 public:
  TrainingPlan plan;
  int64_t rows = 0;                     // T: the longest row
  DType dtype = DType::F32;             // of inputs of products, and of keys and values
  std::vector<Tensor> stream;           // [L + 1] of [T, C] F32: the residual between layers
  std::vector<LayerSet> sets;           // one, or one a layer
  std::vector<AttentionSet> attention;  // one, or one a layer
  PassInputs inputs;
  Tensor normed, k, v, rotated_k, mlp;
  Tensor branch, d_branch;  // [T, C] F32: what a half gives to the norm after it, and its gradient
  Tensor cos, sin;          // [tables T, r/2]
  Tensor low_rank, d_low_rank, half_low_rank;  // [T, r] F32, F32, in `dtype`
  // Gradients of activations. d_small, d_q, d_k and d_v hold inputs of products, in `dtype`.
  Tensor dx, dnormed, dhidden, dattended, dmlp, dv, dq, dk, dgate, dup, d_small, d_q, d_k, d_v, q_raw, k_raw;
  // The head: rows that have a target, gathered in chunks of n.
  Tensor hidden, original;                // [T, C] F32: the final norm's output, of the original model
  Tensor gathered, original_gathered;     // [n, C] in `dtype`
  Tensor dgathered;                       // [n, C] F32
  Tensor logits, original_logits;         // [n, V] F32
  Tensor dlogits;                         // [n, V] in `dtype`
  Tensor head_rows, targets, weights;     // [T] I32, I32, F32
  Tensor loss;                            // [1] F64: of row_gradient and row_divergence
  std::shared_ptr<FrozenContext> frozen;  // null where rows have none
  Arena arena;
};

}  // namespace longspan
