// What the kernels of attention_tiles_dq.cu and attention_tiles_dkv.cu share. Device code: for .cu files
// only.
#pragma once

#include "kernels/cuda/attention_internal.h"
#include "kernels/cuda/attention_tile.h"

namespace longspan {

constexpr int kGradientWarps = 4, kGradientThreads = 32 * kGradientWarps;
constexpr int kRowPadding = 128;  // rows

/// The rows of all sequences and heads of keys, as kernels read them.
struct GradientRows {
  __nv_bfloat16 *q[kMaxAttentionZones], *dout;  // [S, K, padded, D]
  float *log_sum, *delta;                       // [S, K, padded]; log_sum to base 2
  Range* ranges;                                // [padded / 32], or null without positions
  const Range* key_ranges;                      // or null
  int64_t padded;                               // the most rows of a sequence * group, rounded up

  /// The first of a sequence and head of keys.
  __device__ int64_t first(const AttentionView& v, int sequence, int kv) const {
    return (static_cast<int64_t>(sequence) * v.kv_heads + kv) * padded;
  }
};

/// The two kernels; false when a block does not find room.
bool launch_dq(CudaDevice& device, const BackwardView& b, const GradientRows& rows,
               const Sequences& sequences);
bool launch_dkv(CudaDevice& device, const BackwardView& b, const GradientRows& rows,
                const Sequences& sequences);

/// Shared memory that a block may have.
inline int block_room(const CudaDevice& device) {
  int room = 0;
  check(cudaDeviceGetAttribute(&room, cudaDevAttrMaxSharedMemoryPerBlockOptin, device.index()), "attention");
  return room;
}
inline unsigned blocks_for(int64_t n, int size) { return static_cast<unsigned>((n + size - 1) / size); }

/// Rows first .. first + kCount - 1 of one head of keys into a tile, in the background; zeros from `end` on.
template <int kD, int kCount>
__device__ void load_row_tile(std::byte* tile, const __nv_bfloat16* from, int first, int end, int d) {
#pragma unroll 4
  for (int e = static_cast<int>(threadIdx.x); e < kCount * (kD / 8); e += kGradientThreads) {
    int row = e / (kD / 8), vector = e % (kD / 8);
    bool valid = first + row < end && 8 * vector < d;
    copy_async(shared_address(tile + tile_offset<kD>(row, vector)),
               valid ? from + static_cast<int64_t>(first + row) * d + 8 * vector : from, valid);
  }
}

/// Sums of two products over the head: first[m] += a row of `x` by rows of `y`, second[m] += of `u` by `w`;
/// rows a_row + 16 m of x and u, rows b_row .. of y and w.
template <int kD, int kBlocks, int kColumns>
__device__ void two_products(float (&first)[kBlocks][kColumns][4], float (&second)[kBlocks][kColumns][4],
                             uint32_t x, uint32_t y, uint32_t u, uint32_t w, int a_row, int b_row, int d) {
#pragma unroll
  for (int k = 0; k < kD / 16; ++k) {
    if (16 * k >= d) break;
    auto multiply = [&](float(&sums)[kBlocks][kColumns][4], uint32_t left, uint32_t right) {
      uint32_t a[kBlocks][4];
#pragma unroll
      for (int m = 0; m < kBlocks; ++m) load_a<kD>(a[m], left, a_row + 16 * m, k);
#pragma unroll
      for (int j = 0; j < kColumns / 2; ++j) {
        uint32_t b[4];
        load_b<kD>(b, right, b_row + 16 * j, k);
#pragma unroll
        for (int m = 0; m < kBlocks; ++m) {
          mma(sums[m][2 * j], a[m], b[0], b[1]);
          mma(sums[m][2 * j + 1], a[m], b[2], b[3]);
        }
      }
    };
    multiply(first, x, y);
    multiply(second, u, w);
  }
}

/// sums += weights (rounded) by rows b_row .. of a tile.
template <int kD, int kBlocks, int kColumns>
__device__ void add_weighted(float (&sums)[kBlocks][kD / 8][4], const float (&weights)[kBlocks][kColumns][4],
                             uint32_t tile, int b_row, int d) {
#pragma unroll
  for (int j = 0; j < kColumns / 2; ++j) {
    uint32_t a[kBlocks][4];
#pragma unroll
    for (int m = 0; m < kBlocks; ++m)
#pragma unroll
      for (int i = 0; i < 4; ++i)
        a[m][i] = pack_bf16(weights[m][2 * j + i / 2][i % 2 * 2], weights[m][2 * j + i / 2][i % 2 * 2 + 1]);
#pragma unroll
    for (int k = 0; k < kD / 16; ++k) {
      if (16 * k >= d) break;
      uint32_t b[4];
      load_b_rows<kD>(b, tile, b_row + 16 * j, k);
#pragma unroll
      for (int m = 0; m < kBlocks; ++m) {
        mma(sums[m][2 * k], a[m], b[0], b[1]);
        mma(sums[m][2 * k + 1], a[m], b[2], b[3]);
      }
    }
  }
}

}  // namespace longspan
