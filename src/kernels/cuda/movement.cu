// Movement of tensors on the GPU: conversion, dequantisation, gathering and scattering of rows.
#include <algorithm>
#include <bit>
#include <cassert>

#include "kernels/cuda/device.h"
#include "kernels/cuda/elements.cuh"
#include "kernels/cuda/operations.h"

namespace longspan {

namespace {

constexpr int kThreads = 256;
constexpr int64_t kMostBlocks = 1 << 16;

/// Blocks for n elements, of which each block takes several when there are very many.
unsigned blocks_for(int64_t n) {
  return static_cast<unsigned>(std::clamp<int64_t>((n + kThreads - 1) / kThreads, 1, kMostBlocks));
}

/// to_float, and NaN keeps its bits, as on the host.
template <class T>
__device__ float exactly(T x) {
  if constexpr (std::is_same_v<T, __half>) {
    unsigned bits = __half_as_ushort(x);
    if ((bits & 0x7fffu) > 0x7c00u)
      return __uint_as_float((bits & 0x8000u) << 16 | 0x7f800000u | (bits & 0x3ffu) << 13);
  }
  return to_float(x);
}

template <class Out, class In>
__global__ void convert_kernel(Rows out, Rows x, int64_t rows, int64_t cols) {
  int64_t n = rows * cols, step = int64_t{gridDim.x} * blockDim.x;
  for (int64_t at = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; at < n; at += step) {
    int64_t t = at / cols, i = at % cols;
    out.row<Out>(t)[i] = from_float<Out>(exactly(x.row<In>(t)[i]));
  }
}

__global__ void split_kernel(Rows high, Rows low, Rows x, int64_t rows, int64_t cols) {
  int64_t n = rows * cols, step = int64_t{gridDim.x} * blockDim.x;
  for (int64_t at = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; at < n; at += step) {
    int64_t t = at / cols, i = at % cols;
    float v = x.row<float>(t)[i];
    auto rounded = from_float<__nv_bfloat16>(v);
    high.row<__nv_bfloat16>(t)[i] = rounded;
    low.row<__nv_bfloat16>(t)[i] = from_float<__nv_bfloat16>(v - to_float(rounded));
  }
}

/// A thread takes eight elements.
template <DType kType, class Out>
__global__ void dequantise_kernel(Rows out, Rows x, int64_t rows, int64_t groups) {
  int64_t n = rows * groups, step = int64_t{gridDim.x} * blockDim.x;
  for (int64_t at = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; at < n; at += step) {
    int64_t t = at / groups, g = at % groups;
    float values[8];
    load8<kType>(x.row<uint8_t>(t), g, values);
    Out* to = out.row<Out>(t) + 8 * g;
#pragma unroll
    for (int k = 0; k < 8; ++k) to[k] = from_float<Out>(values[k]);
  }
}

template <class Out>
__global__ void gather_kernel(Rows out, Rows x, const int32_t* rows, int64_t cols) {
  const float* from = x.row<float>(rows[blockIdx.x]);
  Out* to = out.row<Out>(blockIdx.x);
  for (int64_t i = threadIdx.x; i < cols; i += blockDim.x) to[i] = from_float<Out>(from[i]);
}

__global__ void scatter_kernel(Rows out, Rows x, const int32_t* rows, int64_t cols) {
  const float* from = x.row<float>(blockIdx.x);
  float* to = out.row<float>(rows[blockIdx.x]);
  for (int64_t i = threadIdx.x; i < cols; i += blockDim.x) to[i] = from[i];
}

template <class T>
__global__ void fill_kernel(Rows x, int64_t rows, int64_t cols, float value) {
  int64_t n = rows * cols, step = int64_t{gridDim.x} * blockDim.x;
  for (int64_t at = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; at < n; at += step)
    x.row<T>(at / cols)[at % cols] = from_float<T>(value);
}

template <DType kType>
__global__ void embed_kernel(Rows out, Rows table, const int32_t* ids, int64_t groups) {
  const auto* from = table.row<uint8_t>(ids[blockIdx.x]);
  float* to = out.row<float>(blockIdx.x);
  for (int64_t g = threadIdx.x; g < groups; g += blockDim.x) {
    float values[8];
    load8<kType>(from, g, values);
#pragma unroll
    for (int k = 0; k < 8; ++k) to[8 * g + k] = values[k];
  }
}

/// Rows whose length is no multiple of eight: F32, F16 and BF16 only.
template <class T>
__global__ void embed_any_kernel(Rows out, Rows table, const int32_t* ids, int64_t cols) {
  const T* from = table.row<T>(ids[blockIdx.x]);
  float* to = out.row<float>(blockIdx.x);
  for (int64_t i = threadIdx.x; i < cols; i += blockDim.x) to[i] = to_float(from[i]);
}

}  // namespace

int code_architecture() {
  cudaFuncAttributes attributes{};
  bool built = cudaFuncGetAttributes(&attributes, scatter_kernel) == cudaSuccess;
  cudaGetLastError();
  return built ? attributes.ptxVersion : 0;
}

void cuda_convert(Tensor out, Tensor x) {
  assert(out.rows() == x.rows() && out.cols() == x.cols());
  int64_t rows = x.rows(), cols = x.cols();
  if (rows * cols == 0) return;
  CudaDevice& device = device_of(out);
  if (out.dtype == x.dtype) {
    int64_t bytes = dtype_bytes(x.dtype, cols);
    check(cudaMemcpy2DAsync(out.data, static_cast<size_t>(rows > 1 ? out.row_stride : bytes), x.data,
                            static_cast<size_t>(rows > 1 ? x.row_stride : bytes), static_cast<size_t>(bytes),
                            static_cast<size_t>(rows), cudaMemcpyDeviceToDevice, device.stream()),
          "a copy");
    return;
  }
  if (is_quantised(x.dtype)) {
    with_weight_type(x.dtype, [&](auto type) {
      with_type(out.dtype, [&](auto to) {
        dequantise_kernel<type.value, decltype(to)>
            <<<blocks_for(rows * cols / 8), kThreads, 0, device.stream()>>>(rows_of(out), rows_of(x), rows,
                                                                            cols / 8);
      });
    });
  } else {
    with_type(x.dtype, [&](auto from) {
      with_type(out.dtype, [&](auto to) {
        convert_kernel<decltype(to), decltype(from)>
            <<<blocks_for(rows * cols), kThreads, 0, device.stream()>>>(rows_of(out), rows_of(x), rows, cols);
      });
    });
  }
  check_launch("convert");
}

void cuda_split(Tensor high, Tensor low, Tensor x) {
  assert(x.dtype == DType::F32 && high.dtype == DType::BF16 && low.dtype == DType::BF16);
  assert(high.rows() == x.rows() && low.rows() == x.rows() && high.cols() == x.cols());
  int64_t rows = x.rows(), cols = x.cols();
  if (rows * cols == 0) return;
  CudaDevice& device = device_of(high);
  split_kernel<<<blocks_for(rows * cols), kThreads, 0, device.stream()>>>(rows_of(high), rows_of(low),
                                                                          rows_of(x), rows, cols);
  check_launch("split");
}

void cuda_gather(Tensor out, Tensor x, Tensor rows) {
  assert(x.dtype == DType::F32 && rows.dtype == DType::I32 && out.cols() == x.cols());
  if (out.rows() == 0) return;
  CudaDevice& device = device_of(out);
  with_type(out.dtype, [&](auto to) {
    gather_kernel<decltype(to)><<<static_cast<unsigned>(out.rows()), kThreads, 0, device.stream()>>>(
        rows_of(out), rows_of(x), static_cast<const int32_t*>(rows.data), x.cols());
  });
  check_launch("gather");
}

void cuda_scatter(Tensor out, Tensor x, Tensor rows) {
  assert(x.dtype == DType::F32 && out.dtype == DType::F32 && rows.dtype == DType::I32);
  if (x.rows() == 0) return;
  CudaDevice& device = device_of(out);
  scatter_kernel<<<static_cast<unsigned>(x.rows()), kThreads, 0, device.stream()>>>(
      rows_of(out), rows_of(x), static_cast<const int32_t*>(rows.data), x.cols());
  check_launch("scatter");
}

void cuda_fill(Tensor x, float value) {
  int64_t rows = x.rows(), cols = x.cols();
  if (rows * cols == 0) return;
  CudaDevice& device = device_of(x);
  if (std::bit_cast<uint32_t>(value) == 0 && x.row_stride == dtype_bytes(x.dtype, cols)) {
    check(cudaMemsetAsync(x.data, 0, static_cast<size_t>(x.bytes()), device.stream()), "fill");
    return;
  }
  auto launch = [&](auto type) {
    fill_kernel<decltype(type)>
        <<<blocks_for(rows * cols), kThreads, 0, device.stream()>>>(rows_of(x), rows, cols, value);
  };
  x.dtype == DType::F64 ? launch(double{}) : with_type(x.dtype, launch);
  check_launch("fill");
}

void cuda_embed(Tensor out, Tensor table, Tensor ids) {
  assert(out.dtype == DType::F32 && ids.dtype == DType::I32 && out.cols() == table.cols());
  if (out.rows() == 0) return;
  CudaDevice& device = device_of(out);
  auto blocks = static_cast<unsigned>(out.rows());
  const auto* id = static_cast<const int32_t*>(ids.data);
  if (table.cols() % 8 == 0)
    with_weight_type(table.dtype, [&](auto type) {
      embed_kernel<type.value>
          <<<blocks, kThreads, 0, device.stream()>>>(rows_of(out), rows_of(table), id, table.cols() / 8);
    });
  else
    with_type(table.dtype, [&](auto type) {
      embed_any_kernel<decltype(type)>
          <<<blocks, kThreads, 0, device.stream()>>>(rows_of(out), rows_of(table), id, table.cols());
    });
  check_launch("embed");
}

}  // namespace longspan
