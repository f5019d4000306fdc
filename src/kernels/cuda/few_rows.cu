// Products of few rows (decoding): memory is the limit, so the weight is read once, as it lies, in whatever
// type it has, and every row of x takes its part from the same read. A warp computes one feature, or two, of
// all rows; it always has its next pieces of the weight under way, the first of them before the former kernel
// has ended. x lies in shared memory.
//
// A norm of x comes along for nothing: the norm's weight multiplies x on its way to shared memory, where its
// squares are summed too, and 1 / rms multiplies the sums at the end. Sums are F32, in an order that depends
// on the weight's shape only: a row has the same bits in every batch.
#include <algorithm>
#include <cassert>

#include "kernels/cuda/activation.cuh"
#include "kernels/cuda/device.h"
#include "kernels/cuda/elements.cuh"
#include "kernels/cuda/few_rows_piece.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/operations.h"

namespace longspan {

namespace {

constexpr int kMostThreads = 256, kMostWarps = kMostThreads / 32;
constexpr int kStagedPieces = 2048;  // of x in shared memory, of all rows
constexpr int kStagedBytes = kStagedPieces * 8 * static_cast<int>(sizeof(float));
constexpr int64_t kManyFeatures = 8192;

/// One of the weights.
struct Part {
  Rows weight, out;
  const float* bias;
  int first;  // its first feature among those of all parts
};

struct FewRows {
  Part part[kMostProjections];
  int parts, features;
  Rows x;
  bool x_is_bf16;
  const float* norm;  // [C], or null
  float eps;
  int rows, pieces;  // of x; of a row of the weights
  int staged;        // pieces of x in shared memory at a time
  int tasks;         // features, or pairs of them
  bool accumulate;
  bool gate;  // part 0 is the gate and part 1 up
  Activation activation;
};

/// Pieces of each feature that a warp has under way: about 128 bytes for each lane, half of that where the
/// sums of many rows need the registers.
template <DType kType, int kRows, int kFeatures>
constexpr int batch_of() {
  return std::max(8 / Piece<kType>::kLoads / kFeatures / (kRows >= 4 ? 2 : 1), 1);
}

__device__ inline float4 load_x(const FewRows& f, int row, int at) {
  if (!f.x_is_bf16) return *reinterpret_cast<const float4*>(f.x.row<float>(row) + at);
  uint2 raw = *reinterpret_cast<const uint2*>(f.x.row<__nv_bfloat16>(row) + at);
  return {low_bf16(raw.x), high_bf16(raw.x), low_bf16(raw.y), high_bf16(raw.y)};
}

/// Pieces first .. first + count - 1 of all rows of x to shared memory, [row][half][piece], times the norm's
/// weight; adds to the squares.
template <DType kType, int kRows>
__device__ void stage(const FewRows& f, float4* staged, int first, int count, float (&squares)[kRows]) {
  for (int p = static_cast<int>(threadIdx.x); p < count; p += static_cast<int>(blockDim.x)) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      int at = element_of<kType>(first + p, half);
      float4 g{1, 1, 1, 1};
      if (f.norm) g = *reinterpret_cast<const float4*>(f.norm + at);
#pragma unroll
      for (int r = 0; r < kRows; ++r) {
        float4 v{0, 0, 0, 0};
        if (r < f.rows) v = load_x(f, r, at);
        squares[r] = fmaf(v.x, v.x, fmaf(v.y, v.y, fmaf(v.z, v.z, fmaf(v.w, v.w, squares[r]))));
        staged[(2 * r + half) * f.staged + p] = {v.x * g.x, v.y * g.y, v.z * g.z, v.w * g.w};
      }
    }
  }
}

/// A warp's share: the features of one task after the other.
template <DType kType, int kRows, int kFeatures>
struct FewRowsWarp {
  static constexpr int kBatch = batch_of<kType, kRows, kFeatures>();
  static_assert(kBatch >= 1 && (kStagedPieces / kRows) % (32 * kBatch) == 0);

  const FewRows& f;
  int lane, task = 0;
  bool active = false;
  const uint8_t* row[kFeatures];
  Piece<kType> raw[kBatch][kFeatures];
  float sums[kFeatures][kRows];

  /// The part and the feature within it of the task's feature i; the last feature where there is none.
  __device__ int part_of(int i, int& feature) const {
    if (f.gate) {
      feature = task;
      return i;
    }
    feature = min(task * kFeatures + i, f.features - 1);
    int p = f.parts > 1 && feature >= f.part[1].first ? 1 : 0;
    if (f.parts > 2 && feature >= f.part[2].first) p = 2;
    feature -= f.part[p].first;
    return p;
  }

  /// Starts to read the task's weights.
  __device__ void begin(int which) {
    task = which, active = which < f.tasks;
    if (!active) return;
#pragma unroll
    for (int i = 0; i < kFeatures; ++i) {
      int feature;
      int p = part_of(i, feature);
      row[i] = f.part[p].weight.template row<uint8_t>(feature);
    }
#pragma unroll
    for (int b = 0; b < kBatch; ++b)
      if (32 * b + lane < f.pieces)
#pragma unroll
        for (int i = 0; i < kFeatures; ++i) raw[b][i].load(row[i], 32 * b + lane);
  }

  /// Products with pieces first .. end - 1, which are staged; reads ahead.
  __device__ void add(const float4* staged, int first, int end) {
    if (!active) return;
    for (int from = first; from < end; from += 32 * kBatch) {
#pragma unroll
      for (int b = 0; b < kBatch; ++b) {
        int p = from + 32 * b + lane;
        if (p >= end) continue;
        float w[kFeatures][8], factor[kFeatures];
#pragma unroll
        for (int i = 0; i < kFeatures; ++i) factor[i] = raw[b][i].values(w[i]);
        int next = p + 32 * kBatch;
        if (next < f.pieces)
#pragma unroll
          for (int i = 0; i < kFeatures; ++i) raw[b][i].load(row[i], next);
#pragma unroll
        for (int r = 0; r < kRows; ++r) {
          float4 low = staged[2 * r * f.staged + p - first],
                 high = staged[(2 * r + 1) * f.staged + p - first];
#pragma unroll
          for (int i = 0; i < kFeatures; ++i) {
            float x = w[i][0] * low.x, y = w[i][4] * high.x;
            x = fmaf(w[i][1], low.y, x), y = fmaf(w[i][5], high.y, y);
            x = fmaf(w[i][2], low.z, x), y = fmaf(w[i][6], high.z, y);
            x = fmaf(w[i][3], low.w, x), y = fmaf(w[i][7], high.w, y);
            sums[i][r] = fmaf(factor[i], x + y, sums[i][r]);
          }
        }
      }
    }
  }

  /// Adds the lanes' sums up: lane i * kRows + r receives feature i of row r.
  __device__ float total() const {
    float mine = 0;
#pragma unroll
    for (int i = 0; i < kFeatures; ++i)
#pragma unroll
      for (int r = 0; r < kRows; ++r) {
        float sum = warp_sum(sums[i][r]);
        if (lane == i * kRows + r) mine = sum;
      }
    return mine;
  }

  /// Where this lane's number goes; null where it has none.
  __device__ float* target(const float*& bias) const {
    int i = lane / kRows % kFeatures, r = lane % kRows, feature;
    int p = part_of(i, feature);
    bias = f.part[p].bias ? f.part[p].bias + feature : nullptr;
    bool valid = active && r < f.rows && lane < kRows * (f.gate ? 1 : kFeatures);
    if (!f.gate) valid = valid && task * kFeatures + i < f.features;
    return valid ? f.part[p].out.template row<float>(r) + feature : nullptr;
  }
};

/// Sum of the squares of row r: the warps' parts in their order.
template <int kRows>
__device__ float sum_of_warps(const float (&parts)[kMostWarps][kRows], int r) {
  float sum = 0;
  for (unsigned w = 0; w < blockDim.x / 32; ++w) sum += parts[w][r];
  return sum;
}

template <DType kType, int kRows, int kFeatures>
__global__ void __launch_bounds__(kMostThreads, 2) few_rows_kernel(const __grid_constant__ FewRows f) {
  extern __shared__ float4 staged[];
  __shared__ float squares_of[kMostWarps][kRows];
  int warps = static_cast<int>(blockDim.x) / 32, w = static_cast<int>(threadIdx.x) / 32;
  int start = static_cast<int>(blockIdx.x) * warps, step = static_cast<int>(gridDim.x) * warps;
  FewRowsWarp<kType, kRows, kFeatures> warp{.f = f, .lane = static_cast<int>(threadIdx.x) % 32};
  warp.begin(start + w);
  if (f.norm)
    for (int at = static_cast<int>(threadIdx.x) * 32; at < 8 * f.pieces;
         at += static_cast<int>(blockDim.x) * 32)
      asm volatile("prefetch.global.L2 [%0];" ::"l"(f.norm + at));
  wait_for_former();
  for (int first = start; first < f.tasks; first += step) {
    const float* bias;
    float* to = warp.target(bias);
    float before = to && f.accumulate ? *to : 0, squares[kRows] = {};
#pragma unroll
    for (int i = 0; i < kFeatures; ++i)
#pragma unroll
      for (int r = 0; r < kRows; ++r) warp.sums[i][r] = 0;
    for (int at = 0; at < f.pieces; at += f.staged) {
      int end = min(at + f.staged, f.pieces);
      if (f.staged < f.pieces || first == start) {
        __syncthreads();  // the staged pieces and the squares have been read
        stage<kType>(f, staged, at, end - at, squares);
        if (f.norm && end == f.pieces)
#pragma unroll
          for (int r = 0; r < kRows; ++r) {
            float sum = warp_sum(squares[r]);
            if (warp.lane == 0) squares_of[w][r] = sum;
          }
        __syncthreads();
      }
      warp.add(staged, at, end);
    }
    bool active = warp.active;
    warp.begin(first + step + w);
    if (!active) continue;
    float mine = warp.total();
    int row = warp.lane % kRows;
    if (f.norm) mine *= rsqrtf(sum_of_warps(squares_of, row) / (8 * static_cast<float>(f.pieces)) + f.eps);
    if (bias) mine += *bias;
    if (f.gate) {
      float up = __shfl_down_sync(0xffffffffu, mine, kRows);
      mine = up * (f.activation == Activation::Silu ? activate<Activation::Silu>(mine)
                                                    : activate<Activation::GeluTanh>(mine));
    }
    if (to) *to = f.accumulate ? before + mine : mine;
  }
}

/// Any length of rows and any alignment; F32, F16 and BF16 weights.
template <class Weight, class In>
__global__ void few_rows_plain_kernel(Rows out, Rows x, Rows weight, const float* bias, int64_t features,
                                      int64_t cols, int64_t rows, bool accumulate) {
  int64_t n = int64_t{blockIdx.x} * (blockDim.x / 32) + threadIdx.x / 32;
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

/// Whether products with w of x can be read in pieces.
bool in_pieces(const Tensor& w, const Tensor& x) {
  assert(!is_quantised(w.dtype) || aligned(w, w.dtype == DType::Q4_K || w.dtype == DType::Q5_K ? 16 : 2));
  return w.cols() % 8 == 0 && aligned(x, 16) && (is_quantised(w.dtype) || aligned(w, 16));
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

template <DType kType, int kRows, int kFeatures>
void launch(CudaDevice& device, FewRows f, unsigned threads) {
  auto* kernel = few_rows_kernel<kType, kRows, kFeatures>;
  int warps = static_cast<int>(threads) / 32, resident = kMostThreads / static_cast<int>(threads) * 2;
  f.tasks = f.gate ? f.features : (f.features + kFeatures - 1) / kFeatures;
  f.staged = std::min(f.pieces, kStagedPieces / kRows);
  int bytes = f.staged * kRows * 2 * static_cast<int>(sizeof(float4));
  // The limit of all launches, not of this one: recordings are checked against it later.
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kStagedBytes), "a launch");
  int blocks = std::min((f.tasks + warps - 1) / warps, device.multiprocessors() * resident);
  launch_early(device, kernel, dim3(static_cast<unsigned>(blocks)), threads, static_cast<size_t>(bytes), f);
}

/// Completes and launches f for weights of type `type`.
void multiply(CudaDevice& device, FewRows f, const Tensor& x, DType type) {
  f.x = rows_of(x), f.x_is_bf16 = x.dtype == DType::BF16;
  f.rows = static_cast<int>(x.rows()), f.pieces = static_cast<int>(x.cols() / 8);
  // A warp takes two features where there is enough work for all; the choice must not depend on the rows.
  bool many = f.features >= kManyFeatures;
  with_weight_type(type, [&](auto of) {
    with_rows(f.rows, [&](auto rows) {
      if (many || f.gate)
        launch<of.value, rows.value, 2>(device, f, many ? 256 : 128);
      else
        launch<of.value, rows.value, 1>(device, f, 128);
    });
  });
}

Part part_of(const Tensor& out, const Linear& w, int first) {
  return {rows_of(w.weight), rows_of(out), static_cast<const float*>(w.bias.data), first};
}

void plain_few_rows(CudaDevice& device, Tensor out, Tensor x, const Linear& w, bool accumulate) {
  constexpr int kWarps = 4;
  int64_t features = w.weight.rows();
  auto blocks = static_cast<unsigned>((features + kWarps - 1) / kWarps);
  auto launch = [&](auto in) {
    with_type(w.weight.dtype, [&](auto weight) {
      few_rows_plain_kernel<decltype(weight), decltype(in)><<<blocks, 32 * kWarps, 0, device.stream()>>>(
          rows_of(out), rows_of(x), rows_of(w.weight), static_cast<const float*>(w.bias.data), features,
          x.cols(), x.rows(), accumulate);
    });
  };
  x.dtype == DType::F32 ? launch(float{}) : launch(__nv_bfloat16{});
  check_launch("a product of few rows");
}

/// rmsnorm(x) in working memory.
Tensor normed(Scratch& scratch, const Tensor& x, const Tensor& norm, float eps) {
  Tensor out = x.device->matrix(scratch.bytes(x.rows() * x.cols() * 4), DType::F32, x.rows(), x.cols());
  cuda_rmsnorm(out, x, norm, eps);
  return out;
}

}  // namespace

void cuda_few_rows(Tensor out, Tensor x, const Linear& w, bool accumulate) {
  assert(x.rows() <= kFewRows && x.cols() == w.weight.cols() && out.cols() == w.weight.rows());
  assert(x.dtype == DType::F32 || x.dtype == DType::BF16);
  if (x.rows() == 0 || out.cols() == 0) return;
  CudaDevice& device = device_of(out);
  if (!in_pieces(w.weight, x)) return plain_few_rows(device, out, x, w, accumulate);
  FewRows f{};
  f.part[0] = part_of(out, w, 0);
  f.parts = 1, f.features = static_cast<int>(out.cols()), f.accumulate = accumulate;
  multiply(device, f, x, w.weight.dtype);
}

void cuda_norm_linear(std::span<const Projection> projections, Tensor x, Tensor norm, float eps) {
  assert(x.rows() <= kFewRows && x.dtype == DType::F32 && projections.size() <= kMostProjections);
  if (x.rows() == 0 || projections.empty()) return;
  CudaDevice& device = device_of(x);
  FewRows f{};
  f.norm = static_cast<const float*>(norm.data), f.eps = eps;
  DType type = projections[0].w->weight.dtype;
  bool together = aligned(norm, 16);
  for (const Projection& p : projections) {
    f.part[f.parts++] = part_of(p.out, *p.w, f.features);
    f.features += static_cast<int>(p.out.cols());
    together = together && p.w->weight.dtype == type && in_pieces(p.w->weight, x);
  }
  if (together) return multiply(device, f, x, type);
  Scratch scratch(device);
  Tensor y = normed(scratch, x, norm, eps);
  for (const Projection& p : projections) cuda_few_rows(p.out, y, *p.w, false);
}

void cuda_norm_gate(Tensor out, Tensor x, Tensor norm, float eps, const Linear& gate, const Linear& up,
                    Activation activation) {
  assert(x.rows() <= kFewRows && x.dtype == DType::F32 && out.dtype == DType::F32);
  if (x.rows() == 0) return;
  CudaDevice& device = device_of(x);
  if (gate.weight.dtype == up.weight.dtype && aligned(norm, 16) && in_pieces(gate.weight, x) &&
      in_pieces(up.weight, x)) {
    FewRows f{};
    f.norm = static_cast<const float*>(norm.data), f.eps = eps;
    f.part[0] = part_of(out, gate, 0), f.part[1] = part_of(out, up, 0);
    f.parts = 2, f.features = static_cast<int>(out.cols()), f.gate = true, f.activation = activation;
    return multiply(device, f, x, gate.weight.dtype);
  }
  Scratch scratch(device);
  Tensor y = normed(scratch, x, norm, eps);
  Tensor of_up =
      x.device->matrix(scratch.bytes(out.rows() * out.cols() * 4), DType::F32, out.rows(), out.cols());
  cuda_few_rows(out, y, gate, false);
  cuda_few_rows(of_up, y, up, false);
  cuda_gate(out, out, of_up, activation);
}

}  // namespace longspan
