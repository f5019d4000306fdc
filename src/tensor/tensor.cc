#include "tensor/tensor.h"

#include <cassert>

namespace longspan {

Tensor Tensor::slice(int64_t begin, int64_t count) const {
  assert(begin >= 0 && begin + count <= rows());
  Tensor t = *this;
  t.data = row<std::byte>(begin);
  t.dims = 2;
  t.size[0] = count;
  t.size[1] = cols();
  return t;
}

Tensor vector_view(void* data, DType dtype, int64_t n) {
  Tensor t;
  t.data = data, t.dtype = dtype, t.dims = 1, t.size[0] = n, t.row_stride = dtype_bytes(dtype, n);
  return t;
}

Tensor matrix_view(void* data, DType dtype, int64_t rows, int64_t cols) {
  Tensor t;
  t.data = data, t.dtype = dtype, t.dims = 2, t.size[0] = rows, t.size[1] = cols;
  t.row_stride = dtype_bytes(dtype, cols);
  return t;
}

}  // namespace longspan
