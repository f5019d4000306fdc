#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <algorithm>
#include <cassert>

#include "kernels/cuda/attention_pack.h"
#include "kernels/cuda/device.h"

namespace longspan {

namespace {

/// Every thread moves this many elements at a time.
constexpr int kWide = 8;
constexpr int kThreads = 256;

__device__ void load(float (&x)[kWide], const float* from) {
  auto a = reinterpret_cast<const float4*>(from)[0], b = reinterpret_cast<const float4*>(from)[1];
  x[0] = a.x, x[1] = a.y, x[2] = a.z, x[3] = a.w, x[4] = b.x, x[5] = b.y, x[6] = b.z, x[7] = b.w;
}

template <class Half>
__device__ void load_halves(float (&x)[kWide], const Half* from) {
  uint4 bits = *reinterpret_cast<const uint4*>(from);
  const auto* halves = reinterpret_cast<const Half*>(&bits);
#pragma unroll
  for (int i = 0; i < kWide; ++i) x[i] = static_cast<float>(halves[i]);
}
__device__ void load(float (&x)[kWide], const __nv_bfloat16* from) { load_halves(x, from); }
__device__ void load(float (&x)[kWide], const __half* from) { load_halves(x, from); }

__device__ void store(__nv_bfloat16* to, const float (&x)[kWide]) {
  uint4 bits;
  auto* halves = reinterpret_cast<__nv_bfloat16*>(&bits);
#pragma unroll
  for (int i = 0; i < kWide; ++i) halves[i] = __float2bfloat16(x[i]);
  *reinterpret_cast<uint4*>(to) = bits;
}
__device__ void store(float* to, const float (&x)[kWide]) {
  reinterpret_cast<float4*>(to)[0] = make_float4(x[0], x[1], x[2], x[3]);
  reinterpret_cast<float4*>(to)[1] = make_float4(x[4], x[5], x[6], x[7]);
}

/// Threads along x share a row, in steps of kWide elements; rows go along y.
struct RowLaunch {
  dim3 grid, block;

  RowLaunch(int64_t rows, int64_t cols) {
    auto x = static_cast<unsigned>(std::min<int64_t>((cols / kWide + 31) / 32 * 32, kThreads));
    block = dim3(x, kThreads / x);
    grid = dim3(static_cast<unsigned>((rows + block.y - 1) / block.y));
  }
};
__device__ int64_t launched_row() { return static_cast<int64_t>(blockIdx.x) * blockDim.y + threadIdx.y; }

template <class T>
__device__ T* at(T* base, int64_t row, int64_t row_stride) {
  using Byte = std::conditional_t<std::is_const_v<T>, const std::byte, std::byte>;
  return reinterpret_cast<T*>(reinterpret_cast<Byte*>(base) + row * row_stride);
}

template <class From>
__global__ void pack_rows_kernel(__nv_bfloat16* to, const From* from, int64_t row_stride, int64_t rows,
                                 int64_t padded, int cols) {
  int64_t t = launched_row();
  if (t >= padded) return;
  const From* row = at(from, t, row_stride);
  for (int i = static_cast<int>(threadIdx.x) * kWide; i < cols; i += static_cast<int>(blockDim.x) * kWide) {
    float x[kWide] = {};
    if (t < rows) load(x, row + i);
    store(to + t * cols + i, x);
  }
}

template <class From>
__global__ void pack_pages_kernel(__nv_bfloat16* to, const std::byte* memory, int64_t page_stride,
                                  const int32_t* table, int first_head, int heads, int head_dim, int64_t keys,
                                  int64_t padded) {
  int64_t n = launched_row();
  if (n >= padded) return;
  int cols = heads * head_dim;
  const auto* page =
      n < keys ? reinterpret_cast<const From*>(memory + table[n / kPageTokens] * page_stride) : nullptr;
  for (int i = static_cast<int>(threadIdx.x) * kWide; i < cols; i += static_cast<int>(blockDim.x) * kWide) {
    float x[kWide] = {};
    int64_t head = first_head + i / head_dim;
    if (page) load(x, page + (head * kPageTokens + n % kPageTokens) * head_dim + i % head_dim);
    store(to + n * cols + i, x);
  }
}

__global__ void pack_log_sum_kernel(float* to, const float* from, int64_t row_stride, int64_t rows,
                                    int64_t padded) {
  int64_t t = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x, h = blockIdx.y;
  if (t < padded) to[h * padded + t] = t < rows ? at(from, t, row_stride)[h] : 0.0f;
}

__global__ void write_counts_kernel(int32_t* to, int32_t rows, int32_t keys) {
  to[0] = rows;
  to[kCountStride] = keys;
}

struct BandParts {
  BandPart part[kMaxAttentionZones];
  int count;
};

/// What row t of head h takes of each part, and its log-sum.
struct Shares {
  float share[kMaxAttentionZones];
  float log_sum;

  __device__ Shares(const BandParts& parts, int64_t t, int h) {
    float largest = -INFINITY, sum = 0;
#pragma unroll
    for (int z = 0; z < kMaxAttentionZones; ++z) {
      share[z] = -INFINITY;
      if (z >= parts.count || t < parts.part[z].first) continue;
      const BandPart& p = parts.part[z];
      share[z] = p.log_sum[h * p.padded + t - p.first];
      largest = fmaxf(largest, share[z]);
    }
#pragma unroll
    for (int z = 0; z < kMaxAttentionZones; ++z) {
      share[z] = share[z] == -INFINITY ? 0.0f : expf(share[z] - largest);
      sum += share[z];
    }
    log_sum = sum > 0 ? largest + logf(sum) : -INFINITY;
#pragma unroll
    for (int z = 0; z < kMaxAttentionZones; ++z) share[z] = sum > 0 ? share[z] / sum : 0.0f;
  }
};

template <class Part>
__global__ void merge_kernel(__nv_bfloat16* out, int64_t out_stride, float* log_sum, int64_t log_sum_stride,
                             BandParts parts, int64_t rows, int cols, int head_dim) {
  int64_t t = launched_row();
  if (t >= rows) return;
  for (int i = static_cast<int>(threadIdx.x) * kWide; i < cols; i += static_cast<int>(blockDim.x) * kWide) {
    int h = i / head_dim;
    Shares shares(parts, t, h);
    if (log_sum && i % head_dim == 0) at(log_sum, t, log_sum_stride)[h] = shares.log_sum;
    if (!out) continue;
    float sum[kWide] = {};
#pragma unroll
    for (int z = 0; z < kMaxAttentionZones; ++z) {
      if (shares.share[z] == 0) continue;
      float x[kWide];
      load(x, static_cast<const Part*>(parts.part[z].out) + (t - parts.part[z].first) * cols + i);
#pragma unroll
      for (int j = 0; j < kWide; ++j) sum[j] += shares.share[z] * x[j];
    }
    store(at(out, t, out_stride) + i, sum);
  }
}

template <bool kAdd>
__global__ void unpack_gradient_kernel(float* to, int64_t row_stride, const __nv_bfloat16* from, int64_t rows,
                                       int64_t first, int64_t count, int cols) {
  int64_t t = launched_row();
  bool inside = t >= first && t < first + count;
  if (t >= rows || (kAdd && !inside)) return;
  for (int i = static_cast<int>(threadIdx.x) * kWide; i < cols; i += static_cast<int>(blockDim.x) * kWide) {
    float *target = at(to, t, row_stride) + i, x[kWide] = {};
    if (inside) load(x, from + (t - first) * cols + i);
    if (kAdd) {
      float before[kWide];
      load(before, target);
#pragma unroll
      for (int j = 0; j < kWide; ++j) x[j] += before[j];
    }
    store(target, x);
  }
}

}  // namespace

void pack_rows(CudaDevice& device, uint16_t* to, Tensor from, int64_t padded) {
  RowLaunch launch(padded, from.cols());
  auto* target = reinterpret_cast<__nv_bfloat16*>(to);
  auto cols = static_cast<int>(from.cols());
  assert(from.dtype == DType::F32 || from.dtype == DType::BF16);
  if (from.dtype == DType::F32)
    pack_rows_kernel<<<launch.grid, launch.block, 0, device.stream()>>>(
        target, static_cast<const float*>(from.data), from.row_stride, from.rows(), padded, cols);
  else
    pack_rows_kernel<<<launch.grid, launch.block, 0, device.stream()>>>(
        target, static_cast<const __nv_bfloat16*>(from.data), from.row_stride, from.rows(), padded, cols);
  check_launch("packing queries");
}

void pack_pages(CudaDevice& device, uint16_t* to, const KvPages& pages, int64_t first_head, int64_t heads,
                int64_t keys, int64_t padded) {
  RowLaunch launch(padded, heads * pages.head_dim);
  auto pack = [&]<class From>(const From*) {
    pack_pages_kernel<From><<<launch.grid, launch.block, 0, device.stream()>>>(
        reinterpret_cast<__nv_bfloat16*>(to), pages.memory, pages.stride,
        static_cast<const int32_t*>(pages.table.data), static_cast<int>(first_head), static_cast<int>(heads),
        static_cast<int>(pages.head_dim), keys, padded);
  };
  switch (pages.dtype) {
    case DType::F32:
      pack(static_cast<const float*>(nullptr));
      break;
    case DType::F16:
      pack(static_cast<const __half*>(nullptr));
      break;
    default:
      assert(pages.dtype == DType::BF16);
      pack(static_cast<const __nv_bfloat16*>(nullptr));
  }
  check_launch("packing keys and values");
}

void pack_log_sum(CudaDevice& device, float* to, Tensor log_sum, int64_t padded) {
  dim3 grid(static_cast<unsigned>((padded + kThreads - 1) / kThreads), static_cast<unsigned>(log_sum.cols()));
  pack_log_sum_kernel<<<grid, kThreads, 0, device.stream()>>>(to, static_cast<const float*>(log_sum.data),
                                                              log_sum.row_stride, log_sum.rows(), padded);
  check_launch("packing log-sums");
}

void write_counts(CudaDevice& device, int32_t* to, int64_t rows, int64_t keys) {
  write_counts_kernel<<<1, 1, 0, device.stream()>>>(to, static_cast<int32_t>(rows),
                                                    static_cast<int32_t>(keys));
  check_launch("writing lengths");
}

void merge_bands(CudaDevice& device, Tensor out, Tensor log_sum, std::span<const BandPart> parts, DType dtype,
                 int64_t rows, int64_t heads, int64_t head_dim) {
  assert(parts.size() <= kMaxAttentionZones && (dtype == DType::F32 || dtype == DType::BF16));
  BandParts all{{}, static_cast<int>(parts.size())};
  std::copy(parts.begin(), parts.end(), all.part);
  RowLaunch launch(rows, heads * head_dim);
  auto* target = static_cast<__nv_bfloat16*>(out.data);
  auto* sums = static_cast<float*>(log_sum.data);
  auto cols = static_cast<int>(heads * head_dim), d = static_cast<int>(head_dim);
  if (dtype == DType::F32)
    merge_kernel<float><<<launch.grid, launch.block, 0, device.stream()>>>(
        target, out.row_stride, sums, log_sum.row_stride, all, rows, cols, d);
  else
    merge_kernel<__nv_bfloat16><<<launch.grid, launch.block, 0, device.stream()>>>(
        target, out.row_stride, sums, log_sum.row_stride, all, rows, cols, d);
  check_launch("merging bands of attention");
}

void unpack_gradient(CudaDevice& device, Tensor to, const uint16_t* from, int64_t first, int64_t count,
                     bool add) {
  RowLaunch launch(to.rows(), to.cols());
  auto kernel = add ? unpack_gradient_kernel<true> : unpack_gradient_kernel<false>;
  kernel<<<launch.grid, launch.block, 0, device.stream()>>>(
      static_cast<float*>(to.data), to.row_stride, reinterpret_cast<const __nv_bfloat16*>(from), to.rows(),
      first, count, static_cast<int>(to.cols()));
  check_launch("unpacking gradients");
}

}  // namespace longspan
