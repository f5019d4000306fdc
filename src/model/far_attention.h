// Keys that every row of a pass sees in the last zone of its position method: the far part of a frozen
// context. Their softmax is a call of its own; the two results become one by their log-sums.
#pragma once

#include <vector>

#include "kernels/kernels.h"
#include "tensor/arena.h"

namespace longspan {

struct FarAttention {
  KvPages keys, values;  // of the layer; memory null: there are none
  AttentionShape shape;  // one sequence of all rows, which see all keys
  // Of at most R rows.
  Tensor attended, log_sum;  // [R, H D] of the type of the near part's; [R, H] F32
  Tensor near, far;          // [R, H D] F32
  Tensor pairs;              // [R H, 2] F32
  Tensor share;              // [R H] F32
  Tensor zeros, ones;        // [R H] I32, F32
  Tensor loss;               // [1] F64, which nobody reads

  explicit operator bool() const { return keys.memory != nullptr; }
};

/// Makes the buffers for `rows` rows. `dtype`: of attention's results.
void make_far_buffers(FarAttention& far, Device& device, Arena& arena, int64_t rows, int64_t heads,
                      int64_t head_dim, DType dtype);
int64_t far_buffer_bytes(int64_t rows, int64_t heads, int64_t head_dim, DType dtype);

/// attended [T, H D] and log_sum [T, H] hold the softmax over the near keys; afterwards over the far ones,
/// too. q [T, H D] F32: the queries of the last zone.
void add_far_attention(const Kernels& k, const FarAttention& far, Tensor q, Tensor attended, Tensor log_sum);

}  // namespace longspan
