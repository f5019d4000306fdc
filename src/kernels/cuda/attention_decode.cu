// Attention of few rows over many keys (Flash-Decoding, Dao 2023): the keys are split over the
// multiprocessors, each part leaves its sums in scratch memory, and a second kernel adds the parts up. All
// query heads that share a head of keys take one read of it.
//
// Number and length of the splits follow from the keys of the sequence alone: a sequence has the same bits in
// every batch, and a captured launch, planned for most_keys rounded up, stays right while the text grows.
#include <algorithm>
#include <bit>
#include <cassert>
#include <type_traits>

#include "kernels/cuda/attention_decode_warp.h"
#include "kernels/cuda/attention_internal.h"

namespace longspan {

namespace {

constexpr int kWarps = kDecodeWarps, kThreads = 32 * kWarps;
constexpr int kLeastSplit = 128;  // tokens
constexpr int kMostSplits = 512;

/// Parts of the keys first .. end - 1 of a sequence: `count` of `length` tokens.
struct Splits {
  int first, end, length, count;
};
__device__ Splits splits_of(const AttentionView& v, const SequenceView& s, int most) {
  int first = first_key(v, s, 0, kBlockStep), end = end_key(v, s, s.rows - 1), n = max(end - first, 0);
  int wanted = max(min((n + kLeastSplit - 1) / kLeastSplit, most), 1);
  int length = max((n + wanted * kBlockStep - 1) / (wanted * kBlockStep), 1) * kBlockStep;
  return {first, end, length, (n + length - 1) / length};
}

/// What the parts leave: o [splits, slots, H, width], not divided, and (largest score, sum) [splits, slots,
/// H].
struct Parts {
  float* o;
  float2* sums;
  int64_t slots;
  bool by_row;  // a row's slot is its row of the batch, or that among kDecodeRows of its sequence
  int most;     // splits
  int width;    // D rounded up to whole vectors

  __device__ int64_t at(int split, const SequenceView& s, int row, int heads, int h) const {
    int64_t slot = by_row ? s.first + row : static_cast<int64_t>(s.index) * kDecodeRows + row;
    return (split * slots + slot) * heads + h;
  }
};

/// Shared memory of a block: the warps' rings, later their outputs; the fragments of q; what undoes its
/// scale.
template <int kD, CacheKind kKind>
constexpr int kFrontBytes = std::max(kRingBytes<kD, kKind>,
                                     kWarps* kQueries*(kD + 2) * static_cast<int>(sizeof(float)));
template <int kD, CacheKind kKind>
constexpr int fragment_bytes(int zones) {
  return zones * parts_of_factors(kKind) * (kD / 16) * 32 * static_cast<int>(sizeof(uint2));
}
template <int kD, CacheKind kKind>
constexpr int decode_bytes(int zones) {
  int undo = in_f16(kKind) ? zones * kQueries * static_cast<int>(sizeof(float)) : 0;
  return kFrontBytes<kD, kKind> + fragment_bytes<kD, kKind>(zones) + undo;
}

/// Row and head of query `index` of the rows of a sequence that share a head of keys.
struct QueryIndex {
  int row, head;
  bool valid;
};
__device__ QueryIndex query_index(const AttentionView& v, const SequenceView& s, int kv, int index) {
  bool valid = index < s.rows * v.group;
  if (!valid) index = 0;
  return {index / v.group, kv * v.group + index % v.group, valid};
}

/// By block: 2^-e for each zone and query, the largest element of 2^e q lying in 2^13 .. 2^14.
__device__ void find_scales(float* undo, const AttentionView& v, const SequenceView& s, int kv,
                            int first_query) {
  constexpr int kLanes = kThreads / kQueries;
  int lane = static_cast<int>(threadIdx.x) % kLanes, query = static_cast<int>(threadIdx.x) / kLanes;
  QueryIndex index = query_index(v, s, kv, first_query + query);
  for (int z = 0; z < v.zones; ++z) {
    const float* q = v.zone[z].q + (s.first + index.row) * v.zone[z].q_stride +
                     static_cast<int64_t>(index.head) * v.head_dim;
    float most = 0;
    for (int i = lane; i < v.head_dim; i += kLanes) most = fmaxf(most, fabsf(q[i]));
    for (int k = kLanes / 2; k > 0; k /= 2) most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, k));
    int exponent = most > 0 && most < INFINITY ? max(ilogbf(most) - kF16Exponent, -100) : 0;
    if (lane == 0) undo[z * kQueries + query] = ldexpf(1, exponent);
  }
}

/// By block: q in three parts. `undo` where it is scaled, or null.
template <int kD, CacheKind kKind>
__device__ void make_fragments(uint2* fragments, const float* undo, const AttentionView& v,
                               const SequenceView& s, int kv, int first_query) {
  constexpr int kSteps = kD / 16;
  for (int e = static_cast<int>(threadIdx.x); e < v.zones * kSteps * 32; e += kThreads) {
    int lane = e % 32, step = e / 32 % kSteps, z = e / 32 / kSteps;
    QueryIndex index = query_index(v, s, kv, first_query + lane / 4);
    int at = step / 2 * 32 + lane % 4 * 8 + step % 2 * 4;
    const float* q = v.zone[z].q + (s.first + index.row) * v.zone[z].q_stride +
                     static_cast<int64_t>(index.head) * v.head_dim;
    float x[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      x[i] = index.valid && at + i < v.head_dim ? q[at + i] : 0;
      if constexpr (in_f16(kKind)) x[i] /= undo[z * kQueries + lane / 4];
    }
    Three a = three_parts<kKind>(x[0], x[1]), b = three_parts<kKind>(x[2], x[3]);
    uint2* to = fragments + (z * parts_of_factors(kKind) * kSteps + step) * 32 + lane;
    to[0] = {a.high, b.high};
    to[kSteps * 32] = {a.middle, b.middle};
    if constexpr (!has_codes(kKind)) to[2 * kSteps * 32] = {a.low, b.low};
  }
}

/// Adds the warps' sums up and writes them: one split of 8 queries.
template <int kD, CacheKind kKind>
__device__ void write_part(const DecodeWarp<kD, kKind>& warp, float* memory, const Parts& parts,
                           const AttentionView& v, const SequenceView& s, int kv, int split,
                           int first_query) {
  float total = warp.total;
  total += __shfl_xor_sync(0xffffffffu, total, 1);
  total += __shfl_xor_sync(0xffffffffu, total, 2);
  int index = static_cast<int>(threadIdx.x) / 32, lane = warp.lane, g = lane / 4, c = lane % 4;
  float *o = memory, *largest = o + kWarps * kQueries * kD, *totals = largest + kWarps * kQueries;
  __syncthreads();  // the rings have been read
  if (c == 0) largest[index * kQueries + g] = warp.largest, totals[index * kQueries + g] = total;
  float* mine = o + (index * kQueries + g) * kD;
#pragma unroll
  for (int tile = 0; tile < kD / 8; ++tile) {
    int at = tile / 8 * 64 + 16 * c + tile % 8;
    mine[at] = warp.o[tile][0] + warp.o[tile][2];
    mine[at + 8] = warp.o[tile][1] + warp.o[tile][3];
  }
  __syncthreads();
  for (int e = static_cast<int>(threadIdx.x); e < kQueries * kD; e += kThreads) {
    int query = e / kD, i = e % kD;
    QueryIndex to = query_index(v, s, kv, first_query + query);
    if (!to.valid || i >= v.head_dim) continue;
    float most = -INFINITY, sum = 0, x = 0;
    for (int w = 0; w < kWarps; ++w) most = fmaxf(most, largest[w * kQueries + query]);
    for (int w = 0; w < kWarps && most > -INFINITY; ++w) {
      float factor = expf(largest[w * kQueries + query] - most);
      sum += factor * totals[w * kQueries + query];
      x = fmaf(factor, o[(w * kQueries + query) * kD + i], x);
    }
    int64_t at = parts.at(split, s, to.row, v.heads, to.head);
    parts.o[at * parts.width + i] = x / kWeightScale<kKind>;
    if (i == 0) parts.sums[at] = {most, sum};
  }
}

template <int kD, CacheKind kKind>
__global__ void __launch_bounds__(kThreads, decode_blocks(kD, kKind))
    decode_kernel(const __grid_constant__ AttentionView v, Parts parts) {
  extern __shared__ uint4 memory[];
  launch_dependents();
  SequenceView s = sequence_of(v, static_cast<int>(blockIdx.z));
  if (s.rows == 0 || s.rows > kDecodeRows) return;
  int kv = static_cast<int>(blockIdx.y) % v.kv_heads, split = static_cast<int>(blockIdx.x);
  int first_query = static_cast<int>(blockIdx.y) / v.kv_heads * kQueries;
  Splits splits = splits_of(v, s, parts.most);
  if (split >= splits.count || first_query >= s.rows * v.group) return;
  auto* front = reinterpret_cast<std::byte*>(memory);
  auto* q = reinterpret_cast<uint2*>(front + kFrontBytes<kD, kKind>);
  auto* undo = reinterpret_cast<float*>(front + kFrontBytes<kD, kKind> + fragment_bytes<kD, kKind>(v.zones));
  int lane = static_cast<int>(threadIdx.x) % 32, w = static_cast<int>(threadIdx.x) / 32;
  QueryIndex mine = query_index(v, s, kv, first_query + lane / 4);
  int last_row = (min(first_query + kQueries, s.rows * v.group) - 1) / v.group;
  int begin = splits.first + split * splits.length;
  DecodeWarp<kD, kKind> warp{.v = v, .s = s, .q = q, .undo = undo};
  warp.ring = shared_address(front) + static_cast<uint32_t>(w * (kRingBytes<kD, kKind> / kWarps));
  warp.row = mine.row, warp.head = mine.head, warp.valid = mine.valid;
  warp.whole = whole_range(v, s, first_query / v.group, last_row);
  warp.lane = lane, warp.kv = kv, warp.end = min(begin + splits.length, splits.end);
  warp.start(begin + w * kStep);
  if constexpr (in_f16(kKind)) {
    find_scales(undo, v, s, kv, first_query);
    __syncthreads();
  }
  make_fragments<kD, kKind>(q, undo, v, s, kv, first_query);
  __syncthreads();
  warp.run();
  write_part<kD, kKind>(warp, reinterpret_cast<float*>(memory), parts, v, s, kv, split, first_query);
}

constexpr int kCombineThreads = kMostSplits, kCombineWarps = kCombineThreads / 32;

/// One row and head: the sum of its parts, in a fixed order.
__global__ void __launch_bounds__(kCombineThreads)
    combine_kernel(const __grid_constant__ AttentionView v, Parts parts, AttentionResult result) {
  __shared__ float factors[kMostSplits], elements[4 * kCombineThreads], largest[kCombineWarps],
      totals[kCombineWarps];
  SequenceView s = sequence_of(v, static_cast<int>(blockIdx.z));
  int row = static_cast<int>(blockIdx.y), h = static_cast<int>(blockIdx.x), d = v.head_dim;
  if (row >= s.rows || s.rows > kDecodeRows) return;
  int count = splits_of(v, s, parts.most).count, thread = static_cast<int>(threadIdx.x);
  // Each thread adds up four elements of every `ways`-th part.
  int vectors = d <= 64 ? 16 : d <= 128 ? 32 : 64, ways = kCombineThreads / vectors;
  int i = 4 * (thread % vectors);
  const float* o = parts.o + parts.at(0, s, row, v.heads, h) * parts.width + i;
  int64_t stride = parts.slots * v.heads * parts.width;
  if (i >= d) o = nullptr;
  wait_for_primary();
  float2 sum{-INFINITY, 0};
  if (thread < count) sum = parts.sums[parts.at(thread, s, row, v.heads, h)];
  constexpr int kEarly = 4;  // parts that are read before their factors are known
  float4 early[kEarly];
#pragma unroll
  for (int e = 0; e < kEarly; ++e) {
    int k = thread / vectors + e * ways;
    early[e] = o && k < count ? *reinterpret_cast<const float4*>(o + k * stride) : float4{0, 0, 0, 0};
  }
  float most = warp_max(sum.x), total = 0;
  if (thread % 32 == 0) largest[thread / 32] = most;
  __syncthreads();
  for (float x : largest) most = fmaxf(most, x);
  float factor = sum.x == -INFINITY ? 0 : expf(sum.x - most);
  factors[thread] = factor;
  float of_warp = warp_sum(factor * sum.y);
  if (thread % 32 == 0) totals[thread / 32] = of_warp;
  __syncthreads();
  for (float x : totals) total += x;
  float x[4] = {};
  auto add = [&](int k, const float4& part) {
    float f = factors[k];
    x[0] = fmaf(f, part.x, x[0]), x[1] = fmaf(f, part.y, x[1]);
    x[2] = fmaf(f, part.z, x[2]), x[3] = fmaf(f, part.w, x[3]);
  };
#pragma unroll
  for (int e = 0; e < kEarly; ++e)
    if (thread / vectors + e * ways < count) add(thread / vectors + e * ways, early[e]);
  if (o) {
#pragma unroll 4
    for (int k = thread / vectors + kEarly * ways; k < count; k += ways)
      add(k, *reinterpret_cast<const float4*>(o + k * stride));
  }
#pragma unroll
  for (int e = 0; e < 4; ++e) elements[4 * thread + e] = x[e];
  __syncthreads();
  if (thread < d) {
    float y = 0;
#pragma unroll 8
    for (int way = 0; way < ways; ++way) y += elements[way * 4 * vectors + thread];
    result.out.store(s.first + row, static_cast<int64_t>(h) * d + thread, total > 0 ? y / total : 0);
  }
  if (result.log_sum && thread == 0)
    result.log_sum[(s.first + row) * result.log_sum_stride + h] = total > 0 ? most + logf(total) : -INFINITY;
}

/// Pages whose rows can be read in 16-byte vectors.
bool in_vectors(const PagesView& pages) {
  return pages.head_dim % 8 == 0 && pages.stride % 16 == 0 &&
         reinterpret_cast<uintptr_t>(pages.memory) % 16 == 0;
}
CacheKind kind_of(const AttentionView& v) {
  DType keys = v.zone[0].keys.dtype, values = v.values.dtype;
  bool vectors = in_vectors(v.values);
  for (int z = 0; z < v.zones; ++z)
    vectors = vectors && in_vectors(v.zone[z].keys) && v.zone[z].keys.dtype == keys;
  if (!vectors) return CacheKind::Any;
  if (keys == DType::Q8_0 && values == DType::Q4_0) return CacheKind::Q8Q4;
  if (keys != values) return CacheKind::Any;
  switch (values) {
    case DType::BF16:
      return CacheKind::BF16;
    case DType::F16:
      return CacheKind::F16;
    case DType::Q8_0:
      return CacheKind::Q8;
    case DType::Q4_0:
      return CacheKind::Q4;
    default:
      return CacheKind::Any;
  }
}

/// false where a block does not find room.
template <int kD, CacheKind kKind>
bool launch_splits(CudaDevice& device, const AttentionView& v, const Parts& parts, dim3 grid) {
  int room = 0, bytes = decode_bytes<kD, kKind>(v.zones);
  check(cudaDeviceGetAttribute(&room, cudaDevAttrMaxSharedMemoryPerBlockOptin, device.index()), "attention");
  if (bytes > room) return false;
  auto* kernel = decode_kernel<kD, kKind>;
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes), "attention");
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributePreferredSharedMemoryCarveout,
                             cudaSharedmemCarveoutMaxShared),
        "attention");
  kernel<<<grid, kThreads, static_cast<size_t>(bytes), device.stream()>>>(v, parts);
  check_launch("attention (splits)");
  return true;
}

/// false where the kind has no kernel of its own or that finds no room.
template <int kD>
bool launch_kind(CacheKind kind, CudaDevice& device, const AttentionView& v, const Parts& parts, dim3 grid) {
  auto launched = [&]<CacheKind kKind>(std::integral_constant<CacheKind, kKind>) {
    return kind == kKind && launch_splits<kD, kKind>(device, v, parts, grid);
  };
  return launched(std::integral_constant<CacheKind, CacheKind::BF16>{}) ||
         launched(std::integral_constant<CacheKind, CacheKind::F16>{}) ||
         launched(std::integral_constant<CacheKind, CacheKind::Q8>{}) ||
         launched(std::integral_constant<CacheKind, CacheKind::Q4>{}) ||
         launched(std::integral_constant<CacheKind, CacheKind::Q8Q4>{});
}

/// Begins while the splits end.
void launch_combine(CudaDevice& device, const AttentionView& v, const Parts& parts,
                    const AttentionResult& result, dim3 grid) {
  cudaLaunchAttribute overlap{};
  overlap.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  overlap.val.programmaticStreamSerializationAllowed = 1;
  unsigned attributes = device.architecture() >= 90 ? 1 : 0;
  cudaLaunchConfig_t config{grid, dim3(kCombineThreads), 0, device.stream(), &overlap, attributes};
  check(cudaLaunchKernelEx(&config, combine_kernel, v, parts, result), "attention (sum of the splits)");
}

template <int kD>
void launch(CudaDevice& device, const AttentionResult& result, const AttentionView& v, const Sequences& s,
            int64_t total_rows) {
  CacheKind kind = kind_of(v);
  // Resident blocks; those of one sequence of one row, so that the splits do not depend on the batch.
  int blocks = device.multiprocessors() * decode_blocks(kD, kind);
  int groups = (v.group + kQueries - 1) / kQueries;
  int most = std::max(1, std::min(kMostSplits, blocks / (v.kv_heads * groups)));
  auto keys = static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(std::max<int64_t>(s.most_keys, 1))));
  int64_t splits = std::min<int64_t>(most, (keys + kLeastSplit - 1) / kLeastSplit);
  int64_t rows = std::min<int64_t>(s.most_rows, kDecodeRows), slots = s.count * kDecodeRows;
  bool by_row = total_rows <= slots;
  if (by_row) slots = total_rows;
  int width = (v.head_dim + 3) / 4 * 4;
  Scratch scratch(device);
  Parts parts{scratch.take<float>(splits * slots * v.heads * width),
              scratch.take<float2>(splits * slots * v.heads),
              slots,
              by_row,
              most,
              width};
  int64_t queries = (rows * v.group + kQueries - 1) / kQueries;
  dim3 grid(static_cast<unsigned>(splits), static_cast<unsigned>(v.kv_heads * queries),
            static_cast<unsigned>(s.count));
  if (!launch_kind<kD>(kind, device, v, parts, grid)) {
    assert(!has_codes(kind));  // rings of codes fit 99 KB, which every architecture here has
    launch_splits<kD, CacheKind::Any>(device, v, parts, grid);
  }
  dim3 outputs(static_cast<unsigned>(v.heads), static_cast<unsigned>(rows), static_cast<unsigned>(s.count));
  launch_combine(device, v, parts, result, outputs);
}

}  // namespace

bool decode_reads(std::span<const AttentionZone> zones, const KvPages& values) {
  bool codes = is_quantised(values.dtype);
  for (const AttentionZone& zone : zones) codes = codes || is_quantised(zone.keys.dtype);
  return !codes || kind_of(view_of(zones, values, {.heads = 1, .kv_heads = 1})) != CacheKind::Any;
}

void decode_attention(CudaDevice& device, const AttentionResult& result, const AttentionView& v,
                      const Sequences& sequences, int64_t total_rows) {
  if (v.head_dim <= 64) return launch<64>(device, result, v, sequences, total_rows);
  if (v.head_dim <= 128) return launch<128>(device, result, v, sequences, total_rows);
  if (v.head_dim <= 192) return launch<192>(device, result, v, sequences, total_rows);
  return launch<256>(device, result, v, sequences, total_rows);
}

}  // namespace longspan
