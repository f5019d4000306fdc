#include "kernels/piecewise.h"

#include <cassert>
#include <cstring>

namespace longspan {

namespace {

/// A copy of x [N, K, D] as a cache would hold it.
struct Paged {
  std::vector<std::byte> memory;
  std::vector<void*> pages;
  KvPages view;

  explicit Paged(Tensor x) {
    assert(x.dims == 3 && x.row_stride == dtype_bytes(x.dtype, x.cols()));
    int64_t tokens = x.size[0], heads = x.size[1], d = x.size[2];
    int64_t row = dtype_bytes(x.dtype, d), page = heads * kPageTokens * row;
    memory.resize(static_cast<size_t>((tokens + kPageTokens - 1) / kPageTokens * page));
    for (size_t at = 0; at < memory.size(); at += static_cast<size_t>(page))
      pages.push_back(memory.data() + at);
    for (int64_t n = 0; n < tokens; ++n)
      for (int64_t h = 0; h < heads; ++h)
        std::memcpy(static_cast<std::byte*>(pages[static_cast<size_t>(n / kPageTokens)]) +
                        (h * kPageTokens + n % kPageTokens) * row,
                    x.row<std::byte>(n * heads + h), static_cast<size_t>(row));
    view = {pages, x.dtype, heads, d};
  }
};

/// [M, H, D] as [M, H * D].
Tensor joined(Tensor x) {
  assert(x.dims == 3 && x.row_stride == dtype_bytes(x.dtype, x.cols()));
  return matrix_view(x.data, x.dtype, x.size[0], x.size[1] * x.size[2]);
}

}  // namespace

void piecewise_attention(const Kernels& kernels, Tensor out, Tensor log_sum, Tensor q1, Tensor k1, Tensor q2,
                         Tensor k2, Tensor v, int64_t dist_threshold, bool causal, float scale) {
  Paged near(k1), far(k2), values(v);
  std::vector<AttentionZone> zones = {{0, joined(q1), near.view}, {dist_threshold, joined(q2), far.view}};
  AttentionShape shape{.heads = q1.size[1],
                       .kv_heads = k1.size[1],
                       .head_dim = q1.size[2],
                       .past = k1.size[0] - q1.size[0],
                       .scale = scale,
                       .causal = causal};
  kernels.attention(joined(out), log_sum, zones, values.view, shape);
}

}  // namespace longspan
