// Quantised weights as what products of 8 bits read (eight_bits.inc): signed codes with scales apart.
#pragma once

#include <cstdint>

#include "tensor/tensor.h"

namespace longspan {

/// Rows of a piece of a weight. A weight is scale * code + least, and codes lie around 0: those of 4 bits are
/// -8 .. 7, of 5 bits -16 .. 15, of 6 bits -32 .. 31, and of 8 bits -128 .. 127.
struct WeightCodes {
  int8_t* codes;     // [rows][elements]
  float* scales;     // [rows][elements / group], of 32 weights, 16 in Q6_K
  float* least;      // the same, of types that have one (has_least); null otherwise
  int32_t* offsets;  // [rows][elements / group]: -128 times the sum of the group's codes
};

/// Weights that share a scale.
constexpr int64_t code_group(DType dtype) { return dtype == DType::Q6_K ? 16 : 32; }
/// Whether a type's weights are not symmetric around 0.
constexpr bool has_least(DType dtype) {
  return dtype == DType::Q4_1 || dtype == DType::Q5_1 || dtype == DType::Q4_K || dtype == DType::Q5_K;
}
/// Bits of a code.
constexpr int code_bits(DType dtype) {
  switch (dtype) {
    case DType::Q4_0:
    case DType::Q4_1:
    case DType::Q4_K:
      return 4;
    case DType::Q5_0:
    case DType::Q5_1:
    case DType::Q5_K:
      return 5;
    case DType::Q6_K:
      return 6;
    default:
      return 8;
  }
}

/// Rows first .. first + count - 1 of a quantised weight. For AVX2.
void weight_codes_avx2(const WeightCodes& out, const Tensor& weight, int64_t first, int64_t count);

}  // namespace longspan
