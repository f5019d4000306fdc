// Gradients of attention in F32 with everything that AttentionShape can say (Dao 2022, arXiv 2205.14135,
// appendix B): one kernel over query rows for dq, one over keys for dk and dv. Each sum has one owner and one
// order, so the results are the same bits in every run.
#include "kernels/cuda/attention_internal.h"
#include "kernels/cuda/attention_plain.h"

namespace longspan {

namespace {

/// delta = dout . out, one warp a row and head.
__global__ void delta_kernel(BackwardView b, RowsView out, int64_t rows) {
  int64_t at = (static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x) / 32;
  int heads = b.view.heads, d = b.view.head_dim, lane = static_cast<int>(threadIdx.x) % 32;
  if (at >= rows * heads) return;
  int64_t t = at / heads, first = at % heads * d;
  double sum = 0;
  for (int i = lane; i < d; i += 32)
    sum += static_cast<double>(b.dout[t * b.dout_stride + first + i]) * out.load(t, first + i);
  for (int k = 16; k > 0; k /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, k);
  if (lane == 0) b.delta[at] = sum;
}

/// The pair's p and ds.
struct Pair {
  float p, ds;
};
__device__ Pair pair_of(const AttentionView& v, int h, double product, double distance, float log_sum,
                        double dp, double delta) {
  float p = expf(static_cast<float>(score_of(v, h, product, distance) - log_sum));
  return {p, p * static_cast<float>(dp - delta) * v.scale};
}

/// dq of one zone, for 32 rows of one head.
template <int kChunks>
__global__ void __launch_bounds__(kPlainThreads) dq_kernel(BackwardView b) {
  extern __shared__ float tiles[];
  const AttentionView& v = b.view;
  int d = v.head_dim, row_floats = plain_row(d);
  float *keys = tiles, *values = tiles + plain_tile_floats(d);
  int z = static_cast<int>(blockIdx.z) % v.zones, lane = static_cast<int>(threadIdx.x) % 32;
  SequenceView s = sequence_of(v, static_cast<int>(blockIdx.z) / v.zones);
  int first = static_cast<int>(blockIdx.x) * kPlainTile;
  if (first >= s.rows) return;
  int last = min(first + kPlainTile, s.rows) - 1, h = static_cast<int>(blockIdx.y), kv = h / v.group;
  int mine = first + static_cast<int>(threadIdx.x) / 32 * kPlainOf;
  const ZoneView& zone = v.zone[z];
  Query<double> query[kPlainOf];
  const float *q[kPlainOf], *dout[kPlainOf];
  float log_sum[kPlainOf], dq[kPlainOf][kChunks] = {};
  double delta[kPlainOf];
#pragma unroll
  for (int r = 0; r < kPlainOf; ++r) {
    int row = min(mine + r, s.rows - 1);
    int64_t t = s.first + row, column = static_cast<int64_t>(h) * d;
    query[r] = query_of<double>(v, s, row);
    q[r] = zone.q + t * zone.q_stride + column;
    dout[r] = b.dout + t * b.dout_stride + column;
    log_sum[r] = b.log_sum[t * b.log_sum_stride + h];
    delta[r] = b.delta[t * v.heads + h];
  }
  int end = end_key(v, s, last);
  for (int n0 = first_key(v, s, first, kPlainTile); n0 < end; n0 += kPlainTile) {
    if (!may_meet(v, s, z, first, last, n0, min(n0 + kPlainTile, s.keys))) continue;
    __syncthreads();
    load_tokens(keys, zone.keys, s.index, kv, n0, s.keys);
    load_tokens(values, v.values, s.index, kv, n0, s.keys);
    __syncthreads();
    Place<double> place = place_of<double>(v, min(n0 + lane, s.keys - 1));
    double distance[kPlainOf], product[kPlainOf], dp[kPlainOf];
    float ds[kPlainOf];
#pragma unroll
    for (int r = 0; r < kPlainOf; ++r) distance[r] = query[r].place.at - place.at;
    products(product, q, keys + lane * row_floats, v, distance);
    products(dp, dout, values + lane * row_floats, v, nullptr);
#pragma unroll
    for (int r = 0; r < kPlainOf; ++r) {
      bool wanted = sees(v, query[r], n0 + lane, place) && in_zone(zone, query[r].place, place);
      ds[r] = wanted ? pair_of(v, h, product[r], distance[r], log_sum[r], dp[r], delta[r]).ds : 0;
    }
    for (int j = 0; j < kPlainTile; ++j)
#pragma unroll
      for (int r = 0; r < kPlainOf; ++r) {
        float weight = __shfl_sync(0xffffffffu, ds[r], j);
        float far = __shfl_sync(0xffffffffu, static_cast<float>(distance[r]), j);
        if (weight == 0) continue;
#pragma unroll
        for (int c = 0; c < kChunks; ++c) {
          int i = lane + 32 * c;
          if (i >= d) continue;
          float key = keys[j * row_floats + i];
          dq[r][c] = fmaf(weight, v.decay ? key * decay_factor(v, i, far) : key, dq[r][c]);
        }
      }
  }
#pragma unroll
  for (int r = 0; r < kPlainOf; ++r)
#pragma unroll
    for (int c = 0; c < kChunks; ++c)
      if (mine + r < s.rows && lane + 32 * c < d)
        b.dq[z].store(s.first + mine + r, static_cast<int64_t>(h) * d + lane + 32 * c, dq[r][c]);
}

/// Four keys of a warp and the gradients that they gather.
template <int kChunks>
struct PlainKeys {
  int n[kPlainOf];
  Place<double> place[kPlainOf];
  const std::byte* value[kPlainOf];
  float dk[kPlainOf][kChunks], dv[kPlainOf][kChunks];

  /// sums[r] = x . key r; with xPos in double, and with its factors unless `distance` is null.
  __device__ void products_with(double* sums, const std::byte* const* key, DType dtype, const float* x,
                                const AttentionView& v, const double* distance) const {
    float plain[kPlainOf] = {};
#pragma unroll
    for (int r = 0; r < kPlainOf; ++r) sums[r] = 0;
    for (int i = 0; i < v.head_dim; ++i)
#pragma unroll
      for (int r = 0; r < kPlainOf; ++r) {
        float element = load_element(key[r], dtype, i);
        if (v.decay)
          sums[r] +=
              static_cast<double>(x[i]) * element * (distance ? decay_of_score(v, i, distance[r]) : 1.0);
        else
          plain[r] = fmaf(x[i], element, plain[r]);
      }
#pragma unroll
    for (int r = 0; r < kPlainOf; ++r)
      if (!v.decay) sums[r] = plain[r];
  }

  /// One tile of 32 rows of head h, a lane each.
  __device__ void add(const BackwardView& b, const SequenceView& s, int z, int h, int t0, const float* q_tile,
                      const float* dout_tile, const std::byte* const* key) {
    const AttentionView& v = b.view;
    int lane = static_cast<int>(threadIdx.x) % 32, row_floats = plain_row(v.head_dim);
    int row = min(t0 + lane, s.rows - 1);
    Query<double> query = query_of<double>(v, s, row);
    float log_sum = b.log_sum[(s.first + row) * b.log_sum_stride + h];
    double delta = b.delta[(s.first + row) * v.heads + h];
    double distance[kPlainOf], product[kPlainOf], dp[kPlainOf];
    bool wanted[kPlainOf], any = false;
#pragma unroll
    for (int r = 0; r < kPlainOf; ++r) {
      distance[r] = query.place.at - place[r].at;
      wanted[r] = t0 + lane < s.rows && n[r] < s.keys && sees(v, query, n[r], place[r]) &&
                  in_zone(v.zone[z], query.place, place[r]);
      any = any || wanted[r];
    }
    if (!__any_sync(0xffffffffu, any)) return;
    products_with(product, key, v.zone[z].keys.dtype, q_tile + lane * row_floats, v, distance);
    products_with(dp, value, v.values.dtype, dout_tile + lane * row_floats, v, nullptr);
    Pair pair[kPlainOf];
#pragma unroll
    for (int r = 0; r < kPlainOf; ++r)
      pair[r] = wanted[r] ? pair_of(v, h, product[r], distance[r], log_sum, dp[r], delta) : Pair{0, 0};
    for (int j = 0; j < kPlainTile; ++j)
#pragma unroll
      for (int r = 0; r < kPlainOf; ++r) {
        float p = __shfl_sync(0xffffffffu, pair[r].p, j), ds = __shfl_sync(0xffffffffu, pair[r].ds, j);
        float far = __shfl_sync(0xffffffffu, static_cast<float>(distance[r]), j);
        if (p == 0) continue;
#pragma unroll
        for (int c = 0; c < kChunks; ++c) {
          int i = lane + 32 * c;
          if (i >= v.head_dim) continue;
          float x = q_tile[j * row_floats + i];
          dk[r][c] = fmaf(ds, v.decay ? x * decay_factor(v, i, far) : x, dk[r][c]);
          dv[r][c] = fmaf(p, dout_tile[j * row_floats + i], dv[r][c]);
        }
      }
  }

  /// To the rows of the keys, where they have one.
  __device__ void write(const RowsView& to, const float (&x)[kPlainOf][kChunks], int64_t column, int d,
                        const SequenceView& s) const {
    int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
    for (int r = 0; r < kPlainOf; ++r)
#pragma unroll
      for (int c = 0; c < kChunks; ++c)
        if (n[r] >= s.past && n[r] < s.keys && lane + 32 * c < d)
          to.store(s.first + n[r] - s.past, column + lane + 32 * c, x[r][c]);
  }
};

/// dk of every zone and dv, for 32 keys of one head of keys, of those that are rows' own: the query heads of
/// its group in order.
template <int kChunks>
__global__ void __launch_bounds__(kPlainThreads) dkv_kernel(BackwardView b) {
  extern __shared__ float tiles[];
  const AttentionView& v = b.view;
  int d = v.head_dim, kv = static_cast<int>(blockIdx.y);
  float *q_tile = tiles, *dout_tile = tiles + plain_tile_floats(d);
  SequenceView s = sequence_of(v, static_cast<int>(blockIdx.z));
  int n0 = (max(s.past, 0) / kPlainTile + static_cast<int>(blockIdx.x)) * kPlainTile;
  if (n0 >= s.keys) return;
  int n1 = min(n0 + kPlainTile, s.keys);
  PlainKeys<kChunks> mine;
#pragma unroll
  for (int r = 0; r < kPlainOf; ++r) {
    mine.n[r] = n0 + static_cast<int>(threadIdx.x) / 32 * kPlainOf + r;
    int n = min(mine.n[r], s.keys - 1);
    mine.place[r] = place_of<double>(v, n);
    mine.value[r] = key_address(v.values, s.index, kv, n);
#pragma unroll
    for (int c = 0; c < kChunks; ++c) mine.dv[r][c] = 0;
  }
  int first = v.causal ? max(n0 - s.past, 0) / kPlainTile * kPlainTile : 0;
  for (int z = 0; z < v.zones; ++z) {
    const std::byte* key[kPlainOf];
#pragma unroll
    for (int r = 0; r < kPlainOf; ++r) {
      key[r] = key_address(v.zone[z].keys, s.index, kv, min(mine.n[r], s.keys - 1));
#pragma unroll
      for (int c = 0; c < kChunks; ++c) mine.dk[r][c] = 0;
    }
    for (int h = kv * v.group; h < (kv + 1) * v.group; ++h)
      for (int t0 = first; t0 < s.rows; t0 += kPlainTile) {
        if (first_key(v, s, t0, 1) >= n1) break;  // of later rows too
        if (!may_meet(v, s, z, t0, min(t0 + kPlainTile, s.rows) - 1, n0, n1)) continue;
        __syncthreads();
        int64_t column = static_cast<int64_t>(h) * d;
        load_rows(q_tile, v.zone[z].q + s.first * v.zone[z].q_stride + column, v.zone[z].q_stride, d, t0,
                  s.rows);
        load_rows(dout_tile, b.dout + s.first * b.dout_stride + column, b.dout_stride, d, t0, s.rows);
        __syncthreads();
        mine.add(b, s, z, h, t0, q_tile, dout_tile, key);
      }
    mine.write(b.dkeys[z], mine.dk, static_cast<int64_t>(kv) * d, d, s);
  }
  mine.write(b.dvalues, mine.dv, static_cast<int64_t>(kv) * d, d, s);
}

template <int kChunks>
void launch(CudaDevice& device, const BackwardView& b, const Sequences& sequences) {
  size_t bytes = 2 * static_cast<size_t>(plain_tile_floats(b.view.head_dim)) * sizeof(float);
  auto blocks = [](int64_t n) { return static_cast<unsigned>((n + kPlainTile - 1) / kPlainTile); };
  auto allow = [&](auto kernel) {
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)),
          "attention_backward");
  };
  allow(dq_kernel<kChunks>), allow(dkv_kernel<kChunks>);
  dim3 rows(blocks(sequences.most_rows), static_cast<unsigned>(b.view.heads),
            static_cast<unsigned>(b.view.zones * sequences.count));
  dq_kernel<kChunks><<<rows, kPlainThreads, bytes, device.stream()>>>(b);
  check_launch("attention_backward (dq)");
  if (!b.dvalues.data) return;
  // A tile may begin before the first of the rows' keys.
  dim3 keys(blocks(sequences.most_rows) + 1, static_cast<unsigned>(b.view.kv_heads),
            static_cast<unsigned>(sequences.count));
  dkv_kernel<kChunks><<<keys, kPlainThreads, bytes, device.stream()>>>(b);
  check_launch("attention_backward (dk, dv)");
}

}  // namespace

void attention_delta(CudaDevice& device, const BackwardView& b, const RowsView& out, int64_t rows) {
  constexpr int kThreads = 256;
  int64_t warps = rows * b.view.heads;
  auto blocks = static_cast<unsigned>((warps + kThreads / 32 - 1) / (kThreads / 32));
  delta_kernel<<<blocks, kThreads, 0, device.stream()>>>(b, out, rows);
  check_launch("attention_backward (delta)");
}

void plain_attention_backward(CudaDevice& device, const BackwardView& b, const Sequences& sequences) {
  switch (plain_chunks(b.view.head_dim)) {
    case 1:
      return launch<1>(device, b, sequences);
    case 2:
      return launch<2>(device, b, sequences);
    case 4:
      return launch<4>(device, b, sequences);
    default:
      return launch<8>(device, b, sequences);
  }
}

}  // namespace longspan
