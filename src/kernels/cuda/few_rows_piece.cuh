// Pieces of weights for products of few rows: eight weights of a row, held as they lie in memory from the
// load to their use, so that many loads can be under way. Neighbouring lanes hold neighbouring pieces, and
// loads are of whole words. Formats with nibbles take four weights from the low and four from the high halves
// of one word: element_of says which weights a piece holds.
#pragma once

#include "kernels/cuda/elements.cuh"
#include "kernels/cuda/tensor_cores.h"

namespace longspan {

/// A word that is read once, though its neighbours in the cache line are for other lanes.
__device__ inline uint32_t load_word(const void* from) {
  uint32_t x;
  asm volatile("ld.global.nc.u32 %0, [%1];\n" : "=r"(x) : "l"(from));
  return x;
}
__device__ inline uint4 load_words(const void* from) {
  uint4 x;
  asm volatile("ld.global.nc.v4.u32 {%0,%1,%2,%3}, [%4];\n"
               : "=r"(x.x), "=r"(x.y), "=r"(x.z), "=r"(x.w)
               : "l"(from));
  return x;
}
__device__ inline uint16_t load_short(const void* from) {
  uint16_t x;
  asm volatile("ld.global.nc.u16 %0, [%1];\n" : "=h"(x) : "l"(from));
  return x;
}
__device__ inline float half_of(uint32_t bits) {
  return __half2float(__ushort_as_half(static_cast<uint16_t>(bits)));
}

/// kWords words from an address that is a multiple of 2, by aligned loads that stay within words of which a
/// byte is wanted.
template <int kWords>
struct UnalignedWords {
  uint32_t raw[kWords + 1];
  uint32_t shift;  // 0 or 16

  __device__ void load(const uint8_t* from) {
    auto address = reinterpret_cast<uintptr_t>(from);
    const auto* aligned = reinterpret_cast<const uint32_t*>(address & ~uintptr_t{3});
    shift = (address & 2) * 8;
#pragma unroll
    for (int i = 0; i < kWords; ++i) raw[i] = load_word(aligned + i);
    raw[kWords] = load_word(aligned + kWords - (shift == 0 ? 1 : 0));
  }
  __device__ uint32_t word(int i) const { return __funnelshift_r(raw[i], raw[i + 1], shift); }
};

/// Bytes 0-3 of a word less `offset`, exactly: 2^23 + byte is made of bits.
__device__ inline void floats_of_bytes(uint32_t word, float offset, float* out) {
#pragma unroll
  for (uint32_t k = 0; k < 4; ++k)
    out[k] = __uint_as_float(__byte_perm(word, 0x4b000000u, 0x7440u | k)) - (8388608.0f + offset);
}
constexpr uint32_t kNibbles = 0x0f0f0f0fu;

/// The first weight of half `half` (four weights) of piece p of a row.
template <DType kType>
__device__ inline int element_of(int p, int half) {
  if constexpr (kType == DType::Q4_0 || kType == DType::Q4_1)
    return p / 4 * 32 + p % 4 * 4 + 16 * half;
  else if constexpr (kType == DType::Q4_K || kType == DType::Q5_K)
    return p / 8 * 64 + p % 8 * 4 + 32 * half;
  else if constexpr (kType == DType::Q6_K)
    return p / 16 * 128 + p % 16 * 4 + 64 * half;
  else
    return 8 * p + 4 * half;
}

/// load() reads piece p of the row; values() gives its weights divided by the factor that it returns.
template <DType kType>
struct Piece {  // formats that are rare: by load8
  static constexpr int kLoads = 4;
  float w[8];
  __device__ void load(const uint8_t* row, int p) { load8<kType>(row, p, w); }
  __device__ float values(float* out) const {
#pragma unroll
    for (int k = 0; k < 8; ++k) out[k] = w[k];
    return 1;
  }
};

template <>
struct Piece<DType::F32> {
  static constexpr int kLoads = 2;
  uint4 a, b;
  __device__ void load(const uint8_t* row, int p) {
    a = load_once(row + 32 * p), b = load_once(row + 32 * p + 16);
  }
  __device__ float values(float* out) const {
    const uint32_t words[8] = {a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w};
#pragma unroll
    for (int k = 0; k < 8; ++k) out[k] = __uint_as_float(words[k]);
    return 1;
  }
};

template <>
struct Piece<DType::BF16> {
  static constexpr int kLoads = 1;
  uint4 raw;
  __device__ void load(const uint8_t* row, int p) { raw = load_once(row + 16 * p); }
  __device__ float values(float* out) const {
    const uint32_t words[4] = {raw.x, raw.y, raw.z, raw.w};
#pragma unroll
    for (int k = 0; k < 4; ++k) out[2 * k] = low_bf16(words[k]), out[2 * k + 1] = high_bf16(words[k]);
    return 1;
  }
};

template <>
struct Piece<DType::F16> {
  static constexpr int kLoads = 1;
  uint4 raw;
  __device__ void load(const uint8_t* row, int p) { raw = load_once(row + 16 * p); }
  __device__ float values(float* out) const {
    const uint32_t words[4] = {raw.x, raw.y, raw.z, raw.w};
#pragma unroll
    for (int k = 0; k < 4; ++k)
      out[2 * k] = half_of(words[k] & 0xffffu), out[2 * k + 1] = half_of(words[k] >> 16);
    return 1;
  }
};

template <>
struct Piece<DType::Q8_0> {
  static constexpr int kLoads = 1;
  UnalignedWords<2> quants;
  uint16_t d;
  __device__ void load(const uint8_t* row, int p) {
    const uint8_t* block = row + p / 4 * 34;
    quants.load(block + 2 + p % 4 * 8);
    d = load_short(block);
  }
  __device__ float values(float* out) const {
#pragma unroll
    for (int i = 0; i < 2; ++i) floats_of_bytes(quants.word(i) ^ 0x80808080u, 128, out + 4 * i);
    return half_of(d);
  }
};

template <>
struct Piece<DType::Q4_0> {
  static constexpr int kLoads = 1;
  UnalignedWords<1> quants;
  uint16_t d;
  __device__ void load(const uint8_t* row, int p) {
    const uint8_t* block = row + p / 4 * 18;
    quants.load(block + 2 + p % 4 * 4);
    d = load_short(block);
  }
  __device__ float values(float* out) const {
    uint32_t word = quants.word(0);
    floats_of_bytes(word & kNibbles, 8, out);
    floats_of_bytes(word >> 4 & kNibbles, 8, out + 4);
    return half_of(d);
  }
};

template <>
struct Piece<DType::Q4_1> {
  static constexpr int kLoads = 1;
  uint32_t head, quants;
  __device__ void load(const uint8_t* row, int p) {
    const uint8_t* block = row + p / 4 * 20;
    quants = load_word(block + 4 + p % 4 * 4);
    head = load_word(block);
  }
  __device__ float values(float* out) const {
    float d = half_of(head & 0xffffu), m = half_of(head >> 16);
    floats_of_bytes(quants & kNibbles, 0, out);
    floats_of_bytes(quants >> 4 & kNibbles, 0, out + 4);
#pragma unroll
    for (int k = 0; k < 8; ++k) out[k] = fmaf(d, out[k], m);
    return 1;
  }
};

/// Q4_K and Q5_K: d, minimum and the twelve bytes of scales are the first 16 bytes of a block. Piece p of a
/// block holds weights of the groups 2 (p / 8) and 2 (p / 8) + 1.
template <bool kFifth>
struct PieceOfK {
  static constexpr int kLoads = 2;
  uint4 head;
  uint32_t quants, high, pair;

  __device__ void load(const uint8_t* row, int p) {
    const uint8_t* block = row + p / 32 * (kFifth ? 176 : 144);
    int at = p % 32;
    quants = load_word(block + (kFifth ? 48 : 16) + 4 * at);
    high = kFifth ? load_word(block + 16 + at % 8 * 4) : 0;
    head = load_words(block);
    pair = static_cast<uint32_t>(at / 8);
  }
  __device__ float values(float* out) const {
    // Bytes 2 pair and 2 pair + 1 of each four bytes of the scales; see scale_min of the specification.
    uint32_t at = pair % 2 * 16;
    uint32_t low = head.y >> at, middle = head.z >> at, top = head.w >> at;
    uint32_t scales = pair < 2 ? low & 0x3f3fu : (top & 0x0f0fu) | (low >> 2 & 0x3030u);
    uint32_t minima = pair < 2 ? middle & 0x3f3fu : (top >> 4 & 0x0f0fu) | (middle >> 2 & 0x3030u);
    float d = half_of(head.x & 0xffffu), dmin = half_of(head.x >> 16);
#pragma unroll
    for (uint32_t half = 0; half < 2; ++half) {
      uint32_t word = quants >> 4 * half & kNibbles;
      if (kFifth) word |= (high >> (2 * pair + half) & 0x01010101u) << 4;
      float* w = out + 4 * half;
      floats_of_bytes(word, 0, w);
      float scale = d * static_cast<float>(scales >> 8 * half & 255u);
      float m = dmin * static_cast<float>(minima >> 8 * half & 255u);
#pragma unroll
      for (int k = 0; k < 4; ++k) w[k] = fmaf(scale, w[k], -m);
    }
    return 1;
  }
};
template <>
struct Piece<DType::Q4_K> : PieceOfK<false> {};
template <>
struct Piece<DType::Q5_K> : PieceOfK<true> {};

/// Piece p of a half block (16 pieces of 128 weights) holds weights of the groups p / 8 and p / 8 + 2.
template <>
struct Piece<DType::Q6_K> {
  static constexpr int kLoads = 2;
  UnalignedWords<1> low, high;
  uint16_t scales[2], d;  // each scale beside a byte that is not wanted
  int at;

  __device__ void load(const uint8_t* row, int p) {
    const uint8_t* block = row + p / 32 * 210;
    at = p % 32;
    low.load(block + 4 * at);
    high.load(block + 128 + at / 16 * 32 + at % 8 * 4);
    d = load_short(block + 208);
    const uint8_t* scale = block + 192 + at / 16 * 8 + at % 16 / 8 * 2;
    scales[0] = load_short(scale), scales[1] = load_short(scale + 4);
  }
  __device__ float values(float* out) const {
    uint32_t group = static_cast<uint32_t>(at % 16 / 8), nibbles = low.word(0), bits = high.word(0);
#pragma unroll
    for (uint32_t half = 0; half < 2; ++half) {
      uint32_t word = nibbles >> 4 * half & kNibbles;
      word |= (bits >> (2 * group + 4 * half) & 0x03030303u) << 4;
      float* w = out + 4 * half;
      floats_of_bytes(word, 32, w);
      auto scale = static_cast<int8_t>(scales[half] >> (at % 8 / 4 * 8) & 255);
#pragma unroll
      for (int k = 0; k < 4; ++k) w[k] *= static_cast<float>(scale);
    }
    return half_of(d);
  }
};

}  // namespace longspan
