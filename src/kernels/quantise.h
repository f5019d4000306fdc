// Quantising weights to the block formats of GGUF, for files that are written once. Each block is fitted by
// weighted least squares over a list of candidate steps, as llama.cpp's k-quants are (ggml's quants.c; no
// importance matrix), so large weights, which matter most to a product, are met best.
#pragma once

#include <cstdint>

#include "tensor/dtype.h"

namespace longspan {

/// n floats (a multiple of the block) as `dtype`: F16 and BF16 rounded to nearest, quantised types fitted
/// block by block; F32 is copied. False when a value is too large for the type or for its F16 scale; then
/// the output is incomplete.
bool quantise(void* out, const float* in, DType dtype, int64_t n);

/// Whether quantise can write the type: all of dtype.h but I32 and F64.
bool can_quantise(DType dtype);

}  // namespace longspan
