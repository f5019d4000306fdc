// Plain kernels of attention in F32: what their forward and backward passes share. A block computes 32 rows
// (or keys), four a warp; the 32 lanes of a warp take one key (or row) each for products, and one element of
// the head each for sums of vectors.
#pragma once

#include "kernels/cuda/attention_view.h"

namespace longspan {

constexpr int kPlainThreads = 256, kPlainOf = 4, kPlainTile = 32;
static_assert(kPlainThreads / 32 * kPlainOf == kPlainTile && kPageTokens % kPlainTile == 0);

/// Floats of a tile of 32 vectors: odd row lengths are free of bank conflicts.
__host__ __device__ inline int plain_row(int head_dim) { return head_dim + 1 - head_dim % 2; }
__host__ __device__ inline int plain_tile_floats(int head_dim) { return kPlainTile * plain_row(head_dim); }

/// Tokens n0 .. n0 + 31 of one head, n0 a multiple of 32; zeros from token `keys` on.
__device__ inline void load_tokens(float* tile, const PagesView& pages, int sequence, int head, int n0,
                                   int keys) {
  int d = pages.head_dim, row = plain_row(d);
  const std::byte* from = key_address(pages, sequence, head, n0);
  for (int e = static_cast<int>(threadIdx.x); e < kPlainTile * d; e += kPlainThreads) {
    int n = e / d, i = e % d;
    tile[n * row + i] = n0 + n < keys ? load_element(from, pages.dtype, e) : 0;
  }
}

/// Rows first .. first + 31 of F32, `stride` apart; zeros from row `rows` on.
__device__ inline void load_rows(float* tile, const float* from, int64_t stride, int d, int first, int rows) {
  int row = plain_row(d);
  for (int e = static_cast<int>(threadIdx.x); e < kPlainTile * d; e += kPlainThreads) {
    int n = e / d, i = e % d;
    tile[n * row + i] = first + n < rows ? from[(first + n) * stride + i] : 0;
  }
}

/// xPos: the factor of product i.
__device__ inline float decay_factor(const AttentionView& v, int i, float distance) {
  return expf(v.decay[i] * distance);
}
/// The same for scores. In double: without causality it is large for keys ahead, and so are scores and
/// gradients.
__device__ inline double decay_of_score(const AttentionView& v, int i, double distance) {
  return exp(static_cast<double>(v.decay[i]) * distance);
}

/// sums[r] = rows[r] . x.
__device__ inline void products(float* sums, const float* const* rows, const float* x, int d) {
#pragma unroll
  for (int r = 0; r < kPlainOf; ++r) sums[r] = 0;
  for (int i = 0; i < d; ++i) {
    float b = x[i];
#pragma unroll
    for (int r = 0; r < kPlainOf; ++r) sums[r] = fmaf(rows[r][i], b, sums[r]);
  }
}

/// The same; with xPos in double, and with its factors of each distance unless that is null.
__device__ inline void products(double* sums, const float* const* rows, const float* x,
                                const AttentionView& v, const double* distance) {
  if (!v.decay) {
    float plain[kPlainOf];
    products(plain, rows, x, v.head_dim);
#pragma unroll
    for (int r = 0; r < kPlainOf; ++r) sums[r] = plain[r];
    return;
  }
#pragma unroll
  for (int r = 0; r < kPlainOf; ++r) sums[r] = 0;
  for (int i = 0; i < v.head_dim; ++i)
#pragma unroll
    for (int r = 0; r < kPlainOf; ++r)
      sums[r] +=
          static_cast<double>(rows[r][i]) * x[i] * (distance ? decay_of_score(v, i, distance[r]) : 1.0);
}

/// The score of a product.
__device__ inline double score_of(const AttentionView& v, int head, double product, double distance) {
  double score = v.scale * product;
  if (v.soft_cap > 0) score = v.soft_cap * tanh(score / v.soft_cap);
  return v.slopes ? score - v.slopes[head] * distance : score;
}

/// The number of 32-element parts of a head, rounded up to a power of two: what kernels are compiled for.
inline int plain_chunks(int64_t head_dim) {
  assert(head_dim <= 256);
  return head_dim <= 32 ? 1 : head_dim <= 64 ? 2 : head_dim <= 128 ? 4 : 8;
}

}  // namespace longspan
