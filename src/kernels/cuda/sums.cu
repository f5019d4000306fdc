// Sums over the rows of a batch, always in the same order: biases, and the gradient of the embedding, whose
// rows are sorted by token first.
#include <algorithm>
#include <cassert>
#include <cub/device/device_radix_sort.cuh>

#include "kernels/cuda/device.h"
#include "kernels/cuda/elements.cuh"
#include "kernels/cuda/operations.h"

namespace longspan {

namespace {

constexpr int kThreads = 128;

__global__ void add_bias_kernel(Rows out, const float* bias, int64_t rows, int64_t cols, bool accumulate) {
  int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i >= cols) return;
  float b = bias[i];
  for (int64_t t = blockIdx.y; t < rows; t += gridDim.y) {
    float& x = out.row<float>(t)[i];
    x = accumulate ? x + b : b;
  }
}

/// partial[part, i]: the sum of column i over the rows of a part.
template <class T>
__global__ void column_sums_kernel(float* partial, Rows x, int64_t rows, int64_t cols) {
  int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i >= cols) return;
  float sum = 0;
  for (int64_t t = blockIdx.y; t < rows; t += gridDim.y) sum += to_float(x.row<T>(t)[i]);
  partial[int64_t{blockIdx.y} * cols + i] = sum;
}

__global__ void add_parts_kernel(float* sums, const float* partial, int64_t parts, int64_t cols) {
  int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i >= cols) return;
  float sum = 0;
  for (int64_t p = 0; p < parts; ++p) sum += partial[p * cols + i];
  sums[i] += sum;
}

__global__ void count_up_kernel(int32_t* rows, int64_t n) {
  int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i < n) rows[i] = static_cast<int32_t>(i);
}

/// The block at the first of a run of equal ids adds the run's rows, in order.
__global__ void add_runs_kernel(Rows dtable, Rows dout, const int32_t* ids, const int32_t* rows, int64_t n,
                                int64_t cols) {
  int64_t first = blockIdx.x;
  int32_t id = ids[first];
  if (first > 0 && ids[first - 1] == id) return;
  float* to = dtable.row<float>(id);
  for (int64_t i = threadIdx.x; i < cols; i += blockDim.x) {
    float sum = to[i];
    for (int64_t k = first; k < n && ids[k] == id; ++k) sum += dout.row<float>(rows[k])[i];
    to[i] = sum;
  }
}

unsigned blocks_for(int64_t n) { return static_cast<unsigned>((n + kThreads - 1) / kThreads); }

}  // namespace

void cuda_add_bias(Tensor out, Tensor bias, bool accumulate) {
  assert(out.dtype == DType::F32 && bias.dtype == DType::F32);
  if (out.rows() == 0) return;
  CudaDevice& device = device_of(out);
  dim3 grid(blocks_for(out.cols()), static_cast<unsigned>(std::min<int64_t>(out.rows(), 1024)));
  add_bias_kernel<<<grid, kThreads, 0, device.stream()>>>(rows_of(out), static_cast<const float*>(bias.data),
                                                          out.rows(), out.cols(), accumulate);
  check_launch("a bias");
}

void cuda_add_parts(Tensor sums, const float* partial, int64_t parts) {
  assert(sums.dtype == DType::F32);
  CudaDevice& device = device_of(sums);
  add_parts_kernel<<<blocks_for(sums.cols()), kThreads, 0, device.stream()>>>(static_cast<float*>(sums.data),
                                                                              partial, parts, sums.cols());
  check_launch("a sum of parts");
}

void cuda_add_column_sums(Tensor sums, Tensor x) {
  if (x.rows() == 0) return;
  CudaDevice& device = device_of(sums);
  Scratch scratch(device);
  int64_t parts = std::min<int64_t>(x.rows(), 256), cols = x.cols();
  auto* partial = scratch.take<float>(parts * cols);
  with_type(x.dtype, [&](auto type) {
    column_sums_kernel<decltype(type)>
        <<<dim3(blocks_for(cols), static_cast<unsigned>(parts)), kThreads, 0, device.stream()>>>(
            partial, rows_of(x), x.rows(), cols);
  });
  check_launch("the gradient of a bias");
  cuda_add_parts(sums, partial, parts);
}

void cuda_embed_backward(Tensor dtable, Tensor dout, Tensor ids) {
  int64_t n = dout.rows();
  if (n == 0) return;
  assert(dtable.dtype == DType::F32 && dout.dtype == DType::F32 && ids.dtype == DType::I32);
  CudaDevice& device = device_of(dtable);
  Scratch scratch(device);
  auto *sorted = scratch.take<int32_t>(n), *order = scratch.take<int32_t>(n),
       *rows = scratch.take<int32_t>(n);
  const auto* id = static_cast<const int32_t*>(ids.data);
  count_up_kernel<<<blocks_for(n), kThreads, 0, device.stream()>>>(order, n);
  check_launch("embed_backward");
  // Radix sort is stable: rows of one token stay in their order.
  size_t bytes = 0;
  int count = static_cast<int>(n);
  check(
      cub::DeviceRadixSort::SortPairs(nullptr, bytes, id, sorted, order, rows, count, 0, 32, device.stream()),
      "the sort of tokens");
  check(cub::DeviceRadixSort::SortPairs(scratch.bytes(static_cast<int64_t>(bytes)), bytes, id, sorted, order,
                                        rows, count, 0, 32, device.stream()),
        "the sort of tokens");
  add_runs_kernel<<<static_cast<unsigned>(n), kThreads, 0, device.stream()>>>(rows_of(dtable), rows_of(dout),
                                                                              sorted, rows, n, dout.cols());
  check_launch("embed_backward");
}

}  // namespace longspan
