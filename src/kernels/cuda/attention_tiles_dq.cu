// dq of attention on the tensor cores (see attention_tiles_backward.cu): a block has a tile of rows in one
// zone, which stays, and visits the tiles of keys.
#include "kernels/cuda/attention_gradient_tile.h"

namespace longspan {

namespace {

template <int kD>
struct DqSizes {
  static constexpr int kBlocks = kD > 128 ? 1 : 2, kWarpRows = 16 * kBlocks,
                       kRows = kGradientWarps * kWarpRows;
  static constexpr int kKeys = kD > 64 ? 32 : 64, kPart = 32;
  static constexpr int kRowBytes = kRows * kD * 2, kTokenBytes = kKeys * kD * 2;
  static constexpr int kBytes = 2 * kRowBytes + 4 * kTokenBytes + QueryRows::bytes(kRows);
  static_assert(kRowPadding % kRows == 0);
};

template <int kD>
__global__ void __launch_bounds__(kGradientThreads) dq_kernel(BackwardView b, GradientRows all) {
  using Size = DqSizes<kD>;
  extern __shared__ __align__(128) std::byte memory[];
  const AttentionView& v = b.view;
  SequenceView s = sequence_of(v, static_cast<int>(blockIdx.z) / v.zones);
  int d = v.head_dim, kv = static_cast<int>(blockIdx.y), z = static_cast<int>(blockIdx.z) % v.zones;
  int tile = static_cast<int>(gridDim.x - 1 - blockIdx.x), first_index = tile * Size::kRows;
  int indices = s.rows * v.group;
  if (first_index >= indices) return;
  int64_t first = all.first(v, s.index, kv);
  const ZoneView& zone = v.zone[z];
  std::byte *q = memory, *dout = q + Size::kRowBytes, *tokens = dout + Size::kRowBytes;
  QueryRows rows(tokens + 4 * Size::kTokenBytes, Size::kRows);
  auto row_of = [&](int i) { return min(first_index + i, indices - 1) / v.group; };
  for (int i = static_cast<int>(threadIdx.x); i < Size::kRows; i += kGradientThreads)
    rows.set(v, s, i, row_of(i), kv * v.group + min(first_index + i, indices - 1) % v.group);
  load_row_tile<kD, Size::kRows>(q, all.q[z] + first * d, first_index, indices, d);
  load_row_tile<kD, Size::kRows>(dout, all.dout + first * d, first_index, indices, d);
  __syncthreads();
  int lane = static_cast<int>(threadIdx.x) % 32;
  int first_row = static_cast<int>(threadIdx.x) / 32 * Size::kWarpRows;
  WarpBounds bounds(rows.query(first_row + lane % Size::kWarpRows));
  float log_sum[Size::kBlocks][2], delta[Size::kBlocks][2], dq[Size::kBlocks][kD / 8][4] = {};
#pragma unroll
  for (int m = 0; m < Size::kBlocks; ++m)
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      int64_t at = first + first_index + first_row + 16 * m + 8 * half + lane / 4;
      log_sum[m][half] = all.log_sum[at], delta[m][half] = all.delta[at];
    }
  Range range = all.ranges ? joined(all.ranges, first_index, Size::kRows)
                           : range_of(place_of<float>(v, s.past + row_of(0)),
                                      place_of<float>(v, s.past + row_of(Size::kRows - 1)));
  float factor = score_factor(v);
  int end = end_key(v, s, row_of(Size::kRows - 1));
  auto from = [&](int n0) {
    while (n0 < end && !may_meet(v, zone, range, key_range(v, all.key_ranges, n0, Size::kKeys)))
      n0 += Size::kKeys;
    return n0;
  };
  auto load = [&](int n0, int stage) {
    std::byte* to = tokens + stage * 2 * Size::kTokenBytes;
    load_token_tile<kD, Size::kKeys, kGradientThreads>(to, zone.keys, s.index, kv, n0, s.keys);
    load_token_tile<kD, Size::kKeys, kGradientThreads>(to + Size::kTokenBytes, v.values, s.index, kv, n0,
                                                       s.keys);
  };
  int n0 = from(first_key(v, s, row_of(0), Size::kKeys));
  if (n0 < end) load(n0, 0);
  commit_copies();
  for (int stage = 0; n0 < end; stage ^= 1) {
    int next = from(n0 + Size::kKeys);
    if (next < end) load(next, stage ^ 1);
    commit_copies();
    wait_copies<1>();
    __syncthreads();
    uint32_t keys = shared_address(tokens + stage * 2 * Size::kTokenBytes);
    Range key = key_range(v, all.key_ranges, n0, Size::kKeys);
    if (!bounds.none(v, zone, key, n0, n0 + Size::kKeys)) {
      bool whole = !v.slopes && bounds.whole(v, zone, key, n0, n0 + Size::kKeys);
#pragma unroll 1
      for (int part = 0; part < Size::kKeys; part += Size::kPart) {
        float scores[Size::kBlocks][Size::kPart / 8][4] = {}, dp[Size::kBlocks][Size::kPart / 8][4] = {};
        two_products<kD>(scores, dp, shared_address(q), keys, shared_address(dout), keys + Size::kTokenBytes,
                         first_row, part, d);
        if (!whole) mask_scores(scores, v, zone, rows, first_row, n0 + part);
#pragma unroll
        for (int m = 0; m < Size::kBlocks; ++m)
#pragma unroll
          for (int j = 0; j < Size::kPart / 8; ++j)
#pragma unroll
            for (int i = 0; i < 4; ++i) {
              float p = exp2_fast(fmaf(scores[m][j][i], factor, -log_sum[m][i / 2]));
              scores[m][j][i] = p * (dp[m][j][i] - delta[m][i / 2]);
            }
        add_weighted<kD>(dq, scores, keys, part, d);
      }
    }
    __syncthreads();
    n0 = next;
  }
  wait_copies<0>();
#pragma unroll
  for (int m = 0; m < Size::kBlocks; ++m)
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      int i = first_row + 16 * m + 8 * half + lane / 4;
      if (first_index + i >= indices) continue;
      int64_t column = static_cast<int64_t>(kv * v.group + (first_index + i) % v.group) * d + 2 * (lane % 4);
#pragma unroll
      for (int j = 0; j < kD / 8; ++j) {
        if (8 * j >= d) break;
        b.dq[z].store(s.first + row_of(i), column + 8 * j, dq[m][j][2 * half] * v.scale);
        b.dq[z].store(s.first + row_of(i), column + 8 * j + 1, dq[m][j][2 * half + 1] * v.scale);
      }
    }
}

template <int kD>
bool launch(CudaDevice& device, const BackwardView& b, const GradientRows& rows, const Sequences& sequences) {
  using Size = DqSizes<kD>;
  if (Size::kBytes > block_room(device)) return false;
  check(cudaFuncSetAttribute(dq_kernel<kD>, cudaFuncAttributeMaxDynamicSharedMemorySize, Size::kBytes),
        "attention_backward");
  dim3 grid(blocks_for(sequences.most_rows * b.view.group, Size::kRows),
            static_cast<unsigned>(b.view.kv_heads), static_cast<unsigned>(b.view.zones * sequences.count));
  dq_kernel<kD><<<grid, kGradientThreads, Size::kBytes, device.stream()>>>(b, rows);
  check_launch("attention_backward (dq)");
  return true;
}

}  // namespace

bool launch_dq(CudaDevice& device, const BackwardView& b, const GradientRows& rows,
               const Sequences& sequences) {
  return b.view.head_dim <= 64 ? launch<64>(device, b, rows, sequences)
                               : launch<128>(device, b, rows, sequences);
}

}  // namespace longspan
