// Random tensors for the tests of kernels: memory that lives with the test and whose rows may be strided.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "base/random.h"
#include "tensor/tensor.h"

namespace longspan {

struct OwnedTensor : Tensor {
  std::shared_ptr<std::vector<std::byte>> memory;
};

/// Memory for a matrix whose rows are `gap` bytes further apart than they need.
inline OwnedTensor make_matrix(DType dtype, int64_t rows, int64_t cols, int64_t gap = 0) {
  OwnedTensor t;
  int64_t stride = dtype_bytes(dtype, cols) + gap;
  t.memory = std::make_shared<std::vector<std::byte>>(static_cast<size_t>(rows * stride), std::byte{0x55});
  static_cast<Tensor&>(t) = host_matrix(t.memory->data(), dtype, rows, cols);
  t.row_stride = stride;
  return t;
}

/// The same elements in memory of their own.
inline OwnedTensor copied(const OwnedTensor& x) {
  OwnedTensor y = x;
  y.memory = std::make_shared<std::vector<std::byte>>(*x.memory);
  y.data = y.memory->data();
  return y;
}

template <class T>
OwnedTensor owned_vector(DType dtype, const std::vector<T>& values) {
  auto n = static_cast<int64_t>(values.size());
  OwnedTensor t = make_matrix(dtype, 1, n);
  std::copy_n(reinterpret_cast<const std::byte*>(values.data()), values.size() * sizeof(T),
              t.memory->begin());
  static_cast<Tensor&>(t) = host_vector(t.data, dtype, n);
  return t;
}
/// A view; null where there are no elements.
template <class T>
Tensor view_of(DType dtype, const std::vector<T>& values) {
  return values.empty() ? Tensor{} : host_vector(const_cast<T*>(values.data()), dtype, std::ssize(values));
}
inline OwnedTensor int_vector(const std::vector<int32_t>& values) { return owned_vector(DType::I32, values); }

inline void put(Tensor x, int64_t row, int64_t i, float value) {
  switch (x.dtype) {
    case DType::BF16:
      x.row<uint16_t>(row)[i] = f32_to_bf16(value);
      break;
    case DType::F16:
      x.row<uint16_t>(row)[i] = f32_to_f16(value);
      break;
    default:
      x.row(row)[i] = value;
  }
}

/// Standard normal numbers times `scale`.
inline OwnedTensor normal_matrix(Random& random, DType dtype, int64_t rows, int64_t cols, int64_t gap = 0,
                                 float scale = 1) {
  OwnedTensor t = make_matrix(dtype, rows, cols, gap);
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t i = 0; i < cols; ++i) put(t, r, i, scale * static_cast<float>(random.normal()));
  return t;
}

/// A weight of any dtype: quantised blocks are random bytes, but for their half-precision scales.
inline OwnedTensor random_weight(Random& random, DType dtype, int64_t rows, int64_t cols) {
  if (!is_quantised(dtype)) return normal_matrix(random, dtype, rows, cols, 0, 0.1f);
  OwnedTensor t = make_matrix(dtype, rows, cols);
  for (std::byte& b : *t.memory) b = static_cast<std::byte>(random.below(256));
  const DTypeInfo& info = dtype_info(dtype);
  bool two = dtype == DType::Q4_1 || dtype == DType::Q5_1 || dtype == DType::Q4_K || dtype == DType::Q5_K;
  size_t at = dtype == DType::Q6_K ? 208 : 0;
  for (size_t b = 0; b < t.memory->size(); b += static_cast<size_t>(info.block_bytes))
    for (size_t k = 0; k < (two ? 2u : 1u); ++k) {
      uint16_t scale = f32_to_f16(0.01f * static_cast<float>(random.normal()));
      std::memcpy(t.memory->data() + b + at + 2 * k, &scale, 2);
    }
  return t;
}

inline float get(const Tensor& x, int64_t row, int64_t i) {
  if (x.dtype == DType::BF16) return bf16_to_f32(x.row<uint16_t>(row)[i]);
  if (x.dtype == DType::F16) return f16_to_f32(x.row<uint16_t>(row)[i]);
  return x.row(row)[i];
}

}  // namespace longspan
