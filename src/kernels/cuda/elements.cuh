// Reading and writing elements of tensors of any dtype on the device; the layouts are those of
// kernels/reference/dequantise.cc, which is their specification.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>

#include "kernels/cuda/rounding.cuh"
#include "kernels/cuda/warp.cuh"
#include "tensor/tensor.h"

namespace longspan {

/// A matrix as kernels see it.
struct Rows {
  std::byte* data;
  int64_t stride;  // bytes

  template <class T>
  __device__ T* row(int64_t i) const {
    return reinterpret_cast<T*>(data + i * stride);
  }
};
inline Rows rows_of(const Tensor& t) { return {static_cast<std::byte*>(t.data), t.row_stride}; }

/// Calls body with a value of the type of `dtype`: F32, BF16 or F16.
template <class Body>
void with_type(DType dtype, Body body) {
  switch (dtype) {
    case DType::F32:
      return body(float{});
    case DType::BF16:
      return body(__nv_bfloat16{});
    case DType::F16:
      return body(__half{});
    default:
      assert(!"a type of activations");
  }
}

/// Calls body with the dtype as a compile-time constant, for every type of weights.
template <class Body>
void with_weight_type(DType dtype, Body body) {
  switch (dtype) {
#define LONGSPAN_CASE(type) \
  case DType::type:         \
    return body(std::integral_constant<DType, DType::type>{});
    LONGSPAN_CASE(F32)
    LONGSPAN_CASE(F16)
    LONGSPAN_CASE(BF16)
    LONGSPAN_CASE(Q8_0)
    LONGSPAN_CASE(Q4_0)
    LONGSPAN_CASE(Q4_1)
    LONGSPAN_CASE(Q5_0)
    LONGSPAN_CASE(Q5_1)
    LONGSPAN_CASE(Q4_K)
    LONGSPAN_CASE(Q5_K)
    LONGSPAN_CASE(Q6_K)
#undef LONGSPAN_CASE
    default:
      assert(!"a type of weights");
  }
}

namespace blocks {

/// Blocks begin at multiples of 2 bytes in every format.
__device__ inline float half_at(const uint8_t* p) {
  return __half2float(*reinterpret_cast<const __half*>(p));
}

/// Eight bytes from an address that is a multiple of 2.
__device__ inline void bytes8(const uint8_t* p, uint8_t out[8]) {
  auto* h = reinterpret_cast<const uint16_t*>(p);
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    uint16_t two = h[i];
    out[2 * i] = static_cast<uint8_t>(two & 255);
    out[2 * i + 1] = static_cast<uint8_t>(two >> 8);
  }
}

/// Scale and minimum of group j of a K superblock: see scale_min of the specification.
__device__ inline void scale_min(const uint8_t* s, int j, int& scale, int& min) {
  if (j < 4) {
    scale = s[j] & 63, min = s[j + 4] & 63;
  } else {
    scale = (s[j + 4] & 15) | (s[j - 4] >> 6) << 4;
    min = s[j + 4] >> 4 | (s[j] >> 6) << 4;
  }
}

}  // namespace blocks

/// Elements [8 i, 8 i + 8) of a row of quantised weights. Eight neighbours share scale and nibble half in
/// every format.
template <DType kType>
__device__ inline void load8(const uint8_t* row, int64_t i, float out[8]) {
  using namespace blocks;
  uint8_t q[8];
  if constexpr (kType == DType::F32) {
    auto* x = reinterpret_cast<const float*>(row) + 8 * i;
#pragma unroll
    for (int k = 0; k < 8; ++k) out[k] = x[k];
  } else if constexpr (kType == DType::F16 || kType == DType::BF16) {
    using T = std::conditional_t<kType == DType::F16, __half, __nv_bfloat16>;
    auto* x = reinterpret_cast<const T*>(row) + 8 * i;
#pragma unroll
    for (int k = 0; k < 8; ++k) out[k] = to_float(x[k]);
  } else if constexpr (kType == DType::Q8_0) {
    const uint8_t* block = row + i / 4 * 34;
    float d = half_at(block);
    bytes8(block + 2 + i % 4 * 8, q);
#pragma unroll
    for (int k = 0; k < 8; ++k) out[k] = d * static_cast<float>(static_cast<int8_t>(q[k]));
  } else if constexpr (kType == DType::Q4_0 || kType == DType::Q4_1 || kType == DType::Q5_0 ||
                       kType == DType::Q5_1) {
    constexpr bool kMin = kType == DType::Q4_1 || kType == DType::Q5_1;
    constexpr bool kFifth = kType == DType::Q5_0 || kType == DType::Q5_1;
    constexpr int kHead = (kMin ? 4 : 2) + (kFifth ? 4 : 0), kBytes = kHead + 16;
    const uint8_t* block = row + i / 4 * kBytes;
    int part = static_cast<int>(i % 4);  // bytes 0-7 or 8-15, low or high nibbles
    float d = half_at(block), m = kMin ? half_at(block + 2) : 0.0f;
    bytes8(block + kHead + part % 2 * 8, q);
    uint8_t fifth = kFifth ? block[(kMin ? 4 : 2) + part] : 0;
#pragma unroll
    for (int k = 0; k < 8; ++k) {
      int v = part < 2 ? q[k] & 15 : q[k] >> 4;
      if (kFifth) v |= (fifth >> k & 1) << 4;
      out[k] = kMin ? d * static_cast<float>(v) + m : d * static_cast<float>(v - (kFifth ? 16 : 8));
    }
  } else if constexpr (kType == DType::Q4_K || kType == DType::Q5_K) {
    constexpr bool kFifth = kType == DType::Q5_K;
    constexpr int kBytes = kFifth ? 176 : 144;
    const uint8_t* block = row + i / 32 * kBytes;
    int at = static_cast<int>(i % 32), j = at / 4, in_group = at % 4 * 8;
    float d = half_at(block), dmin = half_at(block + 2);
    int scale, min;
    scale_min(block + 4, j, scale, min);
    float ds = d * static_cast<float>(scale), m = dmin * static_cast<float>(min);
    bytes8(block + (kFifth ? 48 : 16) + j / 2 * 32 + in_group, q);
    uint8_t high[8] = {};
    if (kFifth) bytes8(block + 16 + in_group, high);
#pragma unroll
    for (int k = 0; k < 8; ++k) {
      int v = j % 2 ? q[k] >> 4 : q[k] & 15;
      if (kFifth) v |= (high[k] >> j & 1) << 4;
      out[k] = ds * static_cast<float>(v) - m;
    }
  } else if constexpr (kType == DType::Q6_K) {
    const uint8_t* block = row + i / 32 * 210;
    int at = static_cast<int>(i % 32), j = at / 4, in_group = at % 4 * 8;
    float d = half_at(block + 208);
    float ds = d * static_cast<float>(static_cast<int8_t>(block[192 + 2 * j + in_group / 16]));
    // Group j's low bits are nibbles j % 4 * 32 + i of 64 bytes: low halves for groups 0 and 1 of four.
    uint8_t high[8];
    bytes8(block + j / 4 * 64 + j % 2 * 32 + in_group, q);
    bytes8(block + 128 + j / 4 * 32 + in_group, high);
#pragma unroll
    for (int k = 0; k < 8; ++k) {
      int low = j % 4 < 2 ? q[k] & 15 : q[k] >> 4;
      int v = (low | (high[k] >> (j % 4 * 2) & 3) << 4) - 32;
      out[k] = ds * static_cast<float>(v);
    }
  }
}

/// Sum over a block of whole warps, the same in every thread. `shared` holds 33 values.
template <class T>
__device__ inline T block_sum(T x, T* shared) {
  x = warp_sum(x);
  __syncthreads();
  if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = x;
  __syncthreads();
  T total = 0;
  for (unsigned w = 0; w < blockDim.x / 32; ++w) total += shared[w];
  return total;
}
__device__ inline float block_max(float x, float* shared) {
  x = warp_max(x);
  __syncthreads();
  if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = x;
  __syncthreads();
  float largest = shared[0];
  for (unsigned w = 1; w < blockDim.x / 32; ++w) largest = fmaxf(largest, shared[w]);
  return largest;
}

}  // namespace longspan
