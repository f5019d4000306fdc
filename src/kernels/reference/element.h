// One element of a tensor of activations as F32: what the plain loops read and write.
#pragma once

#include <cassert>
#include <cmath>
#include <cstdint>

#include "tensor/tensor.h"

namespace longspan {

/// x F32, BF16 or F16.
inline float load(const Tensor& x, int64_t row, int64_t i) {
  switch (x.dtype) {
    case DType::F32:
      return x.row<float>(row)[i];
    case DType::BF16:
      return bf16_to_f32(x.row<uint16_t>(row)[i]);
    case DType::F16:
      return f16_to_f32(x.row<uint16_t>(row)[i]);
    default:
      assert(!"a type of activations");
      return NAN;
  }
}

inline void store(const Tensor& x, int64_t row, int64_t i, float value) {
  switch (x.dtype) {
    case DType::F32:
      x.row<float>(row)[i] = value;
      return;
    case DType::BF16:
      x.row<uint16_t>(row)[i] = f32_to_bf16(value);
      return;
    case DType::F16:
      x.row<uint16_t>(row)[i] = f32_to_f16(value);
      return;
    default:
      assert(!"a type of activations");
  }
}

}  // namespace longspan
