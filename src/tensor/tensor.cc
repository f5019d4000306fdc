#include "tensor/tensor.h"

namespace longspan {

Tensor Tensor::slice(int64_t begin, int64_t count) const {
  assert(begin >= 0 && begin + count <= rows());
  Tensor t = *this;
  t.data = static_cast<std::byte*>(data) + begin * row_stride;
  t.dims = 2;
  t.size[0] = count;
  t.size[1] = cols();
  return t;
}

Tensor Tensor::columns(int64_t begin, int64_t count) const {
  assert(begin >= 0 && begin + count <= cols());
  Tensor t = *this;
  t.data = static_cast<std::byte*>(data) + dtype_bytes(dtype, begin);
  t.size[dims - 1] = count;
  return t;
}

Tensor Tensor::viewed(DType as, int64_t rows, int64_t cols) const {
  Tensor t = host_matrix(data, as, rows, cols);
  assert(t.bytes() <= bytes());
  t.device = device;
  return t;
}

Tensor Tensor::viewed(DType as, int64_t n) const {
  Tensor t = host_vector(data, as, n);
  assert(t.bytes() <= bytes());
  t.device = device;
  return t;
}

Tensor host_vector(void* data, DType dtype, int64_t n) {
  Tensor t;
  t.data = data, t.dtype = dtype, t.dims = 1, t.size[0] = n, t.row_stride = dtype_bytes(dtype, n);
  return t;
}

Tensor host_matrix(void* data, DType dtype, int64_t rows, int64_t cols) {
  Tensor t;
  t.data = data, t.dtype = dtype, t.dims = 2, t.size[0] = rows, t.size[1] = cols;
  t.row_stride = dtype_bytes(dtype, cols);
  return t;
}

}  // namespace longspan
