// AdamW and the norm of the gradient over all tensors in one launch: tensors are cut into pieces, a block
// each.
#include <algorithm>
#include <cassert>
#include <cmath>
#include <vector>

#include "kernels/cuda/device.h"
#include "kernels/cuda/elements.cuh"
#include "kernels/cuda/operations.h"

namespace longspan {

namespace {

constexpr int kThreads = 256;
constexpr int64_t kPiece = 1 << 15;  // elements

struct AdamPiece {
  float *value, *m, *v;
  const float* gradient;
  int64_t n;
  bool decays;
};

struct SquaresPiece {
  const float* x;
  int64_t n;
};

struct AdamFactors {
  double lr, beta1, beta2, eps, decay, scale, correction1, correction2;  // 1 - beta^step
};

__global__ void adamw_kernel(const AdamPiece* pieces, AdamFactors f) {
  AdamPiece p = pieces[blockIdx.x];
  for (int64_t i = threadIdx.x; i < p.n; i += blockDim.x) {
    double g = p.gradient[i] * f.scale;
    double first = f.beta1 * p.m[i] + (1 - f.beta1) * g;
    double second = f.beta2 * p.v[i] + (1 - f.beta2) * g * g;
    p.m[i] = static_cast<float>(first);
    p.v[i] = static_cast<float>(second);
    double move = first / f.correction1 / (sqrt(second / f.correction2) + f.eps) +
                  (p.decays ? f.decay : 0) * p.value[i];
    p.value[i] = static_cast<float>(p.value[i] - f.lr * move);
  }
}

__global__ void squares_kernel(double* partial, const SquaresPiece* pieces) {
  __shared__ double shared[33];
  SquaresPiece p = pieces[blockIdx.x];
  double sum = 0;
  for (int64_t i = threadIdx.x; i < p.n; i += blockDim.x) sum += static_cast<double>(p.x[i]) * p.x[i];
  sum = block_sum(sum, shared);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

__global__ void total_kernel(double* out, const double* partial, int64_t n) {
  __shared__ double shared[33];
  double sum = 0;
  for (int64_t i = threadIdx.x; i < n; i += blockDim.x) sum += partial[i];
  sum = block_sum(sum, shared);
  if (threadIdx.x == 0) *out = sum;
}

/// body(row offset in bytes from `data`, elements) for pieces of a tensor; contiguous ones are cut freely.
template <class Body>
void for_pieces(const Tensor& x, Body body) {
  assert(x.dtype == DType::F32);
  bool contiguous = x.row_stride == x.cols() * 4;
  int64_t rows = contiguous ? 1 : x.rows(), n = contiguous ? x.rows() * x.cols() : x.cols();
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t i = 0; i < n; i += kPiece) body(r, i, std::min(kPiece, n - i));
}

float* at(const Tensor& x, int64_t row, int64_t i) {
  return reinterpret_cast<float*>(static_cast<std::byte*>(x.data) + row * x.row_stride) + i;
}

template <class Piece>
Piece* uploaded(CudaDevice& device, Scratch& scratch, const std::vector<Piece>& pieces) {
  auto* memory = scratch.take<Piece>(std::ssize(pieces));
  device.upload(memory, pieces.data(), static_cast<int64_t>(pieces.size() * sizeof(Piece)));
  return memory;
}

}  // namespace

void cuda_adamw(std::span<const AdamWTensor> tensors, const AdamW& s) {
  std::vector<AdamPiece> pieces;
  for (const AdamWTensor& t : tensors)
    for_pieces(t.value, [&](int64_t r, int64_t i, int64_t n) {
      pieces.push_back({at(t.value, r, i), at(t.m, r, i), at(t.v, r, i), at(t.gradient, r, i), n, t.decays});
    });
  if (pieces.empty()) return;
  CudaDevice& device = device_of(tensors[0].value);
  Scratch scratch(device);
  const AdamPiece* list = uploaded(device, scratch, pieces);
  auto step = static_cast<double>(s.step);
  AdamFactors factors{s.lr,
                      s.beta1,
                      s.beta2,
                      s.eps,
                      s.decay,
                      s.scale,
                      1 - std::pow(s.beta1, step),
                      1 - std::pow(s.beta2, step)};
  adamw_kernel<<<static_cast<unsigned>(pieces.size()), kThreads, 0, device.stream()>>>(list, factors);
  check_launch("adamw");
}

void cuda_sum_of_squares(Tensor sum, std::span<const Tensor> all) {
  std::vector<SquaresPiece> pieces;
  for (const Tensor& x : all)
    for_pieces(x, [&](int64_t r, int64_t i, int64_t n) { pieces.push_back({at(x, r, i), n}); });
  CudaDevice& device = device_of(sum);
  Scratch scratch(device);
  auto count = std::ssize(pieces);
  auto* partial = scratch.take<double>(count);
  if (count > 0) {
    const SquaresPiece* list = uploaded(device, scratch, pieces);
    squares_kernel<<<static_cast<unsigned>(count), kThreads, 0, device.stream()>>>(partial, list);
    check_launch("sum_of_squares");
  }
  total_kernel<<<1, kThreads, 0, device.stream()>>>(static_cast<double*>(sum.data), partial, count);
  check_launch("sum_of_squares");
}

}  // namespace longspan
