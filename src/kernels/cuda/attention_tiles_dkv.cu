// dk and dv of attention on the tensor cores (see attention_tiles_backward.cu): a block has a tile of keys,
// of those that are rows' own, which stays, and visits the tiles of rows, zone by zone. Scores are transposed
// here: keys are the rows of the products.
#include "kernels/cuda/attention_gradient_tile.h"

namespace longspan {

namespace {

template <int kD>
struct DkvSizes {
  static constexpr int kBlocks = kD > 64 ? 1 : 2, kWarpKeys = 16 * kBlocks,
                       kKeys = kGradientWarps * kWarpKeys;
  static constexpr int kRows = kD > 64 ? 32 : 64, kPart = 32;
  static constexpr int kRowBytes = kRows * kD * 2, kTokenBytes = kKeys * kD * 2;
  static constexpr int kSumBytes = kRows * 4, kStageBytes = 2 * kRowBytes + 2 * kSumBytes;
  static constexpr int kBytes = 2 * kTokenBytes + 2 * kStageBytes + 2 * QueryRows::bytes(kRows);
};

/// A block's tile of keys and the tiles of rows that it visits.
template <int kD>
struct TileOfKeys {
  using Size = DkvSizes<kD>;
  const AttentionView& v;
  const SequenceView& s;
  const GradientRows& all;
  int kv, n0, indices;
  Range key;

  __device__ int row_of(int i) const { return min(i, indices - 1) / v.group; }
  __device__ Range row_range(int i) const {
    if (all.ranges) return joined(all.ranges, i, Size::kRows);
    return range_of(place_of<float>(v, s.past + row_of(i)),
                    place_of<float>(v, s.past + row_of(i + Size::kRows - 1)));
  }
  __device__ int first() const {
    int row = v.causal ? max(n0 - s.past, 0) : 0;
    return row >= s.rows ? indices : row * v.group / Size::kRows * Size::kRows;
  }
  /// The first tile of rows from i on that has pairs in the zone; `indices` when there is none.
  __device__ int from(int i, const ZoneView& zone) const {
    for (; i < indices; i += Size::kRows) {
      if (first_key(v, s, row_of(i), 1) >= n0 + Size::kKeys) return indices;  // nor in later ones
      if (may_meet(v, zone, row_range(i), key)) return i;
    }
    return indices;
  }
  __device__ bool whole(int i, const ZoneView& zone) const {
    int n1 = n0 + Size::kKeys, last = row_of(i + Size::kRows - 1);
    return !v.slopes && i + Size::kRows <= indices && n1 <= s.keys &&
           (!v.causal || n1 - 1 <= s.past + row_of(i)) && (!v.starts || n0 >= v.starts[last]) &&
           all_meet(v, zone, row_range(i), key);
  }

  /// q, dout and the sums into one stage.
  __device__ void load(std::byte* stage, const QueryRows& rows, int z, int i) const {
    int64_t first = all.first(v, s.index, kv);
    int d = v.head_dim, thread = static_cast<int>(threadIdx.x);
    load_row_tile<kD, Size::kRows>(stage, all.q[z] + first * d, i, indices, d);
    load_row_tile<kD, Size::kRows>(stage + Size::kRowBytes, all.dout + first * d, i, indices, d);
    std::byte* sums = stage + 2 * Size::kRowBytes;
    if (thread < Size::kRows / 4)
      copy_async(shared_address(sums + 16 * thread), all.log_sum + first + i + 4 * thread, true);
    else if (thread < Size::kRows / 2)
      copy_async(shared_address(sums + 16 * thread), all.delta + first + i + 4 * thread - Size::kRows, true);
    if (thread < Size::kRows) {
      rows.set(v, s, thread, row_of(i + thread), kv * v.group + min(i + thread, indices - 1) % v.group);
      if (i + thread >= indices) rows.last[thread] = -1;
    }
  }
};

/// mask_scores for transposed scores: of keys first_key .. and rows part .. of the tile.
template <int kBlocks, int kColumns>
__device__ void mask_transposed(float (&scores)[kBlocks][kColumns][4], const AttentionView& v,
                                const ZoneView& zone, const QueryRows& rows, int first_key, int part) {
  int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
  for (int j = 0; j < kColumns; ++j)
#pragma unroll
    for (int k = 0; k < 2; ++k) {
      int i = part + 8 * j + 2 * (lane % 4) + k;
      Query<float> query = rows.query(i);
#pragma unroll
      for (int m = 0; m < kBlocks; ++m)
#pragma unroll
        for (int half = 0; half < 2; ++half)
          mask_score(scores[m][j][2 * half + k], v, zone, query, rows.slope[i],
                     first_key + 16 * m + 8 * half + lane / 4);
    }
}

template <int kD>
__global__ void __launch_bounds__(kGradientThreads) dkv_kernel(BackwardView b, GradientRows all) {
  using Size = DkvSizes<kD>;
  extern __shared__ __align__(128) std::byte memory[];
  const AttentionView& v = b.view;
  SequenceView s = sequence_of(v, static_cast<int>(blockIdx.z));
  int d = v.head_dim, kv = static_cast<int>(blockIdx.y), indices = s.rows * v.group;
  int n0 = (max(s.past, 0) / Size::kKeys + static_cast<int>(blockIdx.x)) * Size::kKeys;
  if (n0 >= s.keys) return;
  std::byte *keys = memory, *values = keys + Size::kTokenBytes, *stages = values + Size::kTokenBytes;
  std::byte* info = stages + 2 * Size::kStageBytes;
  TileOfKeys<kD> tile{.v = v,
                      .s = s,
                      .all = all,
                      .kv = kv,
                      .n0 = n0,
                      .indices = indices,
                      .key = key_range(v, all.key_ranges, n0, Size::kKeys)};
  int lane = static_cast<int>(threadIdx.x) % 32;
  int first_key = static_cast<int>(threadIdx.x) / 32 * Size::kWarpKeys;
  float factor = score_factor(v);
  float dk[Size::kBlocks][kD / 8][4], dv[Size::kBlocks][kD / 8][4] = {};
  auto write = [&](const RowsView& to, const float(&x)[Size::kBlocks][kD / 8][4], float scale) {
#pragma unroll
    for (int m = 0; m < Size::kBlocks; ++m)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        int n = n0 + first_key + 16 * m + 8 * half + lane / 4;
        if (n < s.past || n >= s.keys) continue;
#pragma unroll
        for (int j = 0; j < kD / 8; ++j) {
          if (8 * j >= d) break;
          int64_t column = static_cast<int64_t>(kv) * d + 8 * j + 2 * (lane % 4);
          to.store(s.first + n - s.past, column, x[m][j][2 * half] * scale);
          to.store(s.first + n - s.past, column + 1, x[m][j][2 * half + 1] * scale);
        }
      }
  };
  load_token_tile<kD, Size::kKeys, kGradientThreads>(values, v.values, s.index, kv, n0, s.keys);
  for (int z = 0; z < v.zones; ++z) {
    const ZoneView& zone = v.zone[z];
#pragma unroll
    for (auto& block : dk)
#pragma unroll
      for (auto& x : block) x[0] = x[1] = x[2] = x[3] = 0;
    load_token_tile<kD, Size::kKeys, kGradientThreads>(keys, zone.keys, s.index, kv, n0, s.keys);
    int i = tile.from(tile.first(), zone);
    auto load = [&](int at, int stage) {
      tile.load(stages + stage * Size::kStageBytes,
                QueryRows(info + stage * QueryRows::bytes(Size::kRows), Size::kRows), z, at);
    };
    if (i < indices) load(i, 0);
    commit_copies();
    for (int stage = 0; i < indices; stage ^= 1) {
      int next = tile.from(i + Size::kRows, zone);
      if (next < indices) load(next, stage ^ 1);
      commit_copies();
      wait_copies<1>();
      __syncthreads();
      const std::byte* memory_of_stage = stages + stage * Size::kStageBytes;
      uint32_t q = shared_address(memory_of_stage), dout = q + Size::kRowBytes;
      const auto* sums = reinterpret_cast<const float*>(memory_of_stage + 2 * Size::kRowBytes);
      QueryRows rows(info + stage * QueryRows::bytes(Size::kRows), Size::kRows);
      bool whole = tile.whole(i, zone);
#pragma unroll 1
      for (int part = 0; part < Size::kRows; part += Size::kPart) {
        float p[Size::kBlocks][Size::kPart / 8][4] = {}, ds[Size::kBlocks][Size::kPart / 8][4] = {};
        two_products<kD>(p, ds, shared_address(keys), q, shared_address(values), dout, first_key, part, d);
        if (!whole) mask_transposed(p, v, zone, rows, n0 + first_key, part);
#pragma unroll
        for (int j = 0; j < Size::kPart / 8; ++j)
#pragma unroll
          for (int k = 0; k < 2; ++k) {
            int row = part + 8 * j + 2 * (lane % 4) + k;
            float log_sum = sums[row], delta = sums[Size::kRows + row];
#pragma unroll
            for (int m = 0; m < Size::kBlocks; ++m)
#pragma unroll
              for (int half = 0; half < 2; ++half) {
                float& weight = p[m][j][2 * half + k];
                weight = exp2_fast(fmaf(weight, factor, -log_sum));
                ds[m][j][2 * half + k] = weight * (ds[m][j][2 * half + k] - delta);
              }
          }
        add_weighted<kD>(dv, p, dout, part, d);
        add_weighted<kD>(dk, ds, q, part, d);
      }
      __syncthreads();
      i = next;
    }
    wait_copies<0>();
    __syncthreads();
    write(b.dkeys[z], dk, v.scale);
  }
  write(b.dvalues, dv, 1);
}

template <int kD>
bool launch(CudaDevice& device, const BackwardView& b, const GradientRows& rows, const Sequences& sequences) {
  using Size = DkvSizes<kD>;
  if (Size::kBytes > block_room(device)) return false;
  check(cudaFuncSetAttribute(dkv_kernel<kD>, cudaFuncAttributeMaxDynamicSharedMemorySize, Size::kBytes),
        "attention_backward");
  // A tile may begin before the first of the rows' keys.
  dim3 grid(blocks_for(sequences.most_rows, Size::kKeys) + 1, static_cast<unsigned>(b.view.kv_heads),
            static_cast<unsigned>(sequences.count));
  dkv_kernel<kD><<<grid, kGradientThreads, Size::kBytes, device.stream()>>>(b, rows);
  check_launch("attention_backward (dk, dv)");
  return true;
}

}  // namespace

bool launch_dkv(CudaDevice& device, const BackwardView& b, const GradientRows& rows,
                const Sequences& sequences) {
  return b.view.head_dim <= 64 ? launch<64>(device, b, rows, sequences)
                               : launch<128>(device, b, rows, sequences);
}

}  // namespace longspan
