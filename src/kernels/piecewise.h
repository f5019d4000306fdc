// FlagAttention's piecewise operator (https://github.com/FlagOpen/FlagAttention), the special case of two
// distance zones: one query and key pair for near keys, another for far ones, with plain matrices of keys
// instead of a cache.
#pragma once

#include "kernels/kernels.h"

namespace longspan {

/// out = softmax(s) v, s[m, n] = scale q2[m] . k2[n] where m + N - M - n >= dist_threshold, scale q1[m] .
/// k1[n] elsewhere; causal keeps n <= m + N - M (bottom-right aligned, M > N allowed). A query without any
/// key gives zeros and log_sum -inf. One sequence: q1, q2 [M, H, D] F32; k1, k2, v [N, K, D] F32, F16 or
/// BF16, K divides H; out [M, H, D] F32 or BF16; log_sum [M, H] F32 or null. All contiguous.
void piecewise_attention(const Kernels& kernels, Tensor out, Tensor log_sum, Tensor q1, Tensor k1, Tensor q2,
                         Tensor k2, Tensor v, int64_t dist_threshold, bool causal, float scale);

}  // namespace longspan
