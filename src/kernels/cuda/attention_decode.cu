// Attention of few rows over many keys (Flash-Decoding, Dao 2023): the keys are split over the
// multiprocessors, each part leaves its sums in scratch memory, and a second kernel adds the parts up. All
// query heads that share a head of keys take one read of it.
//
// Number and length of the splits follow from the keys of the sequence alone: a sequence has the same bits in
// every batch, and a captured launch, planned for most_keys rounded up, stays right while the text grows.
#include <bit>

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

/// What the parts leave: o [splits, slots, H, D], not divided, and (largest score, sum) [splits, slots, H].
struct Parts {
  float* o;
  float2* sums;
  int64_t slots;
  bool by_row;  // a row's slot is its row of the batch, or that among kDecodeRows of its sequence
  int most;     // splits

  __device__ int64_t at(int split, const SequenceView& s, int row, int heads, int h) const {
    int64_t slot = by_row ? s.first + row : static_cast<int64_t>(s.index) * kDecodeRows + row;
    return (split * slots + slot) * heads + h;
  }
};

/// Shared memory of a block: the fragments of q, later the warps' outputs.
template <int kD>
constexpr int decode_bytes(int zones) {
  int fragments = zones * 3 * (kD / 16) * 32 * static_cast<int>(sizeof(uint2));
  int outputs = kWarps * kQueries * (kD + 2) * static_cast<int>(sizeof(float));
  return fragments > outputs ? fragments : outputs;
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

template <int kD>
__device__ void make_fragments(uint2* fragments, const AttentionView& v, const SequenceView& s, int kv,
                               int first_query) {
  constexpr int kSteps = kD / 16;
  for (int e = static_cast<int>(threadIdx.x); e < v.zones * kSteps * 32; e += kThreads) {
    int lane = e % 32, step = e / 32 % kSteps, z = e / 32 / kSteps;
    QueryIndex index = query_index(v, s, kv, first_query + lane / 4);
    int at = step / 2 * 32 + lane % 4 * 8 + step % 2 * 4;
    const float* q = v.zone[z].q + (s.first + index.row) * v.zone[z].q_stride +
                     static_cast<int64_t>(index.head) * v.head_dim;
    float x[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) x[i] = index.valid && at + i < v.head_dim ? q[at + i] : 0;
    Three a = three_parts(x[0], x[1]), b = three_parts(x[2], x[3]);
    uint2* to = fragments + (z * 3 * kSteps + step) * 32 + lane;
    to[0] = {a.high, b.high};
    to[kSteps * 32] = {a.middle, b.middle};
    to[2 * kSteps * 32] = {a.low, b.low};
  }
}

/// Adds the warps' sums up and writes them: one split of 8 queries.
template <int kD, class Warp>
__device__ void write_part(const Warp& warp, float* memory, const Parts& parts, const AttentionView& v,
                           const SequenceView& s, int kv, int split, int first_query) {
  float total = warp.total;
  total += __shfl_xor_sync(0xffffffffu, total, 1);
  total += __shfl_xor_sync(0xffffffffu, total, 2);
  int index = static_cast<int>(threadIdx.x) / 32, lane = warp.lane, g = lane / 4, c = lane % 4;
  float *o = memory, *largest = o + kWarps * kQueries * kD, *totals = largest + kWarps * kQueries;
  __syncthreads();  // q has been read
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
    parts.o[at * v.head_dim + i] = x;
    if (i == 0) parts.sums[at] = {most, sum};
  }
}

template <int kD, bool kVectors>
__global__ void __launch_bounds__(kThreads, kD == 64 ? 4 : 2) decode_kernel(AttentionView v, Parts parts) {
  extern __shared__ uint2 memory[];
  SequenceView s = sequence_of(v, static_cast<int>(blockIdx.z));
  if (s.rows == 0 || s.rows > kDecodeRows) return;
  int kv = static_cast<int>(blockIdx.y) % v.kv_heads, split = static_cast<int>(blockIdx.x);
  int first_query = static_cast<int>(blockIdx.y) / v.kv_heads * kQueries;
  Splits splits = splits_of(v, s, parts.most);
  if (split >= splits.count || first_query >= s.rows * v.group) return;
  make_fragments<kD>(memory, v, s, kv, first_query);
  __syncthreads();
  int lane = static_cast<int>(threadIdx.x) % 32, w = static_cast<int>(threadIdx.x) / 32;
  QueryIndex mine = query_index(v, s, kv, first_query + lane / 4);
  DecodeWarp<kD, kVectors> warp{.v = v, .s = s, .q = memory, .lane = lane, .kv = kv};
  warp.query = query_of<double>(v, s, mine.row);
  if (!mine.valid) warp.query.first = 1, warp.query.last = 0;
  warp.slope = v.slopes ? v.slopes[mine.head] : 0;
  int begin = splits.first + split * splits.length;
  warp.run(begin + w * kStep, min(begin + splits.length, splits.end));
  write_part<kD>(warp, reinterpret_cast<float*>(memory), parts, v, s, kv, split, first_query);
}

constexpr int kCombineThreads = kMostSplits, kCombineWarps = kCombineThreads / 32;

/// One row and head: the sum of its parts, in a fixed order.
__global__ void __launch_bounds__(kCombineThreads)
    combine_kernel(AttentionView v, Parts parts, AttentionResult result) {
  __shared__ float factors[kMostSplits], elements[kCombineThreads], largest[kCombineWarps],
      totals[kCombineWarps];
  SequenceView s = sequence_of(v, static_cast<int>(blockIdx.z));
  int row = static_cast<int>(blockIdx.y), h = static_cast<int>(blockIdx.x), d = v.head_dim;
  if (row >= s.rows || s.rows > kDecodeRows) return;
  int count = splits_of(v, s, parts.most).count, thread = static_cast<int>(threadIdx.x);
  float2 sum{-INFINITY, 0};
  if (thread < count) sum = parts.sums[parts.at(thread, s, row, v.heads, h)];
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
  int width = d <= 64 ? 64 : d <= 128 ? 128 : 256, i = thread % width, ways = kCombineThreads / width;
  float x = 0;
  if (i < d) {
    const float* o = parts.o + parts.at(0, s, row, v.heads, h) * d + i;
    int64_t stride = parts.slots * v.heads * d;
#pragma unroll 8
    for (int k = thread / width; k < count; k += ways) x = fmaf(factors[k], o[k * stride], x);
  }
  elements[thread] = x;
  __syncthreads();
  if (thread < d) {
    for (int way = 1; way < ways; ++way) x += elements[way * width + thread];
    result.out.store(s.first + row, static_cast<int64_t>(h) * d + thread, total > 0 ? x / total : 0);
  }
  if (result.log_sum && thread == 0)
    result.log_sum[(s.first + row) * result.log_sum_stride + h] = total > 0 ? most + logf(total) : -INFINITY;
}

/// BF16 pages whose rows can be read in 16-byte vectors.
bool in_vectors(const PagesView& pages) {
  return pages.dtype == DType::BF16 && pages.head_dim % 8 == 0 && pages.stride % 16 == 0 &&
         reinterpret_cast<uintptr_t>(pages.memory) % 16 == 0;
}

template <int kD>
void launch(CudaDevice& device, const AttentionResult& result, const AttentionView& v, const Sequences& s,
            int64_t total_rows) {
  // Resident blocks; those of one sequence of one row, so that the splits do not depend on the batch.
  int blocks = device.multiprocessors() * (kD == 64 ? 4 : 2);
  int groups = (v.group + kQueries - 1) / kQueries;
  int most = std::max(1, std::min(kMostSplits, blocks / (v.kv_heads * groups)));
  auto keys = static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(std::max<int64_t>(s.most_keys, 1))));
  int64_t splits = std::min<int64_t>(most, (keys + kLeastSplit - 1) / kLeastSplit);
  int64_t rows = std::min<int64_t>(s.most_rows, kDecodeRows), slots = s.count * kDecodeRows;
  bool by_row = total_rows <= slots;
  if (by_row) slots = total_rows;
  Scratch scratch(device);
  Parts parts{scratch.take<float>(splits * slots * v.heads * v.head_dim),
              scratch.take<float2>(splits * slots * v.heads), slots, by_row, most};
  int64_t queries = (rows * v.group + kQueries - 1) / kQueries;
  dim3 grid(static_cast<unsigned>(splits), static_cast<unsigned>(v.kv_heads * queries),
            static_cast<unsigned>(s.count));
  bool vectors = in_vectors(v.values);
  for (int z = 0; z < v.zones; ++z) vectors = vectors && in_vectors(v.zone[z].keys);
  auto bytes = static_cast<size_t>(decode_bytes<kD>(v.zones));
  auto* kernel = vectors ? decode_kernel<kD, true> : decode_kernel<kD, false>;
  kernel<<<grid, kThreads, bytes, device.stream()>>>(v, parts);
  check_launch("attention (splits)");
  dim3 outputs(static_cast<unsigned>(v.heads), static_cast<unsigned>(rows), static_cast<unsigned>(s.count));
  combine_kernel<<<outputs, kCombineThreads, 0, device.stream()>>>(v, parts, result);
  check_launch("attention (sum of the splits)");
}

}  // namespace

void decode_attention(CudaDevice& device, const AttentionResult& result, const AttentionView& v,
                      const Sequences& sequences, int64_t total_rows) {
  if (v.head_dim <= 64) return launch<64>(device, result, v, sequences, total_rows);
  if (v.head_dim <= 128) return launch<128>(device, result, v, sequences, total_rows);
  if (v.head_dim <= 192) return launch<192>(device, result, v, sequences, total_rows);
  return launch<256>(device, result, v, sequences, total_rows);
}

}  // namespace longspan
