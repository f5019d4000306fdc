// The merge needs no operation of its own: with a and b the log-sums of the two parts, log_prob gives
// ln w = a - ln(e^a + e^b), and the gradient of cross-entropy holds w = e^a / (e^a + e^b).
#include "model/far_attention.h"

#include "tensor/device.h"

namespace longspan {

namespace {

struct Part {
  const char* label;
  Tensor FarAttention::*tensor;
  DType dtype;
  int64_t rows, cols;
};

std::vector<Part> parts(int64_t rows, int64_t heads, int64_t head_dim, DType dtype) {
  using F = FarAttention;
  int64_t width = heads * head_dim, n = rows * heads;
  return {{"far attention", &F::attended, dtype, rows, width},
          {"far attention", &F::log_sum, DType::F32, rows, heads},
          {"far attention", &F::near, DType::F32, rows, width},
          {"far attention", &F::far, DType::F32, rows, width},
          {"far attention", &F::pairs, DType::F32, n, 2},
          {"far attention", &F::share, DType::F32, 1, n},
          {"far attention", &F::zeros, DType::I32, 1, n},
          {"far attention", &F::ones, DType::F32, 1, n},
          {"far attention", &F::loss, DType::F64, 1, 1}};
}

}  // namespace

void make_far_buffers(FarAttention& far, Device& device, Arena& arena, int64_t rows, int64_t heads,
                      int64_t head_dim, DType dtype) {
  for (const Part& p : parts(rows, heads, head_dim, dtype))
    far.*p.tensor = arena.matrix(p.label, p.dtype, p.rows, p.cols);
  device.kernels().fill(far.ones, 1);
}

int64_t far_buffer_bytes(int64_t rows, int64_t heads, int64_t head_dim, DType dtype) {
  int64_t bytes = 0;
  for (const Part& p : parts(rows, heads, head_dim, dtype)) bytes += dtype_bytes(p.dtype, p.rows * p.cols);
  return bytes;
}

void add_far_attention(const Kernels& k, const FarAttention& f, Tensor q, Tensor attended, Tensor log_sum) {
  int64_t rows = attended.rows(), width = attended.cols(), n = rows * log_sum.cols();
  Tensor far_attended = f.attended.slice(0, rows), far_sum = f.log_sum.slice(0, rows);
  k.attention(far_attended, far_sum, std::vector<AttentionZone>{{0, q, f.keys}}, f.values, f.shape);

  Tensor pairs = f.pairs.slice(0, n), share = f.share.viewed(DType::F32, n),
         first = f.zeros.viewed(DType::I32, n), ones = f.ones.viewed(DType::F32, n);
  Tensor sum = log_sum.viewed(DType::F32, n, 1);
  k.convert(pairs.columns(0, 1), sum);
  k.convert(pairs.columns(1, 1), far_sum.viewed(DType::F32, n, 1));
  k.log_prob(share, pairs, first);  // ln of the near part's share
  k.axpby(sum, 1, share.viewed(DType::F32, n, 1), -1);
  k.cross_entropy(f.loss, pairs, first, ones, 1);  // the share minus 1, and the far part's share
  k.convert(share.viewed(DType::F32, n, 1), pairs.columns(1, 1));

  Tensor near = f.near.slice(0, rows), far = f.far.slice(0, rows);
  int64_t head_dim = width / log_sum.cols();
  k.convert(near, attended);
  k.convert(far, far_attended);
  k.axpby(far, 1, near, -1);
  k.scale(far.viewed(DType::F32, n, head_dim), 1, share);
  k.add(near, far);
  k.convert(attended, near);
}

}  // namespace longspan
