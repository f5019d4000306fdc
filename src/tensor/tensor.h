// Tensor: a non-owning view, passed by value. Sizes are outermost first; the innermost dimension is
// contiguous; rows (everything but the innermost dimension) are row_stride bytes apart.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/dtype.h"

namespace longspan {

enum class Device : uint8_t { Cpu, Cuda };

struct Tensor {
  void* data = nullptr;
  DType dtype = DType::F32;
  int dims = 0;
  int64_t size[4] = {0, 0, 0, 0};
  int64_t row_stride = 0;  // bytes from one row to the next
  Device device = Device::Cpu;

  explicit operator bool() const { return data != nullptr; }
  int64_t cols() const { return size[dims - 1]; }
  int64_t rows() const {
    int64_t n = 1;
    for (int i = 0; i + 1 < dims; ++i) n *= size[i];
    return n;
  }
  int64_t bytes() const { return rows() * row_stride; }
  template <typename T = float>
  T* row(int64_t i) const {
    return reinterpret_cast<T*>(static_cast<std::byte*>(data) + i * row_stride);
  }
  /// Rows [begin, begin + count) as a matrix.
  Tensor slice(int64_t begin, int64_t count) const;
};

/// A contiguous view of `data`.
Tensor vector_view(void* data, DType dtype, int64_t n);
Tensor matrix_view(void* data, DType dtype, int64_t rows, int64_t cols);

}  // namespace longspan
