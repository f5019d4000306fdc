// Rotary embeddings: the table of angles in double, and the rotation itself.
#include <cassert>
#include <cmath>

#include "kernels/cuda/device.h"
#include "kernels/cuda/elements.cuh"
#include "kernels/cuda/operations.h"

namespace longspan {

namespace {

constexpr int kThreads = 256;
constexpr int kMostPairs = 256;

struct Frequencies {
  double of[kMostPairs];
};

/// longspan::apply on the device.
__device__ double mapped(const PositionMap& map, double p) {
  if (map.modulus > 0) p = fmod(p, map.modulus);
  p /= map.divisor;
  if (map.floor) p = floor(p);
  p += map.offset;
  return map.cap >= 0 && p > map.cap ? map.cap : p;
}

__global__ void table_kernel(Rows cosine, Rows sine, const double* positions, PositionMap map,
                             const __grid_constant__ Frequencies frequencies, int64_t rows, int pairs,
                             double scale) {
  int64_t n = rows * pairs, step = int64_t{gridDim.x} * blockDim.x;
  for (int64_t at = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; at < n; at += step) {
    int64_t t = at / pairs;
    int i = static_cast<int>(at % pairs);
    double s, c;
    sincos(mapped(map, positions[t]) * frequencies.of[i], &s, &c);
    cosine.row<float>(t)[i] = static_cast<float>(c * scale);
    sine.row<float>(t)[i] = static_cast<float>(s * scale);
  }
}

__global__ void rope_kernel(Rows x, Rows cosine, Rows sine, int64_t rows, int heads, int head_dim, int half,
                            float sign) {
  int64_t n = rows * heads * half, step = int64_t{gridDim.x} * blockDim.x;
  for (int64_t at = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; at < n; at += step) {
    int64_t t = at / (heads * half);
    int rest = static_cast<int>(at % (heads * half)), h = rest / half, i = rest % half;
    float* v = x.row<float>(t) + h * head_dim;
    float a = v[i], b = v[i + half], c = cosine.row<float>(t)[i], s = sign * sine.row<float>(t)[i];
    v[i] = a * c - b * s;
    v[i + half] = b * c + a * s;
  }
}

constexpr int kMostTurned = 512;  // elements of a part

/// A block turns one part of one row.
__global__ void hadamard_kernel(Rows x, float factor) {
  __shared__ float memory[kMostTurned];
  int i = static_cast<int>(threadIdx.x), size = static_cast<int>(blockDim.x);
  float* part = x.row<float>(blockIdx.x) + blockIdx.y * size;
  float value = part[i];
  for (int step = 1; step < size; step *= 2) {
    __syncthreads();
    memory[i] = value;
    __syncthreads();
    float other = memory[i ^ step];
    value = i & step ? other - value : value + other;
  }
  part[i] = value * factor;
}

unsigned blocks_for(int64_t n) {
  return static_cast<unsigned>(std::clamp<int64_t>((n + kThreads - 1) / kThreads, 1, 1 << 16));
}

}  // namespace

void cuda_rope_table(const RopeTable& table, Tensor positions, const Rotation& rotation, double scale) {
  int64_t pairs = table.cos.cols(), rows = table.cos.rows();
  assert(positions.dtype == DType::F64 && pairs == std::ssize(rotation.inv_freq) && pairs <= kMostPairs);
  if (rows * pairs == 0) return;
  Frequencies frequencies{};
  std::copy(rotation.inv_freq.begin(), rotation.inv_freq.end(), frequencies.of);
  CudaDevice& device = device_of(table.cos);
  table_kernel<<<blocks_for(rows * pairs), kThreads, 0, device.stream()>>>(
      rows_of(table.cos), rows_of(table.sin), static_cast<const double*>(positions.data), rotation.map,
      frequencies, rows, static_cast<int>(pairs), scale);
  check_launch("rope_table");
}

void cuda_rope(Tensor x, const RopeTable& table, int64_t heads, int64_t head_dim, Turn turn) {
  int64_t half = table.cos.cols();
  assert(x.dtype == DType::F32 && x.cols() == heads * head_dim && 2 * half <= head_dim);
  if (x.rows() * half == 0) return;
  CudaDevice& device = device_of(x);
  rope_kernel<<<blocks_for(x.rows() * heads * half), kThreads, 0, device.stream()>>>(
      rows_of(x), rows_of(table.cos), rows_of(table.sin), x.rows(), static_cast<int>(heads),
      static_cast<int>(head_dim), static_cast<int>(half), turn == Turn::Forward ? 1.0f : -1.0f);
  check_launch("rope");
}

void cuda_hadamard(Tensor x, int64_t heads, int64_t head_dim) {
  int64_t size = head_dim & -head_dim;
  assert(x.dtype == DType::F32 && x.cols() == heads * head_dim && size <= kMostTurned);
  if (x.rows() == 0) return;
  CudaDevice& device = device_of(x);
  dim3 parts(static_cast<unsigned>(x.rows()), static_cast<unsigned>(x.cols() / size));
  hadamard_kernel<<<parts, static_cast<unsigned>(size), 0, device.stream()>>>(
      rows_of(x), static_cast<float>(1 / std::sqrt(static_cast<double>(size))));
  check_launch("hadamard");
}

}  // namespace longspan
