// Quantised keys and values. 32 elements of a token share a scale, as in GGUF's blocks of the same names, but
// in a page each head has the codes of its kPageTokens tokens first and then their scales: both are read in
// whole vectors. The bytes are as many as those of the blocks.
//   Q8_0  x = scale * code, code -127 .. 127, scale = max |x| / 127
//   Q4_0  x = scale * (code - 8), code 0 .. 15, scale = -(the x of the largest |x|) / 8; of 8 neighbours,
//         element i is in the low half of byte i (i < 4) or in the high half of byte i - 4
// Scales are F16; codes are those of the rounded scale.
#pragma once

#include "kernels/kernels.h"

namespace longspan {

constexpr int64_t kCacheGroup = 32;

/// Bytes of the codes of n elements, without scales.
inline int64_t code_bytes(DType dtype, int64_t n) { return dtype == DType::Q8_0 ? n : n / 2; }

/// Writes x [head_dim] as token `token` (below kPageTokens) of the head that begins at `head`.
void store_codes(std::byte* head, DType dtype, int64_t head_dim, int64_t token, const float* x);
/// Kernels::store_kv of quantised pages.
void store_codes(const KvPages& pages, Tensor x, const Sequences& sequences);
/// Reads element i of a token, or all of them.
float load_code(const std::byte* head, DType dtype, int64_t head_dim, int64_t token, int64_t i);
void load_codes(float* x, const std::byte* head, DType dtype, int64_t head_dim, int64_t token);

}  // namespace longspan
