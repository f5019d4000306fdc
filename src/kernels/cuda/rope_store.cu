// Rotation of queries and keys and the cache's new rows in one kernel, for passes of few rows.
#include <algorithm>
#include <cassert>

#include "kernels/cuda/cache_codes.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/operations.h"
#include "kernels/cuda/rounding.cuh"

namespace longspan {

namespace {

constexpr int kThreads = 128;

struct Table {
  const float *cos, *sin;
  int64_t stride;  // floats from row to row
};
Table view_of(const RopeTable& table) {
  assert(table.cos.row_stride == table.sin.row_stride);
  return {static_cast<const float*>(table.cos.data), static_cast<const float*>(table.sin.data),
          table.cos.row_stride / static_cast<int64_t>(sizeof(float))};
}

struct RopeStore {
  float* q;
  const float *k, *v;
  int64_t q_stride, k_stride, v_stride;  // floats from row to row
  Table queries, keys;
  PagesView key_pages, value_pages;
  const int32_t *rows, *past;  // of the sequences
  int sequences, heads, kv_heads, half;
};

__device__ void put(std::byte* token, DType dtype, int i, float x) {
  if (dtype == DType::F32)
    reinterpret_cast<float*>(token)[i] = x;
  else if (dtype == DType::F16)
    reinterpret_cast<__half*>(token)[i] = from_float<__half>(x);
  else
    reinterpret_cast<__nv_bfloat16*>(token)[i] = from_float<__nv_bfloat16>(x);
}

/// Element i of a head of k, rotated by row t of the table.
__device__ float rotated(const float* x, const Table& table, int64_t t, int half, int i) {
  if (i >= 2 * half) return x[i];
  const float *cosine = table.cos + t * table.stride, *sine = table.sin + t * table.stride;
  return i < half ? x[i] * cosine[i] - x[i + half] * sine[i]
                  : x[i] * cosine[i - half] + x[i - half] * sine[i - half];
}

/// One head of keys or values into a quantised page, a warp each group.
template <class Element>
__device__ void put_codes(const PagesView& pages, int sequence, int head, int n, Element element) {
  CodesView to = codes_of(pages, sequence, head, n);
  for (int e = static_cast<int>(threadIdx.x); e < pages.head_dim; e += kThreads)
    store_codes(to, pages.dtype, e / static_cast<int>(kCacheGroup), element(e));
}

/// A block takes one head of q, of k or of v, of one row.
__global__ void __launch_bounds__(kThreads) rope_store_kernel(RopeStore s) {
  wait_for_former();
  int t = static_cast<int>(blockIdx.y), head = static_cast<int>(blockIdx.x), d = s.key_pages.head_dim;
  int thread = static_cast<int>(threadIdx.x);
  if (head < s.heads) {
    float* x = s.q + t * s.q_stride + static_cast<int64_t>(head) * d;
    const float *cosine = s.queries.cos + t * s.queries.stride, *sine = s.queries.sin + t * s.queries.stride;
    for (int i = thread; i < s.half; i += kThreads) {
      float a = x[i], b = x[i + s.half];
      x[i] = a * cosine[i] - b * sine[i];
      x[i + s.half] = b * cosine[i] + a * sine[i];
    }
    return;
  }
  int sequence = 0;
  while (sequence + 1 < s.sequences && s.rows[sequence + 1] <= t) ++sequence;
  int n = s.past[sequence] + t - s.rows[sequence];
  head -= s.heads;
  if (head >= s.kv_heads) {
    head -= s.kv_heads;
    const float* x = s.v + t * s.v_stride + static_cast<int64_t>(head) * d;
    if (is_code(s.value_pages.dtype))
      return put_codes(s.value_pages, sequence, head, n, [&](int i) { return x[i]; });
    std::byte* to = key_address(s.value_pages, sequence, head, n);
    for (int i = thread; i < d; i += kThreads) put(to, s.value_pages.dtype, i, x[i]);
    return;
  }
  const float* x = s.k + t * s.k_stride + static_cast<int64_t>(head) * d;
  if (is_code(s.key_pages.dtype))
    return put_codes(s.key_pages, sequence, head, n, [&](int i) { return rotated(x, s.keys, t, s.half, i); });
  const float *cosine = s.keys.cos + t * s.keys.stride, *sine = s.keys.sin + t * s.keys.stride;
  std::byte* to = key_address(s.key_pages, sequence, head, n);
  for (int i = thread; i < d - s.half; i += kThreads) {
    if (i >= s.half) {  // not rotated
      put(to, s.key_pages.dtype, i + s.half, x[i + s.half]);
      continue;
    }
    float a = x[i], b = x[i + s.half];
    put(to, s.key_pages.dtype, i, a * cosine[i] - b * sine[i]);
    put(to, s.key_pages.dtype, i + s.half, b * cosine[i] + a * sine[i]);
  }
}

int64_t floats_between_rows(const Tensor& x) { return x.row_stride / static_cast<int64_t>(sizeof(float)); }

}  // namespace

void cuda_rope_store(Tensor q, Tensor k, Tensor v, const RopeTable& queries, const RopeTable& keys,
                     const KvPages& key_pages, const KvPages& value_pages, const Sequences& sequences) {
  int64_t heads = q.cols() / key_pages.head_dim;
  assert(q.dtype == DType::F32 && k.dtype == DType::F32 && v.dtype == DType::F32);
  assert(queries.cos.cols() == keys.cos.cols() && value_pages.head_dim == key_pages.head_dim);
  if (q.rows() == 0) return;
  CudaDevice& device = device_of(q);
  RopeStore s{.q = static_cast<float*>(q.data),
              .k = static_cast<const float*>(k.data),
              .v = static_cast<const float*>(v.data),
              .q_stride = floats_between_rows(q),
              .k_stride = floats_between_rows(k),
              .v_stride = floats_between_rows(v),
              .queries = view_of(queries),
              .keys = view_of(keys),
              .key_pages = view_of(key_pages),
              .value_pages = view_of(value_pages),
              .rows = static_cast<const int32_t*>(sequences.rows.data),
              .past = static_cast<const int32_t*>(sequences.past.data),
              .sequences = static_cast<int>(sequences.count),
              .heads = static_cast<int>(heads),
              .kv_heads = static_cast<int>(key_pages.heads),
              .half = static_cast<int>(queries.cos.cols())};
  dim3 blocks(static_cast<unsigned>(heads + 2 * key_pages.heads), static_cast<unsigned>(q.rows()));
  launch_early(device, rope_store_kernel, blocks, kThreads, 0, s);
}

}  // namespace longspan
