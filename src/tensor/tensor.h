// Tensor: a non-owning view, passed by value. Sizes are outermost first; the innermost dimension is
// contiguous; rows (everything but the innermost dimension) are row_stride bytes apart. A tensor knows whose
// memory it views; row() is for host memory only.
#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>

#include "tensor/dtype.h"

namespace longspan {

class Device;

struct Tensor {
  void* data = nullptr;
  DType dtype = DType::F32;
  int dims = 0;
  int64_t size[4] = {0, 0, 0, 0};
  int64_t row_stride = 0;    // bytes from one row to the next
  Device* device = nullptr;  // whose memory it is; null: the host's

  explicit operator bool() const { return data != nullptr; }
  int64_t cols() const { return size[dims - 1]; }
  int64_t rows() const {
    int64_t n = 1;
    for (int i = 0; i + 1 < dims; ++i) n *= size[i];
    return n;
  }
  int64_t bytes() const { return rows() * row_stride; }
  /// Row i of a tensor in the host's memory.
  template <typename T = float>
  T* row(int64_t i) const {
    assert(!device);
    return reinterpret_cast<T*>(static_cast<std::byte*>(data) + i * row_stride);
  }
  /// Rows [begin, begin + count) as a matrix.
  Tensor slice(int64_t begin, int64_t count) const;
  /// Elements [begin, begin + count) of each row.
  Tensor columns(int64_t begin, int64_t count) const;
  /// The same memory from its first byte, as a contiguous matrix of another type or shape that needs no more
  /// bytes.
  Tensor viewed(DType as, int64_t rows, int64_t cols) const;
  /// The same, as a vector.
  Tensor viewed(DType as, int64_t n) const;
};

/// A contiguous view of memory of the host.
Tensor host_vector(void* data, DType dtype, int64_t n);
Tensor host_matrix(void* data, DType dtype, int64_t rows, int64_t cols);

}  // namespace longspan
