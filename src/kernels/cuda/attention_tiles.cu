// Attention of many rows on the tensor cores: FlashAttention-2 (Dao 2023, arXiv 2307.08691) by mma.sync,
// which runs from sm_80 on. q, k, p and v are rounded to BF16, sums are F32.
//
// The rows of a tile are the (token, head) pairs of all query heads that share a head of keys, tokens
// outermost: a tile of 128 rows and 4 heads is 32 tokens. A block visits pairs of (tile of keys, zone) in
// order; a tile in which two zones meet is visited once for each, with masks that complement each other.
#include "kernels/cuda/attention_internal.h"
#include "kernels/cuda/attention_tile.h"

namespace longspan {

namespace {

constexpr int kWarps = 4, kThreads = 32 * kWarps;

/// Sizes for heads of at most kD elements: a warp has 16 kBlocks rows; a tile kKeys keys, of which kPart at a
/// time have their scores in registers.
template <int kD>
struct Sizes {
  static constexpr int kBlocks = kD > 128 ? 1 : 2, kWarpRows = 16 * kBlocks, kRows = kWarps * kWarpRows;
  static constexpr int kKeys = kD > 128 ? 32 : 64, kPart = kD > 64 ? 32 : 64;
  static constexpr int kQBytes = kRows * kD * 2, kTokenBytes = kKeys * kD * 2;
  static_assert(kPageTokens % kKeys == 0);

  __host__ __device__ static constexpr int bytes(int zones) {
    return zones * kQBytes + 4 * kTokenBytes + QueryRows::bytes(kRows) +
           kWarps * static_cast<int>(sizeof(Range));
  }
};

/// A tile of keys in one zone.
struct Visit {
  int n0, zone;
};

/// The tile of queries of a block: what it needs to know to find its visits.
template <int kD>
struct TileOfQueries {
  using Size = Sizes<kD>;
  const AttentionView& v;
  const SequenceView& s;
  const Range* ranges;
  int kv, first_index, indices;  // indices first_index .. of the rows x group pairs; `indices` in all
  int end;                       // of the keys
  Range range;                   // of all rows

  __device__ int row_of(int i) const { return min(first_index + i, indices - 1) / v.group; }
  __device__ int head_of(int i) const { return kv * v.group + min(first_index + i, indices - 1) % v.group; }

  __device__ bool wanted(const Visit& visit) const {
    if (v.zones == 1 && v.window == 0) return true;
    return may_meet(v, v.zone[visit.zone], range, key_range(v, ranges, visit.n0, Size::kKeys));
  }
  /// The first visit from this one on.
  __device__ Visit from(Visit visit) const {
    while (visit.n0 < end && !wanted(visit)) visit = after(visit);
    return visit;
  }
  __device__ Visit after(const Visit& visit) const {
    return visit.zone + 1 < v.zones ? Visit{visit.n0, visit.zone + 1} : Visit{visit.n0 + Size::kKeys, 0};
  }

  /// q of every zone as BF16.
  __device__ void load_q(std::byte* memory) const {
    for (int z = 0; z < v.zones; ++z) {
      const ZoneView& zone = v.zone[z];
      bool aligned = is_aligned(zone.q, zone.q_stride * 4);
      for (int e = static_cast<int>(threadIdx.x); e < Size::kRows * (kD / 8); e += kThreads) {
        int i = e / (kD / 8), vector = e % (kD / 8);
        const float* q = zone.q + (s.first + row_of(i)) * zone.q_stride +
                         static_cast<int64_t>(head_of(i)) * v.head_dim + 8 * vector;
        *reinterpret_cast<uint4*>(memory + z * Size::kQBytes + tile_offset<kD>(i, vector)) =
            round8(q, aligned, 8 * vector < v.head_dim);
      }
    }
  }
};

/// The rows of a warp: lane l has rows l / 4 + {0, 8} of each block of 16, and of these the columns 2 (l % 4)
/// + {0, 1} of every 8 keys or elements of the output.
template <int kD>
struct WarpRows {
  using Size = Sizes<kD>;
  const AttentionView& v;
  const QueryRows& rows;
  int first_row, lane;  // of the tile
  WarpBounds bounds;
  float factor;  // of scores, to powers of two
  float o[Size::kBlocks][kD / 8][4], largest[Size::kBlocks][2], total[Size::kBlocks][2];

  __device__ void begin() {
    factor = score_factor(v);
#pragma unroll
    for (int m = 0; m < Size::kBlocks; ++m) {
      largest[m][0] = largest[m][1] = -INFINITY, total[m][0] = total[m][1] = 0;
#pragma unroll
      for (auto& x : o[m]) x[0] = x[1] = x[2] = x[3] = 0;
    }
  }

  using Scores = float[Size::kBlocks][Size::kPart / 8][4];

  /// Scores become weights; what was summed before is scaled to the new maximum.
  __device__ void soften(Scores& scores) {
#pragma unroll
    for (int m = 0; m < Size::kBlocks; ++m)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        float most = largest[m][half];
#pragma unroll
        for (int j = 0; j < Size::kPart / 8; ++j)
          most = fmaxf(most, fmaxf(scores[m][j][2 * half], scores[m][j][2 * half + 1]));
        most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, 1));
        most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, 2));
        float base = most == -INFINITY ? 0 : most;  // -inf less -inf is not a number
        if (__any_sync(0xffffffffu, most > largest[m][half])) {
          float old = exp2_fast((largest[m][half] - base) * factor);
          total[m][half] *= old;
#pragma unroll
          for (int j = 0; j < kD / 8; ++j) o[m][j][2 * half] *= old, o[m][j][2 * half + 1] *= old;
        }
        largest[m][half] = most;
#pragma unroll
        for (int j = 0; j < Size::kPart / 8; ++j)
#pragma unroll
          for (int k = 0; k < 2; ++k) {
            // The difference first: the largest weight is exactly 1, whatever the size of the scores.
            float p = exp2_fast((scores[m][j][2 * half + k] - base) * factor);
            scores[m][j][2 * half + k] = p;
            total[m][half] += p;
          }
      }
  }

  __device__ void add(const Visit& visit, const Range& key, uint32_t q, uint32_t keys, uint32_t values) {
    const ZoneView& zone = v.zone[visit.zone];
    int end = visit.n0 + Size::kKeys;
    if (bounds.none(v, zone, key, visit.n0, end)) return;
    bool whole = !v.slopes && bounds.whole(v, zone, key, visit.n0, end);
#pragma unroll 1
    for (int part = 0; part < Size::kKeys; part += Size::kPart) {
      Scores scores = {};
#pragma unroll
      for (int k = 0; k < kD / 16; ++k) {
        if (16 * k >= v.head_dim) break;
        uint32_t a[Size::kBlocks][4];
#pragma unroll
        for (int m = 0; m < Size::kBlocks; ++m) load_a<kD>(a[m], q, first_row + 16 * m, k);
#pragma unroll
        for (int j = 0; j < Size::kPart / 16; ++j) {
          uint32_t b[4];
          load_b<kD>(b, keys, part + 16 * j, k);
#pragma unroll
          for (int m = 0; m < Size::kBlocks; ++m) {
            mma(scores[m][2 * j], a[m], b[0], b[1]);
            mma(scores[m][2 * j + 1], a[m], b[2], b[3]);
          }
        }
      }
      if (!whole) mask_scores(scores, v, zone, rows, first_row, visit.n0 + part);
      soften(scores);
#pragma unroll
      for (int j = 0; j < Size::kPart / 16; ++j) {
        uint32_t p[Size::kBlocks][4];
#pragma unroll
        for (int m = 0; m < Size::kBlocks; ++m)
#pragma unroll
          for (int i = 0; i < 4; ++i)
            p[m][i] = pack_bf16(scores[m][2 * j + i / 2][i % 2 * 2], scores[m][2 * j + i / 2][i % 2 * 2 + 1]);
#pragma unroll
        for (int k = 0; k < kD / 16; ++k) {
          if (16 * k >= v.head_dim) break;
          uint32_t b[4];
          load_b_rows<kD>(b, values, part + 16 * j, k);
#pragma unroll
          for (int m = 0; m < Size::kBlocks; ++m) {
            mma(o[m][2 * k], p[m], b[0], b[1]);
            mma(o[m][2 * k + 1], p[m], b[2], b[3]);
          }
        }
      }
    }
  }

  __device__ void write(const AttentionResult& result, const TileOfQueries<kD>& tile) const {
    bool pairs = result.out.stride % 2 == 0 && reinterpret_cast<uintptr_t>(result.out.data) % 4 == 0;
#pragma unroll
    for (int m = 0; m < Size::kBlocks; ++m)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        float sum = total[m][half];
        sum += __shfl_xor_sync(0xffffffffu, sum, 1);
        sum += __shfl_xor_sync(0xffffffffu, sum, 2);
        int i = first_row + 16 * m + 8 * half + lane / 4;
        if (tile.first_index + i >= tile.indices) continue;
        int64_t t = tile.s.first + tile.row_of(i), h = tile.head_of(i);
        float inverse = sum > 0 ? 1 / sum : 0;
        auto* to = static_cast<__nv_bfloat16*>(result.out.data) + t * result.out.stride + h * v.head_dim;
#pragma unroll
        for (int j = 0; j < kD / 8; ++j) {
          int at = 8 * j + 2 * (lane % 4);
          if (at >= v.head_dim) continue;
          uint32_t packed = pack_bf16(o[m][j][2 * half] * inverse, o[m][j][2 * half + 1] * inverse);
          if (pairs) {
            *reinterpret_cast<uint32_t*>(to + at) = packed;
          } else {
            to[at] = __ushort_as_bfloat16(static_cast<unsigned short>(packed & 0xffffu));
            to[at + 1] = __ushort_as_bfloat16(static_cast<unsigned short>(packed >> 16));
          }
        }
        if (result.log_sum && lane % 4 == 0)
          result.log_sum[t * result.log_sum_stride + h] =
              sum > 0 ? largest[m][half] * factor * kLn2 + logf(sum) : -INFINITY;
      }
  }
};

/// The range of all rows of a block from those of its warps.
__device__ Range block_range(const Range& mine, Range* memory) {
  if (threadIdx.x % 32 == 0) memory[threadIdx.x / 32] = mine;
  __syncthreads();
  Range all = memory[0];
  for (int w = 1; w < kWarps; ++w) all = joined(all, memory[w]);
  return all;
}

template <int kD>
__global__ void __launch_bounds__(kThreads)
    tiles_kernel(AttentionView v, AttentionResult result, const Range* ranges, int above) {
  using Size = Sizes<kD>;
  extern __shared__ __align__(128) std::byte memory[];
  SequenceView s = sequence_of(v, static_cast<int>(blockIdx.z));
  int indices = s.rows * v.group, tiles = (indices + Size::kRows - 1) / Size::kRows;
  int tile_index = tiles - 1 - static_cast<int>(blockIdx.x);  // the longest rows first
  if (s.rows <= above || tile_index < 0) return;
  std::byte *tokens = memory + v.zones * Size::kQBytes, *rest = tokens + 4 * Size::kTokenBytes;
  QueryRows rows(rest, Size::kRows);
  TileOfQueries<kD> tile{.v = v,
                         .s = s,
                         .ranges = ranges,
                         .kv = static_cast<int>(blockIdx.y),
                         .first_index = tile_index * Size::kRows,
                         .indices = indices};
  for (int i = static_cast<int>(threadIdx.x); i < Size::kRows; i += kThreads)
    rows.set(v, s, i, tile.row_of(i), tile.head_of(i));
  tile.load_q(memory);
  tile.end = end_key(v, s, tile.row_of(Size::kRows - 1));
  __syncthreads();
  int lane = static_cast<int>(threadIdx.x) % 32;
  int first_row = static_cast<int>(threadIdx.x) / 32 * Size::kWarpRows;
  WarpRows<kD> warp{.v = v,
                    .rows = rows,
                    .first_row = first_row,
                    .lane = lane,
                    .bounds = WarpBounds(rows.query(first_row + lane % Size::kWarpRows))};
  warp.begin();
  tile.range = block_range(warp.bounds.range, reinterpret_cast<Range*>(rest + QueryRows::bytes(Size::kRows)));

  auto load = [&](const Visit& visit, int stage) {
    std::byte* to = tokens + stage * 2 * Size::kTokenBytes;
    load_token_tile<kD, Size::kKeys, kThreads>(to, v.zone[visit.zone].keys, s.index, tile.kv, visit.n0,
                                               s.keys);
    load_token_tile<kD, Size::kKeys, kThreads>(to + Size::kTokenBytes, v.values, s.index, tile.kv, visit.n0,
                                               s.keys);
  };
  Visit visit = tile.from({first_key(v, s, tile.row_of(0), Size::kKeys), 0});
  if (visit.n0 < tile.end) load(visit, 0);
  commit_copies();
  for (int stage = 0; visit.n0 < tile.end; stage ^= 1) {
    Visit next = tile.from(tile.after(visit));
    if (next.n0 < tile.end) load(next, stage ^ 1);
    commit_copies();
    wait_copies<1>();
    __syncthreads();
    uint32_t keys = shared_address(tokens + stage * 2 * Size::kTokenBytes);
    warp.add(visit, key_range(v, ranges, visit.n0, Size::kKeys),
             shared_address(memory + visit.zone * Size::kQBytes), keys, keys + Size::kTokenBytes);
    __syncthreads();
    visit = next;
  }
  warp.write(result, tile);
}

/// ranges[i] = of keys 32 i .. 32 i + 31 of the only sequence; a warp each.
__global__ void range_kernel(AttentionView v, Range* ranges) {
  SequenceView s = sequence_of(v, 0);
  if (s.keys == 0) return;
  auto n = static_cast<int>(blockIdx.x * kRangeUnit + threadIdx.x);
  Range range = warp_range(place_of<float>(v, min(n, s.keys - 1)));
  if (threadIdx.x == 0) ranges[blockIdx.x] = range;
}

template <int kD>
bool launch(CudaDevice& device, const AttentionResult& result, const AttentionView& v, const Sequences& s,
            int above) {
  using Size = Sizes<kD>;
  constexpr int kMostBytes = Size::bytes(kMaxAttentionZones);
  int bytes = Size::bytes(v.zones);
  int room = 0;
  check(cudaDeviceGetAttribute(&room, cudaDevAttrMaxSharedMemoryPerBlockOptin, device.index()), "attention");
  if (bytes > room) return false;
  check(cudaFuncSetAttribute(tiles_kernel<kD>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                             std::min(kMostBytes, room)),
        "attention");
  Scratch scratch(device);
  const Range* ranges = make_key_ranges(device, scratch, v, s.most_keys);
  dim3 grid(static_cast<unsigned>((s.most_rows * v.group + Size::kRows - 1) / Size::kRows),
            static_cast<unsigned>(v.kv_heads), static_cast<unsigned>(s.count));
  tiles_kernel<kD><<<grid, kThreads, static_cast<size_t>(bytes), device.stream()>>>(v, result, ranges, above);
  check_launch("attention (tiles)");
  return true;
}

}  // namespace

const Range* make_key_ranges(CudaDevice& device, Scratch& scratch, const AttentionView& v,
                             int64_t most_keys) {
  if (!v.positions || most_keys <= 0) return nullptr;
  constexpr int64_t kLargestTile = 128;
  int64_t tiles = (most_keys + kLargestTile - 1) / kLargestTile * (kLargestTile / kRangeUnit);
  auto* ranges = scratch.take<Range>(tiles);
  range_kernel<<<static_cast<unsigned>(tiles), kRangeUnit, 0, device.stream()>>>(v, ranges);
  check_launch("attention (ranges of positions)");
  return ranges;
}

bool tiled_attention(CudaDevice& device, const AttentionResult& result, const AttentionView& v,
                     const Sequences& sequences, int above) {
  if (v.decay || v.soft_cap > 0 || v.head_dim % 16 != 0 || v.head_dim > 256 || !(v.scale > 0) ||
      !result.out.bf16)
    return false;
  if (sequences.most_rows * v.group > INT32_MAX / 2) return false;
  if (v.head_dim <= 64) return launch<64>(device, result, v, sequences, above);
  if (v.head_dim <= 128) return launch<128>(device, result, v, sequences, above);
  return launch<256>(device, result, v, sequences, above);
}

}  // namespace longspan
