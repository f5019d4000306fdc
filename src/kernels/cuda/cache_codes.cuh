// Quantised keys and values on the device: see kernels/cache_codes.h, whose bytes these are. Device code: for
// .cu files only.
#pragma once

#include "kernels/cache_codes.h"
#include "kernels/cuda/attention_view.h"

namespace longspan {

/// Of n elements, without scales.
__host__ __device__ constexpr int code_size(DType dtype, int n) { return dtype == DType::Q8_0 ? n : n / 2; }

__host__ __device__ constexpr bool is_code(DType dtype) {
  return dtype == DType::Q8_0 || dtype == DType::Q4_0;
}

/// A token of a head.
struct CodesView {
  std::byte* codes;
  __half* scales;
};
__device__ inline CodesView codes_of(std::byte* page, DType dtype, int head_dim, int head, int token) {
  int bytes = code_size(dtype, head_dim), groups = head_dim / static_cast<int>(kCacheGroup);
  constexpr int kTokens = static_cast<int>(kPageTokens);
  std::byte* of_head = page + static_cast<int64_t>(head) * kTokens * (bytes + groups * 2);
  return {of_head + token * bytes, reinterpret_cast<__half*>(of_head + kTokens * bytes) + token * groups};
}
__device__ inline CodesView codes_of(const PagesView& pages, int sequence, int head, int n) {
  int64_t page = pages.table[sequence * pages.table_stride + n / kPageTokens];
  return codes_of(pages.memory + page * pages.stride, pages.dtype, pages.head_dim, head,
                  n % static_cast<int>(kPageTokens));
}

/// Elements at .. at + 7, a multiple of 8.
template <DType kType>
__device__ inline void load_codes8(float (&x)[8], const CodesView& token, int at) {
  float scale = __half2float(token.scales[at / static_cast<int>(kCacheGroup)]);
  if constexpr (kType == DType::Q8_0) {
    uint2 codes = *reinterpret_cast<const uint2*>(token.codes + at);
#pragma unroll
    for (int i = 0; i < 8; ++i)
      x[i] = scale * static_cast<float>(static_cast<int8_t>((i < 4 ? codes.x : codes.y) >> (i % 4 * 8)));
  } else {
    uint32_t codes = *reinterpret_cast<const uint32_t*>(token.codes + at / 2);
#pragma unroll
    for (int i = 0; i < 8; ++i)
      x[i] = scale * static_cast<float>(static_cast<int>(codes >> (i % 4 * 8 + i / 4 * 4) & 15) - 8);
  }
}

/// By a warp: a group of a token, of which lane l holds element l.
__device__ inline void store_codes(const CodesView& token, DType dtype, int group, float x) {
  int lane = static_cast<int>(threadIdx.x) % 32;
  unsigned holders = __ballot_sync(0xffffffffu, fabsf(x) == warp_max(fabsf(x)));
  float extreme = __shfl_sync(0xffffffffu, x, holders == 0 ? 0 : __ffs(static_cast<int>(holders)) - 1);
  __half scale = __float2half_rn(dtype == DType::Q8_0 ? fabsf(extreme) / 127.0f : extreme / -8.0f);
  if (lane == 0) token.scales[group] = scale;
  float ratio = __half2float(scale) == 0 ? 0 : rintf(x / __half2float(scale));
  std::byte* codes = token.codes + code_size(dtype, group * static_cast<int>(kCacheGroup));
  if (dtype == DType::Q8_0) {
    codes[lane] = static_cast<std::byte>(static_cast<int8_t>(fminf(fmaxf(ratio, -127), 127)));
    return;
  }
  int code = static_cast<int>(fminf(fmaxf(ratio, -8), 7)) + 8;
  int high = __shfl_down_sync(0xffffffffu, code, 4);
  if (lane % 8 < 4) codes[lane / 8 * 4 + lane % 4] = static_cast<std::byte>(code | high << 4);
}

}  // namespace longspan
