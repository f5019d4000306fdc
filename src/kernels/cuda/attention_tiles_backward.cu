// Gradients of attention on the tensor cores: FlashAttention-2's backward pass (Dao 2023, arXiv 2307.08691)
// by mma.sync. q, k, v, dout, p and ds are rounded to BF16, sums are F32. One kernel gives dq and one dk and
// dv, at seven products instead of five: nothing is added from two sides, so the same bits come out of every
// run.
//
// Rows are the (token, head) pairs of the query heads that share a head of keys, as in attention_tiles.cu,
// and are copied in that order first, rounded. A row that sees nothing has the log-sum +inf there: its
// weights are 0.
#include "kernels/cuda/attention_internal.h"
#include "kernels/cuda/attention_tile.h"

namespace longspan {

namespace {

constexpr int kWarps = 4, kThreads = 32 * kWarps;
constexpr int kPadding = 128;  // rows

/// The rows of all heads of keys, as kernels read them.
struct Rows {
  __nv_bfloat16 *q[kMaxAttentionZones], *dout;  // [K, padded, D]
  float *log_sum, *delta;                       // [K, padded]; log_sum to base 2
  Range* ranges;                                // [padded / 32], or null without positions
  const Range* key_ranges;                      // or null
  int64_t padded;                               // T * group rounded up
};

/// One warp a row.
__global__ void rows_kernel(BackwardView b, Rows rows, int indices) {
  const AttentionView& v = b.view;
  int64_t at = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) / 32;
  int lane = static_cast<int>(threadIdx.x) % 32, d = v.head_dim;
  if (at >= rows.padded * v.kv_heads) return;
  int64_t i = at % rows.padded, head = at / rows.padded * v.group + i % v.group, t = i / v.group;
  if (i >= indices) {
    if (lane == 0) rows.log_sum[at] = INFINITY, rows.delta[at] = 0;
    return;
  }
  for (int e = lane; e < d; e += 32) {
    for (int z = 0; z < v.zones; ++z)
      rows.q[z][at * d + e] = __float2bfloat16_rn(v.zone[z].q[t * v.zone[z].q_stride + head * d + e]);
    rows.dout[at * d + e] = __float2bfloat16_rn(b.dout[t * b.dout_stride + head * d + e]);
  }
  if (lane == 0) {
    float log_sum = b.log_sum[t * b.log_sum_stride + head];
    rows.log_sum[at] = log_sum == -INFINITY ? INFINITY : log_sum * kLog2e;
    rows.delta[at] = b.delta[t * v.heads + head];
  }
}

/// rows.ranges; a warp each.
__global__ void row_range_kernel(AttentionView v, Rows rows, int indices) {
  SequenceView s = sequence_of(v, 0);
  auto i = static_cast<int>(blockIdx.x * kRangeUnit + threadIdx.x);
  Range range = warp_range(place_of<float>(v, s.past + min(i, indices - 1) / v.group));
  if (threadIdx.x == 0) rows.ranges[blockIdx.x] = range;
}

/// Rows first .. first + kCount - 1 of one head of keys into a tile, in the background; zeros from `end` on.
template <int kD, int kCount>
__device__ void load_row_tile(std::byte* tile, const __nv_bfloat16* from, int first, int end, int d) {
#pragma unroll 4
  for (int e = static_cast<int>(threadIdx.x); e < kCount * (kD / 8); e += kThreads) {
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

// dq: a block has a tile of rows in one zone, which stays, and visits the tiles of keys.

template <int kD>
struct DqSizes {
  static constexpr int kBlocks = kD > 128 ? 1 : 2, kWarpRows = 16 * kBlocks, kRows = kWarps * kWarpRows;
  static constexpr int kKeys = kD > 64 ? 32 : 64, kPart = 32;
  static constexpr int kRowBytes = kRows * kD * 2, kTokenBytes = kKeys * kD * 2;
  static constexpr int kBytes = 2 * kRowBytes + 4 * kTokenBytes + QueryRows::bytes(kRows);
  static_assert(kPadding % kRows == 0);
};

template <int kD>
__global__ void __launch_bounds__(kThreads) dq_kernel(BackwardView b, Rows all, int indices) {
  using Size = DqSizes<kD>;
  extern __shared__ __align__(128) std::byte memory[];
  const AttentionView& v = b.view;
  SequenceView s = sequence_of(v, 0);
  int d = v.head_dim, kv = static_cast<int>(blockIdx.y), z = static_cast<int>(blockIdx.z);
  int tile = static_cast<int>(gridDim.x - 1 - blockIdx.x), first_index = tile * Size::kRows;
  const ZoneView& zone = v.zone[z];
  std::byte *q = memory, *dout = q + Size::kRowBytes, *tokens = dout + Size::kRowBytes;
  QueryRows rows(tokens + 4 * Size::kTokenBytes, Size::kRows);
  auto row_of = [&](int i) { return min(first_index + i, indices - 1) / v.group; };
  for (int i = static_cast<int>(threadIdx.x); i < Size::kRows; i += kThreads)
    rows.set(v, s, i, row_of(i), kv * v.group + min(first_index + i, indices - 1) % v.group);
  load_row_tile<kD, Size::kRows>(q, all.q[z] + kv * all.padded * d, first_index, indices, d);
  load_row_tile<kD, Size::kRows>(dout, all.dout + kv * all.padded * d, first_index, indices, d);
  __syncthreads();
  int lane = static_cast<int>(threadIdx.x) % 32;
  int first_row = static_cast<int>(threadIdx.x) / 32 * Size::kWarpRows;
  WarpBounds bounds(rows.query(first_row + lane % Size::kWarpRows));
  float log_sum[Size::kBlocks][2], delta[Size::kBlocks][2], dq[Size::kBlocks][kD / 8][4] = {};
#pragma unroll
  for (int m = 0; m < Size::kBlocks; ++m)
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      int64_t at = kv * all.padded + first_index + first_row + 16 * m + 8 * half + lane / 4;
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
    load_token_tile<kD, Size::kKeys, kThreads>(to, zone.keys, s.index, kv, n0, s.keys);
    load_token_tile<kD, Size::kKeys, kThreads>(to + Size::kTokenBytes, v.values, s.index, kv, n0, s.keys);
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

// dk, dv: a block has a tile of keys, which stays, and visits the tiles of rows, zone by zone. Scores are
// transposed here: keys are the rows of the products.

template <int kD>
struct DkvSizes {
  static constexpr int kBlocks = kD > 64 ? 1 : 2, kWarpKeys = 16 * kBlocks, kKeys = kWarps * kWarpKeys;
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
  const Rows& all;
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
    int64_t first = kv * all.padded;
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
__global__ void __launch_bounds__(kThreads) dkv_kernel(BackwardView b, Rows all, int indices) {
  using Size = DkvSizes<kD>;
  extern __shared__ __align__(128) std::byte memory[];
  const AttentionView& v = b.view;
  SequenceView s = sequence_of(v, 0);
  int d = v.head_dim, n0 = static_cast<int>(blockIdx.x) * Size::kKeys, kv = static_cast<int>(blockIdx.y);
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
        if (n >= s.keys) continue;
#pragma unroll
        for (int j = 0; j < kD / 8; ++j) {
          if (8 * j >= d) break;
          int64_t column = static_cast<int64_t>(kv) * d + 8 * j + 2 * (lane % 4);
          to.store(n, column, x[m][j][2 * half] * scale);
          to.store(n, column + 1, x[m][j][2 * half + 1] * scale);
        }
      }
  };
  load_token_tile<kD, Size::kKeys, kThreads>(values, v.values, s.index, kv, n0, s.keys);
  for (int z = 0; z < v.zones; ++z) {
    const ZoneView& zone = v.zone[z];
#pragma unroll
    for (auto& block : dk)
#pragma unroll
      for (auto& x : block) x[0] = x[1] = x[2] = x[3] = 0;
    load_token_tile<kD, Size::kKeys, kThreads>(keys, zone.keys, s.index, kv, n0, s.keys);
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
bool launch(CudaDevice& device, const BackwardView& b, const Sequences& s) {
  const AttentionView& v = b.view;
  int room = 0;
  check(cudaDeviceGetAttribute(&room, cudaDevAttrMaxSharedMemoryPerBlockOptin, device.index()), "attention");
  if (DqSizes<kD>::kBytes > room || DkvSizes<kD>::kBytes > room) return false;
  auto allow = [](auto kernel, int bytes) {
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes), "attention");
  };
  allow(dq_kernel<kD>, DqSizes<kD>::kBytes), allow(dkv_kernel<kD>, DkvSizes<kD>::kBytes);
  int64_t indices = s.most_rows * v.group, padded = (indices + kPadding - 1) / kPadding * kPadding;
  int64_t all = padded * v.kv_heads;
  Scratch scratch(device);
  Rows rows{.dout = scratch.take<__nv_bfloat16>(all * v.head_dim),
            .log_sum = scratch.take<float>(all),
            .delta = scratch.take<float>(all),
            .key_ranges = make_key_ranges(device, scratch, v, s.most_keys),
            .padded = padded};
  for (int z = 0; z < v.zones; ++z) rows.q[z] = scratch.take<__nv_bfloat16>(all * v.head_dim);
  auto count = static_cast<int>(indices);
  constexpr int kWide = 256;
  rows_kernel<<<static_cast<unsigned>((all * 32 + kWide - 1) / kWide), kWide, 0, device.stream()>>>(b, rows,
                                                                                                    count);
  check_launch("attention_backward (rows)");
  if (v.positions) {
    rows.ranges = scratch.take<Range>(padded / kRangeUnit);
    row_range_kernel<<<static_cast<unsigned>(padded / kRangeUnit), kRangeUnit, 0, device.stream()>>>(v, rows,
                                                                                                     count);
    check_launch("attention_backward (ranges of rows)");
  }
  auto tiles = [](int64_t n, int size) { return static_cast<unsigned>((n + size - 1) / size); };
  auto heads = static_cast<unsigned>(v.kv_heads);
  dim3 row_grid(tiles(indices, DqSizes<kD>::kRows), heads, static_cast<unsigned>(v.zones));
  dq_kernel<kD><<<row_grid, kThreads, DqSizes<kD>::kBytes, device.stream()>>>(b, rows, count);
  check_launch("attention_backward (dq)");
  if (s.most_keys <= 0) return true;
  dim3 key_grid(tiles(s.most_keys, DkvSizes<kD>::kKeys), heads);
  dkv_kernel<kD><<<key_grid, kThreads, DkvSizes<kD>::kBytes, device.stream()>>>(b, rows, count);
  check_launch("attention_backward (dk, dv)");
  return true;
}

}  // namespace

bool tiled_attention_backward(CudaDevice& device, const BackwardView& b, const Sequences& sequences) {
  const AttentionView& v = b.view;
  if (v.decay || v.head_dim % 16 != 0 || v.head_dim > 128 || !(v.scale > 0)) return false;
  if (sequences.most_rows * v.group > INT32_MAX / 2) return false;
  return v.head_dim <= 64 ? launch<64>(device, b, sequences) : launch<128>(device, b, sequences);
}

}  // namespace longspan
