// Log-probabilities, cross-entropy and divergence over rows of logits. A block reads its row twice: once for
// its largest element and the sum of exponentials together (Milakov 2018, arXiv 1805.02867), once to write
// the gradient. Losses of rows are added up in double, in the order of the rows.
#include <cassert>
#include <cmath>

#include "kernels/cuda/device.h"
#include "kernels/cuda/elements.cuh"
#include "kernels/cuda/operations.h"

namespace longspan {

namespace {

constexpr int kThreads = 512;

struct Shared {
  float largest[33];
  double sum[33];
};

/// ln sum exp of a row, the same in every thread.
__device__ double log_sum(const float* row, int64_t n, Shared& shared) {
  float largest = -INFINITY, sum = 0;
  for (int64_t i = threadIdx.x; i < n; i += blockDim.x) {
    float x = row[i];
    if (x > largest) {
      sum = largest == -INFINITY ? 0 : sum * expf(largest - x);
      largest = x;
    }
    if (x != -INFINITY) sum += expf(x - largest);
  }
  float whole = block_max(largest, shared.largest);
  double own =
      largest == -INFINITY ? 0 : static_cast<double>(sum) * exp(static_cast<double>(largest - whole));
  return static_cast<double>(whole) + log(block_sum(own, shared.sum));
}

__global__ void log_prob_kernel(float* out, Rows x, const int32_t* targets, int64_t n) {
  __shared__ Shared shared;
  const float* row = x.row<float>(blockIdx.x);
  double sum = log_sum(row, n, shared);
  if (threadIdx.x == 0)
    out[blockIdx.x] = static_cast<float>(static_cast<double>(row[targets[blockIdx.x]]) - sum);
}

/// A row that does not count.
__device__ void clear_row(float* row, int64_t n, double& loss) {
  if (threadIdx.x == 0) loss = 0;
  for (int64_t i = threadIdx.x; i < n; i += blockDim.x) row[i] = 0;
}

__global__ void cross_entropy_kernel(double* losses, Rows logits, const int32_t* targets,
                                     const float* weights, double scale, int64_t n) {
  __shared__ Shared shared;
  float* row = logits.row<float>(blockIdx.x);
  double weight = weights[blockIdx.x];
  if (weight == 0) return clear_row(row, n, losses[blockIdx.x]);
  int32_t target = targets[blockIdx.x];
  double sum = log_sum(row, n, shared);
  if (threadIdx.x == 0) losses[blockIdx.x] = weight * (sum - static_cast<double>(row[target]));
  __syncthreads();  // the target's logit has been read
  auto sum_high = static_cast<float>(sum), sum_low = static_cast<float>(sum - sum_high);
  auto factor = static_cast<float>(scale * weight);
  for (int64_t i = threadIdx.x; i < n; i += blockDim.x)
    row[i] = factor * (expf(row[i] - sum_high - sum_low) - (i == target ? 1.0f : 0.0f));
}

__global__ void divergence_kernel(double* losses, Rows logits, Rows original, const float* weights,
                                  double scale, int64_t n) {
  __shared__ Shared shared;
  float* row = logits.row<float>(blockIdx.x);
  double weight = weights[blockIdx.x];
  if (weight == 0) return clear_row(row, n, losses[blockIdx.x]);
  const float* other = original.row<float>(blockIdx.x);
  double sum = log_sum(row, n, shared), sum_original = log_sum(other, n, shared), own = 0;
  auto factor = static_cast<float>(scale * weight);
  auto high = static_cast<float>(sum), low = static_cast<float>(sum - high),
       high_original = static_cast<float>(sum_original),
       low_original = static_cast<float>(sum_original - high_original);
  for (int64_t i = threadIdx.x; i < n; i += blockDim.x) {
    float a = row[i] - high - low, b = other[i] - high_original - low_original, p = expf(b);
    if (p > 0) own += static_cast<double>(p) * (static_cast<double>(b) - a);
    row[i] = factor * (expf(a) - p);
  }
  own = block_sum(own, shared.sum);
  if (threadIdx.x == 0) losses[blockIdx.x] = weight * own;
}

/// loss += the losses of all rows; one block, so that the order does not change.
__global__ void add_losses_kernel(double* loss, const double* losses, int64_t rows) {
  __shared__ double shared[33];
  double own = 0;
  for (int64_t t = threadIdx.x; t < rows; t += blockDim.x) own += losses[t];
  own = block_sum(own, shared);
  if (threadIdx.x == 0) *loss += own;
}

void add_losses(CudaDevice& device, Tensor loss, const double* losses, int64_t rows) {
  assert(loss.dtype == DType::F64);
  add_losses_kernel<<<1, kThreads, 0, device.stream()>>>(static_cast<double*>(loss.data), losses, rows);
  check_launch("the sum of losses");
}

}  // namespace

void cuda_log_prob(Tensor out, Tensor x, Tensor targets) {
  assert(x.dtype == DType::F32 && out.dtype == DType::F32 && targets.dtype == DType::I32);
  if (x.rows() == 0) return;
  CudaDevice& device = device_of(x);
  log_prob_kernel<<<static_cast<unsigned>(x.rows()), kThreads, 0, device.stream()>>>(
      static_cast<float*>(out.data), rows_of(x), static_cast<const int32_t*>(targets.data), x.cols());
  check_launch("log_prob");
}

void cuda_cross_entropy(Tensor loss, Tensor logits, Tensor targets, Tensor weights, double scale) {
  int64_t rows = logits.rows();
  if (rows == 0) return;
  CudaDevice& device = device_of(logits);
  Scratch scratch(device);
  auto* losses = scratch.take<double>(rows);
  cross_entropy_kernel<<<static_cast<unsigned>(rows), kThreads, 0, device.stream()>>>(
      losses, rows_of(logits), static_cast<const int32_t*>(targets.data),
      static_cast<const float*>(weights.data), scale, logits.cols());
  check_launch("cross_entropy");
  add_losses(device, loss, losses, rows);
}

void cuda_divergence(Tensor loss, Tensor logits, Tensor original, Tensor weights, double scale) {
  int64_t rows = logits.rows();
  if (rows == 0) return;
  CudaDevice& device = device_of(logits);
  Scratch scratch(device);
  auto* losses = scratch.take<double>(rows);
  divergence_kernel<<<static_cast<unsigned>(rows), kThreads, 0, device.stream()>>>(
      losses, rows_of(logits), rows_of(original), static_cast<const float*>(weights.data), scale,
      logits.cols());
  check_launch("divergence");
  add_losses(device, loss, losses, rows);
}

}  // namespace longspan
