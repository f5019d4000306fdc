// Gradients of attention on the CPU, tiled as FlashAttention-2 (Dao 2023, arXiv 2307.08691): weights are
// recomputed from log_sum. Same contract as Kernels::attention_backward. F32 throughout, except that
// avx512_bf16 rounds q, K, V, dout, P and dS to BF16 (sums in F32) when `out` and all pages are BF16. Blocks
// and the order of their sums follow from the shape alone: the bits do not depend on the number of threads.
#pragma once

#include "kernels/kernels.h"

namespace longspan {

void attention_backward_avx2(const AttentionGradients& gradients, Tensor dout, Tensor out, Tensor log_sum,
                             std::span<const AttentionZone> zones, const KvPages& values,
                             const AttentionShape& shape);
void attention_backward_avx512(const AttentionGradients& gradients, Tensor dout, Tensor out, Tensor log_sum,
                               std::span<const AttentionZone> zones, const KvPages& values,
                               const AttentionShape& shape);
void attention_backward_avx512_bf16(const AttentionGradients& gradients, Tensor dout, Tensor out,
                                    Tensor log_sum, std::span<const AttentionZone> zones,
                                    const KvPages& values, const AttentionShape& shape);

}  // namespace longspan
