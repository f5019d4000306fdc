// RMSNorm (Zhang 2019, arXiv 1910.07467), forward and backward; LayerNorm (Ba 2016, arXiv 1607.06450). Sums
// over rows are made in a fixed order.
#include <algorithm>
#include <cassert>

#include "kernels/cuda/device.h"
#include "kernels/cuda/elements.cuh"
#include "kernels/cuda/operations.h"

namespace longspan {

namespace {

/// Threads for a row: whole warps, at most 256.
int threads_for(int64_t cols) {
  return static_cast<int>(std::clamp<int64_t>((cols / 4 + 31) / 32 * 32, 32, 256));
}

template <class Out>
__global__ void rmsnorm_kernel(Rows out, Rows x, const float* weight, int64_t cols, float eps) {
  __shared__ float shared[33];
  const float* row = x.row<float>(blockIdx.x);
  Out* to = out.row<Out>(blockIdx.x);
  float squares = 0;
  for (int64_t i = threadIdx.x; i < cols; i += blockDim.x) squares += row[i] * row[i];
  squares = block_sum(squares, shared);
  float r = rsqrtf(squares / static_cast<float>(cols) + eps);
  for (int64_t i = threadIdx.x; i < cols; i += blockDim.x) to[i] = from_float<Out>(row[i] * r * weight[i]);
}

template <class Out>
__global__ void layernorm_kernel(Rows out, Rows x, const float* weight, const float* bias, int64_t cols,
                                 float eps) {
  __shared__ float shared[33];
  const float* row = x.row<float>(blockIdx.x);
  Out* to = out.row<Out>(blockIdx.x);
  float sum = 0, squares = 0;
  for (int64_t i = threadIdx.x; i < cols; i += blockDim.x) sum += row[i];
  float mean = block_sum(sum, shared) / static_cast<float>(cols);
  for (int64_t i = threadIdx.x; i < cols; i += blockDim.x) squares += (row[i] - mean) * (row[i] - mean);
  squares = block_sum(squares, shared);
  float r = rsqrtf(squares / static_cast<float>(cols) + eps);
  for (int64_t i = threadIdx.x; i < cols; i += blockDim.x)
    to[i] = from_float<Out>((row[i] - mean) * r * weight[i] + bias[i]);
}

/// A block takes every gridDim.x-th row; `partial` [gridDim.x, cols] receives its sums for the weight, each
/// column always by the same thread.
__global__ void rmsnorm_backward_kernel(Rows dx, float* partial, Rows dout, Rows x, const float* weight,
                                        int64_t rows, int64_t cols, float eps) {
  __shared__ float shared[33];
  float* sums = partial ? partial + int64_t{blockIdx.x} * cols : nullptr;
  for (int64_t i = threadIdx.x; sums && i < cols; i += blockDim.x) sums[i] = 0;
  for (int64_t t = blockIdx.x; t < rows; t += gridDim.x) {
    const float *row = x.row<float>(t), *d = dout.row<float>(t);
    float squares = 0, dot = 0;
    for (int64_t i = threadIdx.x; i < cols; i += blockDim.x) {
      squares += row[i] * row[i];
      dot += d[i] * weight[i] * row[i];
    }
    squares = block_sum(squares, shared);
    dot = block_sum(dot, shared);
    float r = rsqrtf(squares / static_cast<float>(cols) + eps);
    float factor = r * r * dot / static_cast<float>(cols);
    float* to = dx.row<float>(t);
    for (int64_t i = threadIdx.x; i < cols; i += blockDim.x) {
      to[i] += r * (d[i] * weight[i] - row[i] * factor);
      if (sums) sums[i] += d[i] * row[i] * r;
    }
  }
}

}  // namespace

void cuda_rmsnorm(Tensor out, Tensor x, Tensor weight, float eps) {
  assert(x.dtype == DType::F32 && weight.dtype == DType::F32 && out.cols() == x.cols());
  if (x.rows() == 0) return;
  CudaDevice& device = device_of(out);
  with_type(out.dtype, [&](auto type) {
    rmsnorm_kernel<decltype(type)>
        <<<static_cast<unsigned>(x.rows()), threads_for(x.cols()), 0, device.stream()>>>(
            rows_of(out), rows_of(x), static_cast<const float*>(weight.data), x.cols(), eps);
  });
  check_launch("rmsnorm");
}

void cuda_layernorm(Tensor out, Tensor x, Tensor weight, Tensor bias, float eps) {
  assert(x.dtype == DType::F32 && weight.dtype == DType::F32 && bias.dtype == DType::F32);
  assert(out.cols() == x.cols());
  if (x.rows() == 0) return;
  CudaDevice& device = device_of(out);
  with_type(out.dtype, [&](auto type) {
    layernorm_kernel<decltype(type)>
        <<<static_cast<unsigned>(x.rows()), threads_for(x.cols()), 0, device.stream()>>>(
            rows_of(out), rows_of(x), static_cast<const float*>(weight.data),
            static_cast<const float*>(bias.data), x.cols(), eps);
  });
  check_launch("layernorm");
}

void cuda_rmsnorm_backward(Tensor dx, Tensor dweight, Tensor dout, Tensor x, Tensor weight, float eps) {
  int64_t rows = x.rows(), cols = x.cols();
  if (rows == 0) return;
  CudaDevice& device = device_of(dx);
  Scratch scratch(device);
  int64_t parts = std::min<int64_t>(rows, 4 * device.multiprocessors());
  float* partial = dweight ? scratch.take<float>(parts * cols) : nullptr;
  rmsnorm_backward_kernel<<<static_cast<unsigned>(parts), threads_for(cols), 0, device.stream()>>>(
      rows_of(dx), partial, rows_of(dout), rows_of(x), static_cast<const float*>(weight.data), rows, cols,
      eps);
  check_launch("rmsnorm_backward");
  if (dweight) cuda_add_parts(dweight, partial, parts);
}

}  // namespace longspan
