// Products of few rows (decoding): memory is the limit, so the weight is read once, as it lies, in whatever
// type it has, and every row of x takes its part from the same read. A warp computes one feature of all rows;
// sums are F32, in a fixed order.
#include <cassert>

#include "kernels/cuda/device.h"
#include "kernels/cuda/elements.cuh"
#include "kernels/cuda/operations.h"

namespace longspan {

namespace {

constexpr int kWarps = 4;

template <class In>
__device__ void load_x(const In* x, float out[8]) {
  if constexpr (sizeof(In) == 4) {
    float4 a = reinterpret_cast<const float4*>(x)[0], b = reinterpret_cast<const float4*>(x)[1];
    out[0] = a.x, out[1] = a.y, out[2] = a.z, out[3] = a.w;
    out[4] = b.x, out[5] = b.y, out[6] = b.z, out[7] = b.w;
  } else {
    uint4 raw = *reinterpret_cast<const uint4*>(x);
    const auto* h = reinterpret_cast<const In*>(&raw);
#pragma unroll
    for (int k = 0; k < 8; ++k) out[k] = to_float(h[k]);
  }
}

/// Weights in groups of eight; the common case.
template <DType kType, class In, int kRows>
__global__ void few_rows_kernel(Rows out, Rows x, Rows weight, const float* bias, int64_t features,
                                int64_t groups, bool accumulate) {
  int64_t n = int64_t{blockIdx.x} * kWarps + threadIdx.x / 32;
  if (n >= features) return;
  int lane = static_cast<int>(threadIdx.x % 32);
  const auto* row = weight.row<uint8_t>(n);
  float sums[kRows] = {};
#pragma unroll 4
  for (int64_t g = lane; g < groups; g += 32) {
    float w[8];
    load8<kType>(row, g, w);
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      float v[8];
      load_x(x.row<In>(r) + 8 * g, v);
#pragma unroll
      for (int k = 0; k < 8; ++k) sums[r] += w[k] * v[k];
    }
  }
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    float sum = warp_sum(sums[r]);
    if (lane != 0) continue;
    if (bias) sum += bias[n];
    float& y = out.row<float>(r)[n];
    y = accumulate ? y + sum : sum;
  }
}

/// Any length of rows and any alignment; F32, F16 and BF16 weights.
template <class Weight, class In>
__global__ void few_rows_plain_kernel(Rows out, Rows x, Rows weight, const float* bias, int64_t features,
                                      int64_t cols, int64_t rows, bool accumulate) {
  int64_t n = int64_t{blockIdx.x} * kWarps + threadIdx.x / 32;
  if (n >= features) return;
  const Weight* w = weight.row<Weight>(n);
  for (int64_t r = 0; r < rows; ++r) {
    float sum = 0;
    for (int64_t i = threadIdx.x % 32; i < cols; i += 32) sum += to_float(w[i]) * to_float(x.row<In>(r)[i]);
    sum = warp_sum(sum);
    if (threadIdx.x % 32 != 0) continue;
    if (bias) sum += bias[n];
    float& y = out.row<float>(r)[n];
    y = accumulate ? y + sum : sum;
  }
}

bool aligned(const Tensor& t, int64_t bytes) {
  return reinterpret_cast<uintptr_t>(t.data) % bytes == 0 && t.row_stride % bytes == 0;
}

template <class Body>
void with_rows(int64_t rows, Body body) {
  if (rows == 1)
    body(std::integral_constant<int, 1>{});
  else if (rows == 2)
    body(std::integral_constant<int, 2>{});
  else if (rows <= 4)
    body(std::integral_constant<int, 4>{});
  else
    body(std::integral_constant<int, 8>{});
}

}  // namespace

void cuda_few_rows(Tensor out, Tensor x, const Linear& w, bool accumulate) {
  int64_t rows = x.rows(), features = w.weight.rows(), cols = w.weight.cols();
  assert(rows <= kFewRows && x.cols() == cols && out.cols() == features);
  if (rows == 0) return;
  CudaDevice& device = device_of(out);
  auto blocks = static_cast<unsigned>((features + kWarps - 1) / kWarps);
  const auto* bias = static_cast<const float*>(w.bias.data);
  bool wide = cols % 8 == 0 && aligned(x, 16) && (is_quantised(w.weight.dtype) || aligned(w.weight, 16));
  auto launch = [&](auto in) {
    using In = decltype(in);
    if (!wide) {
      with_type(w.weight.dtype, [&](auto weight) {
        few_rows_plain_kernel<decltype(weight), In><<<blocks, 32 * kWarps, 0, device.stream()>>>(
            rows_of(out), rows_of(x), rows_of(w.weight), bias, features, cols, rows, accumulate);
      });
      return;
    }
    with_weight_type(w.weight.dtype, [&](auto type) {
      // Rows are taken 8, 4, 2 and 1 at a time.
      for (int64_t done = 0; done < rows;) {
        int64_t rest = rows - done, take = rest >= 8 ? 8 : rest >= 4 ? 4 : rest >= 2 ? 2 : 1;
        Tensor o = out.slice(done, take), v = x.slice(done, take);
        with_rows(take, [&](auto count) {
          few_rows_kernel<type.value, In, count.value><<<blocks, 32 * kWarps, 0, device.stream()>>>(
              rows_of(o), rows_of(v), rows_of(w.weight), bias, features, cols / 8, accumulate);
        });
        done += take;
      }
    });
  };
  assert(x.dtype == DType::F32 || x.dtype == DType::BF16);
  x.dtype == DType::F32 ? launch(float{}) : launch(__nv_bfloat16{});
  check_launch("a product of few rows");
}

}  // namespace longspan
