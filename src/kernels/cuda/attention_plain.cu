// Plain attention in F32 with everything that AttentionShape can say (Milakov 2018's online softmax, Dao
// 2022's tiles): exact to F32 rounding, and what the other kernels are compared with on the card. Its one
// surprising rule: which keys a block visits never changes a row's bits, because a tile of which a row sees
// nothing multiplies its sums by one.
#include "kernels/cuda/attention_internal.h"
#include "kernels/cuda/attention_pack.h"
#include "kernels/cuda/attention_plain.h"
#include "kernels/cuda/cache_codes.cuh"
#include "kernels/cuda/rounding.cuh"

namespace longspan {

namespace {

/// Four rows of one head in a warp: each lane holds one key's scores, or the elements lane + 32 c of the
/// outputs.
template <int kChunks>
struct PlainRows {
  Query<double> query[kPlainOf];
  int row[kPlainOf];
  float score[kPlainOf], largest[kPlainOf], total[kPlainOf], o[kPlainOf][kChunks];

  __device__ PlainRows(const AttentionView& v, const SequenceView& s, int first) {
#pragma unroll
    for (int r = 0; r < kPlainOf; ++r) {
      row[r] = min(first + r, s.rows - 1);
      query[r] = query_of<double>(v, s, row[r]);
      largest[r] = -INFINITY, total[r] = 0;
#pragma unroll
      for (int c = 0; c < kChunks; ++c) o[r][c] = 0;
    }
  }

  __device__ void add_scores(const AttentionView& v, const SequenceView& s, int z, int h, const float* key,
                             int n, const Place<double>& place) {
    bool wanted[kPlainOf], any = false;
    double distance[kPlainOf], sums[kPlainOf];
    const float* q[kPlainOf];
#pragma unroll
    for (int r = 0; r < kPlainOf; ++r) {
      wanted[r] = sees(v, query[r], n, place) && in_zone(v.zone[z], query[r].place, place);
      any = any || wanted[r];
      distance[r] = query[r].place.at - place.at;
      q[r] = v.zone[z].q + (s.first + row[r]) * v.zone[z].q_stride + static_cast<int64_t>(h) * v.head_dim;
    }
    if (!__any_sync(0xffffffffu, any)) return;
    products(sums, q, key, v, distance);
#pragma unroll
    for (int r = 0; r < kPlainOf; ++r)
      if (wanted[r]) score[r] = static_cast<float>(score_of(v, h, sums[r], distance[r]));
  }

  __device__ void add_values(const float* values, int d, int lane) {
    float p[kPlainOf];
#pragma unroll
    for (int r = 0; r < kPlainOf; ++r) {
      float most = fmaxf(largest[r], warp_max(score[r]));
      float factor = most == -INFINITY ? 1 : expf(largest[r] - most);
      p[r] = score[r] == -INFINITY ? 0 : expf(score[r] - most);
      total[r] = total[r] * factor + p[r];
      largest[r] = most;
#pragma unroll
      for (int c = 0; c < kChunks; ++c) o[r][c] *= factor;
    }
    for (int j = 0; j < kPlainTile; ++j) {
      const float* value = values + j * plain_row(d);
      float weight[kPlainOf];
#pragma unroll
      for (int r = 0; r < kPlainOf; ++r) weight[r] = __shfl_sync(0xffffffffu, p[r], j);
#pragma unroll
      for (int c = 0; c < kChunks; ++c) {
        float x = lane + 32 * c < d ? value[lane + 32 * c] : 0;
#pragma unroll
        for (int r = 0; r < kPlainOf; ++r) o[r][c] = fmaf(weight[r], x, o[r][c]);
      }
    }
  }
};

template <int kChunks>
__global__ void __launch_bounds__(kPlainThreads)
    attention_kernel(AttentionView v, AttentionResult result, int above) {
  extern __shared__ float tile[];
  SequenceView s = sequence_of(v, static_cast<int>(blockIdx.z));
  int first = static_cast<int>(blockIdx.x) * kPlainTile;
  if (s.rows <= above || first >= s.rows) return;
  int last = min(first + kPlainTile, s.rows) - 1, h = static_cast<int>(blockIdx.y), kv = h / v.group;
  int lane = static_cast<int>(threadIdx.x) % 32, mine = first + static_cast<int>(threadIdx.x) / 32 * kPlainOf;
  PlainRows<kChunks> rows(v, s, mine);
  int end = end_key(v, s, last);
  for (int n0 = first_key(v, s, first, kPlainTile); n0 < end; n0 += kPlainTile) {
    Place<double> place = place_of<double>(v, min(n0 + lane, s.keys - 1));
    for (float& x : rows.score) x = -INFINITY;
    for (int z = 0; z < v.zones; ++z) {
      if (!may_meet(v, s, z, first, last, n0, min(n0 + kPlainTile, s.keys))) continue;
      __syncthreads();
      load_tokens(tile, v.zone[z].keys, s.index, kv, n0, s.keys);
      __syncthreads();
      rows.add_scores(v, s, z, h, tile + lane * plain_row(v.head_dim), n0 + lane, place);
    }
    __syncthreads();
    load_tokens(tile, v.values, s.index, kv, n0, s.keys);
    __syncthreads();
    rows.add_values(tile, v.head_dim, lane);
  }
#pragma unroll
  for (int r = 0; r < kPlainOf; ++r) {
    float total = warp_sum(rows.total[r]);
    if (mine + r >= s.rows) continue;
    int64_t t = s.first + mine + r;
#pragma unroll
    for (int c = 0; c < kChunks; ++c)
      if (lane + 32 * c < v.head_dim)
        result.out.store(t, static_cast<int64_t>(h) * v.head_dim + lane + 32 * c,
                         total > 0 ? rows.o[r][c] / total : 0);
    if (result.log_sum && lane == 0)
      result.log_sum[t * result.log_sum_stride + h] = total > 0 ? rows.largest[r] + logf(total) : -INFINITY;
  }
}

constexpr int kWeightThreads = 256;

/// Over all threads of a block, in a fixed order.
template <class Combine>
__device__ float block_reduce(float x, float* memory, Combine combine) {
  int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  for (int k = 16; k > 0; k /= 2) x = combine(x, __shfl_xor_sync(0xffffffffu, x, k));
  __syncthreads();
  if (lane == 0) memory[warp] = x;
  __syncthreads();
  x = memory[0];
  for (int w = 1; w < kWeightThreads / 32; ++w) x = combine(x, memory[w]);
  return x;
}

__device__ float score_at(const AttentionView& v, const SequenceView& s, const Query<double>& query, int row,
                          int h, int n) {
  Place<double> place = place_of<double>(v, n);
  if (!sees(v, query, n, place)) return -INFINITY;
  int z = 0;
  while (!in_zone(v.zone[z], query.place, place)) ++z;
  const ZoneView& zone = v.zone[z];
  const float* q = zone.q + (s.first + row) * zone.q_stride + static_cast<int64_t>(h) * v.head_dim;
  const std::byte* key = key_address(zone.keys, s.index, h / v.group, n);
  double distance = query.place.at - place.at, sum = 0;
  if (v.decay) {
    for (int i = 0; i < v.head_dim; ++i)
      sum +=
          static_cast<double>(q[i]) * load_element(key, zone.keys.dtype, i) * decay_of_score(v, i, distance);
  } else {
    float plain = 0;
    for (int i = 0; i < v.head_dim; ++i) plain = fmaf(q[i], load_element(key, zone.keys.dtype, i), plain);
    sum = plain;
  }
  return static_cast<float>(score_of(v, h, sum, distance));
}

/// One block a row of the output, where the scores are kept until their sum is known.
__global__ void __launch_bounds__(kWeightThreads)
    weights_kernel(AttentionView v, float* out, int64_t stride, int64_t columns, const int32_t* rows) {
  __shared__ float memory[kWeightThreads / 32];
  SequenceView s = sequence_of(v, 0);
  int h = static_cast<int>(blockIdx.x % static_cast<unsigned>(v.heads));
  int row = rows[blockIdx.x / static_cast<unsigned>(v.heads)];
  Query<double> query = query_of<double>(v, s, row);
  float* weights = out + static_cast<int64_t>(blockIdx.x) * stride;
  float largest = -INFINITY, total = 0;
  for (int64_t n = threadIdx.x; n < columns; n += kWeightThreads) {
    float score = n < s.keys ? score_at(v, s, query, row, h, static_cast<int>(n)) : -INFINITY;
    weights[n] = score;
    largest = fmaxf(largest, score);
  }
  largest = block_reduce(largest, memory, [](float a, float b) { return fmaxf(a, b); });
  for (int64_t n = threadIdx.x; n < columns; n += kWeightThreads)
    total += weights[n] = weights[n] == -INFINITY ? 0 : expf(weights[n] - largest);
  total = block_reduce(total, memory, [](float a, float b) { return a + b; });
  for (int64_t n = threadIdx.x; n < columns && total > 0; n += kWeightThreads) weights[n] /= total;
}

/// The last of `count` sequences with rows[s] <= t: empty ones before it end there too.
__device__ int sequence_of_row(const int32_t* rows, int count, int64_t t) {
  int low = 0, high = count - 1;
  while (low < high) {
    int middle = (low + high + 1) / 2;
    if (rows[middle] <= t)
      low = middle;
    else
      high = middle - 1;
  }
  return low;
}

/// One block a row of x, one warp a group.
__global__ void store_codes_kernel(PagesView pages, const float* x, int64_t stride, int heads,
                                   const int32_t* rows, const int32_t* past, int count) {
  int64_t t = blockIdx.x;
  if (t >= rows[count]) return;
  int sequence = sequence_of_row(rows, count, t), n = past[sequence] + static_cast<int>(t - rows[sequence]);
  int lane = static_cast<int>(threadIdx.x) % 32, groups = pages.head_dim / static_cast<int>(kCacheGroup);
  for (int i = static_cast<int>(threadIdx.x) / 32; i < heads * groups; i += static_cast<int>(blockDim.x) / 32)
    store_codes(codes_of(pages, sequence, i / groups, n), pages.dtype, i % groups,
                x[t * stride + i * kCacheGroup + lane]);
}

/// One block a row of x.
__global__ void store_kernel(PagesView pages, const float* x, int64_t stride, int heads, const int32_t* rows,
                             const int32_t* past, int count) {
  int64_t t = blockIdx.x;
  if (t >= rows[count]) return;
  int low = sequence_of_row(rows, count, t);
  int n = past[low] + static_cast<int>(t - rows[low]), d = pages.head_dim;
  for (int e = static_cast<int>(threadIdx.x); e < heads * d; e += static_cast<int>(blockDim.x)) {
    std::byte* to = key_address(pages, low, e / d, n);
    float value = x[t * stride + e];
    if (pages.dtype == DType::F32)
      reinterpret_cast<float*>(to)[e % d] = value;
    else if (pages.dtype == DType::F16)
      reinterpret_cast<__half*>(to)[e % d] = from_float<__half>(value);
    else
      reinterpret_cast<__nv_bfloat16*>(to)[e % d] = from_float<__nv_bfloat16>(value);
  }
}

}  // namespace

void plain_attention(CudaDevice& device, const AttentionResult& result, const AttentionView& view,
                     const Sequences& sequences, int above) {
  dim3 grid(static_cast<unsigned>((sequences.most_rows + kPlainTile - 1) / kPlainTile),
            static_cast<unsigned>(view.heads), static_cast<unsigned>(sequences.count));
  size_t bytes = static_cast<size_t>(plain_tile_floats(view.head_dim)) * sizeof(float);
  auto launch = [&](auto kernel) {
    kernel<<<grid, kPlainThreads, bytes, device.stream()>>>(view, result, above);
  };
  switch (plain_chunks(view.head_dim)) {
    case 1:
      launch(attention_kernel<1>);
      break;
    case 2:
      launch(attention_kernel<2>);
      break;
    case 4:
      launch(attention_kernel<4>);
      break;
    default:
      launch(attention_kernel<8>);
  }
  check_launch("attention");
}

void cuda_attention_weights(Tensor out, std::span<const AttentionZone> zones, const AttentionShape& shape,
                            Tensor rows) {
  assert(shape.sequences.count == 1 && out.dtype == DType::F32 && rows.dtype == DType::I32);
  if (out.rows() == 0) return;
  CudaDevice& device = device_of(out);
  Scratch scratch(device);
  OpenAttention open = opened(scratch, device, zones, {}, shape.sequences);
  AttentionView view = view_of(open.zones, {}, shape);
  weights_kernel<<<static_cast<unsigned>(out.rows()), kWeightThreads, 0, device.stream()>>>(
      view, static_cast<float*>(out.data), out.row_stride / static_cast<int64_t>(sizeof(float)), out.cols(),
      static_cast<const int32_t*>(rows.data));
  check_launch("attention_weights");
}

void cuda_store_kv(const KvPages& pages, Tensor x, const Sequences& sequences) {
  int64_t rows = x.rows(), width = pages.heads * pages.head_dim;
  if (rows == 0) return;
  CudaDevice& device = device_of(x);
  int threads = width <= 64 ? 64 : width <= 128 ? 128 : 256;
  auto* kernel = is_quantised(pages.dtype) ? store_codes_kernel : store_kernel;
  kernel<<<static_cast<unsigned>(rows), threads, 0, device.stream()>>>(
      view_of(pages), static_cast<const float*>(x.data), x.row_stride / static_cast<int64_t>(sizeof(float)),
      static_cast<int>(pages.heads), static_cast<const int32_t*>(sequences.rows.data),
      static_cast<const int32_t*>(sequences.past.data), static_cast<int>(sequences.count));
  check_launch("store_kv");
}

}  // namespace longspan
