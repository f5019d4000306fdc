// Elements of the three types of activations as F32 and back, rounded to nearest even, with the bits of the
// host's conversions (tensor/dtype.h).
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

namespace longspan {

__device__ inline float to_float(float x) { return x; }
__device__ inline float to_float(__nv_bfloat16 x) { return __bfloat162float(x); }
__device__ inline float to_float(__half x) { return __half2float(x); }
template <class T>
__device__ inline T from_float(float x);
template <>
__device__ inline float from_float<float>(float x) {
  return x;
}
template <>
__device__ inline __nv_bfloat16 from_float<__nv_bfloat16>(float x) {
  // NaN keeps its bits, as on the host (tensor/dtype.h).
  if (x != x) return __ushort_as_bfloat16(static_cast<unsigned short>(__float_as_uint(x) >> 16 | 0x40u));
  return __float2bfloat16_rn(x);
}
template <>
__device__ inline __half from_float<__half>(float x) {
  if (x != x) {
    unsigned bits = __float_as_uint(x);
    return __ushort_as_half(
        static_cast<unsigned short>((bits >> 16 & 0x8000u) | 0x7e00u | (bits >> 13 & 0x3ffu)));
  }
  return __float2half_rn(x);
}
template <>
__device__ inline double from_float<double>(float x) {
  return x;
}

}  // namespace longspan
