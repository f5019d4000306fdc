// What the tensor core kernels share: tiles of BF16 in shared memory, the range of positions of a tile, and
// which tiles and zones have pairs. Device code: for .cu files only.
//
// A tile's rows are kD elements long; the 16-byte vector i of row r lies at place i ^ (r % 8), so that
// ldmatrix and the copies are free of bank conflicts.
#pragma once

#include "kernels/cuda/attention_view.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/tensor_cores.h"

namespace longspan {

constexpr float kLog2e = 1.4426950408889634f, kLn2 = 0.6931471805599453f;

template <int kD>
__device__ inline uint32_t tile_offset(int row, int vector) {
  return static_cast<uint32_t>((row * (kD / 8) + (vector ^ (row % 8))) * 16);
}

/// A of rows row .. row + 15, columns 16 k .. 16 k + 15 of a tile.
template <int kD>
__device__ inline void load_a(uint32_t (&a)[4], uint32_t tile, int row, int k) {
  int lane = static_cast<int>(threadIdx.x) % 32;
  ldmatrix(a, tile + tile_offset<kD>(row + lane % 16, 2 * k + lane / 16));
}
/// B of two products with the transpose of rows row .. row + 15 as columns: b[0], b[1] of rows 0-7, b[2],
/// b[3] of rows 8-15; inner dimension 16 k .. 16 k + 15.
template <int kD>
__device__ inline void load_b(uint32_t (&b)[4], uint32_t tile, int row, int k) {
  int lane = static_cast<int>(threadIdx.x) % 32;
  ldmatrix(b, tile + tile_offset<kD>(row + lane / 16 * 8 + lane % 8, 2 * k + lane / 8 % 2));
}
/// B of two products whose inner dimension is rows row .. row + 15: b[0], b[1] of columns 16 k .. + 7, b[2],
/// b[3] of the next 8.
template <int kD>
__device__ inline void load_b_rows(uint32_t (&b)[4], uint32_t tile, int row, int k) {
  int lane = static_cast<int>(threadIdx.x) % 32;
  ldmatrix_transposed(b, tile + tile_offset<kD>(row + lane % 16, 2 * k + lane / 16));
}

/// Eight floats, rounded; aligned to 16 bytes where `aligned`; zeros where not `valid`.
__device__ inline uint4 round8(const float* from, bool aligned, bool valid) {
  float x[8] = {};
  if (valid && aligned) {
    float4 low = reinterpret_cast<const float4*>(from)[0], high = reinterpret_cast<const float4*>(from)[1];
    x[0] = low.x, x[1] = low.y, x[2] = low.z, x[3] = low.w;
    x[4] = high.x, x[5] = high.y, x[6] = high.z, x[7] = high.w;
  } else if (valid) {
#pragma unroll
    for (int i = 0; i < 8; ++i) x[i] = from[i];
  }
  return {pack_bf16(x[0], x[1]), pack_bf16(x[2], x[3]), pack_bf16(x[4], x[5]), pack_bf16(x[6], x[7])};
}
__device__ inline uint4 round8(const std::byte* row, DType dtype, int at, bool valid) {
  float x[8];
#pragma unroll
  for (int i = 0; i < 8; ++i) x[i] = valid ? load_element(row, dtype, at + i) : 0;
  return {pack_bf16(x[0], x[1]), pack_bf16(x[2], x[3]), pack_bf16(x[4], x[5]), pack_bf16(x[6], x[7])};
}

__host__ __device__ inline bool is_aligned(const void* pointer, int64_t stride_bytes) {
  return (reinterpret_cast<uintptr_t>(pointer) | static_cast<uintptr_t>(stride_bytes)) % 16 == 0;
}

/// Tokens n0 .. n0 + kTokens - 1 (within a page) of one head into a tile; zeros from token `keys` on. BF16
/// pages are copied in the background.
template <int kD, int kTokens, int kThreads>
__device__ inline void load_token_tile(std::byte* tile, const PagesView& pages, int sequence, int head,
                                       int n0, int keys) {
  const std::byte* from = key_address(pages, sequence, head, n0);
  bool copies = pages.dtype == DType::BF16 && is_aligned(pages.memory, pages.stride);
  int d = pages.head_dim, bytes = pages.dtype == DType::F32 ? 4 : 2;
#pragma unroll 4
  for (int e = static_cast<int>(threadIdx.x); e < kTokens * (kD / 8); e += kThreads) {
    int row = e / (kD / 8), vector = e % (kD / 8);
    bool valid = n0 + row < keys && 8 * vector < d;
    const std::byte* at = valid ? from + static_cast<int64_t>(row) * d * bytes : from;
    std::byte* to = tile + tile_offset<kD>(row, vector);
    if (copies)
      copy_async(shared_address(to), valid ? at + 16 * vector : from, valid);
    else
      *reinterpret_cast<uint4*>(to) = round8(at, pages.dtype, 8 * vector, valid);
  }
}

/// Least and largest position, and what zones count of it, of some queries or keys.
struct Range {
  float least, most, coarse_least, coarse_most;
};
__device__ inline Range range_of(const Place<float>& first, const Place<float>& last) {
  return {first.at, last.at, first.coarse, last.coarse};
}
__device__ inline Range warp_range(const Place<float>& mine) {
  return {-warp_max(-mine.at), warp_max(mine.at), -warp_max(-mine.coarse), warp_max(mine.coarse)};
}
__device__ inline Range joined(const Range& a, const Range& b) {
  return {fminf(a.least, b.least), fmaxf(a.most, b.most), fminf(a.coarse_least, b.coarse_least),
          fmaxf(a.coarse_most, b.coarse_most)};
}

/// Where positions are given, the ranges of every 32 keys (or queries) are kept in memory, those beyond the
/// last key being the last key's.
constexpr int kRangeUnit = 32;
__device__ inline Range joined(const Range* ranges, int first, int n) {
  Range all = ranges[first / kRangeUnit];
  for (int i = kRangeUnit; i < n; i += kRangeUnit) all = joined(all, ranges[(first + i) / kRangeUnit]);
  return all;
}
/// Of keys n0 .. n0 + n - 1; `ranges` is null where there are no positions.
__device__ inline Range key_range(const AttentionView& v, const Range* ranges, int n0, int n) {
  if (ranges) return joined(ranges, n0, n);
  return range_of(place_of<float>(v, n0), place_of<float>(v, n0 + n - 1));
}

/// Whether some pair of the queries and keys may be seen, in the zone.
__device__ inline bool may_meet(const AttentionView& v, const ZoneView& zone, const Range& q,
                                const Range& key) {
  if (v.window > 0 && q.least - key.most >= v.window) return false;
  return q.coarse_most - key.coarse_least >= zone.from && q.coarse_least - key.coarse_most < zone.until;
}
/// Whether all pairs are within the window and in the zone.
__device__ inline bool all_meet(const AttentionView& v, const ZoneView& zone, const Range& q,
                                const Range& key) {
  if (v.window > 0 && q.most - key.least >= v.window) return false;
  return q.coarse_least - key.coarse_most >= zone.from && q.coarse_most - key.coarse_least < zone.until;
}

/// Room for a query of a tile in shared memory.
struct QueryRows {
  float *at, *coarse, *slope;
  int *first, *last;

  __device__ QueryRows(void* memory, int rows) {
    at = static_cast<float*>(memory), coarse = at + rows, slope = coarse + rows;
    first = reinterpret_cast<int*>(slope + rows), last = first + rows;
  }
  __host__ __device__ static constexpr int bytes(int rows) { return rows * 20; }

  __device__ void set(const AttentionView& v, const SequenceView& s, int i, int row, int head) const {
    Query<float> query = query_of<float>(v, s, row);
    at[i] = query.place.at, coarse[i] = query.place.coarse;
    first[i] = query.first, last[i] = query.last;
    slope[i] = v.slopes ? v.slopes[head] : 0;
  }
  __device__ Query<float> query(int i) const { return {{at[i], coarse[i]}, first[i], last[i]}; }
};

/// The score of one pair from its product, as mask_scores says.
__device__ inline void mask_score(float& score, const AttentionView& v, const ZoneView& zone,
                                  const Query<float>& query, float slope, int n) {
  if (n < query.first || n > query.last) {
    score = -INFINITY;
    return;
  }
  Place<float> key = place_of<float>(v, n);
  if (v.slopes) score = v.scale * score - slope * (query.place.at - key.at);
  if (!sees(v, query, n, key) || !in_zone(zone, query.place, key)) score = -INFINITY;
}
/// What scores are multiplied by on their way to powers of two.
__device__ inline float score_factor(const AttentionView& v) { return v.slopes ? kLog2e : v.scale * kLog2e; }

/// What the rows of a warp see.
struct WarpBounds {
  Range range;
  int least_first, most_first, least_last, most_last;

  /// `mine`: of the lane; each row has a lane.
  __device__ explicit WarpBounds(const Query<float>& mine) {
    range = warp_range(mine.place);
    least_first = __reduce_min_sync(0xffffffffu, mine.first);
    most_first = __reduce_max_sync(0xffffffffu, mine.first);
    least_last = __reduce_min_sync(0xffffffffu, mine.last);
    most_last = __reduce_max_sync(0xffffffffu, mine.last);
  }
  /// Whether no pair with keys n0 .. n1 - 1 is seen in the zone.
  __device__ bool none(const AttentionView& v, const ZoneView& zone, const Range& key, int n0, int n1) const {
    return n0 > most_last || n1 <= least_first || !may_meet(v, zone, range, key);
  }
  /// Whether all pairs are.
  __device__ bool whole(const AttentionView& v, const ZoneView& zone, const Range& key, int n0,
                        int n1) const {
    return n1 - 1 <= least_last && n0 >= most_first && all_meet(v, zone, range, key);
  }
};

/// Scores (products of q and k) of the rows first_row .. of a tile and keys n0 ..: those of keys of another
/// zone or that are not seen become -inf; with slopes, all become final.
template <int kBlocks, int kColumns>
__device__ inline void mask_scores(float (&scores)[kBlocks][kColumns][4], const AttentionView& v,
                                   const ZoneView& zone, const QueryRows& rows, int first_row, int n0) {
  int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
  for (int m = 0; m < kBlocks; ++m)
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      int i = first_row + 16 * m + 8 * half + lane / 4;
      Query<float> query = rows.query(i);
#pragma unroll
      for (int j = 0; j < kColumns; ++j)
#pragma unroll
        for (int k = 0; k < 2; ++k)
          mask_score(scores[m][j][2 * half + k], v, zone, query, rows.slope[i],
                     n0 + 8 * j + 2 * (lane % 4) + k);
    }
}

__device__ inline float exp2_fast(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;\n" : "=f"(y) : "f"(x));
  return y;
}

/// The ranges of all keys, in scratch memory, as key_range reads them; null where there are no positions.
const Range* make_key_ranges(CudaDevice& device, Scratch& scratch, const AttentionView& v, int64_t most_keys);

}  // namespace longspan
