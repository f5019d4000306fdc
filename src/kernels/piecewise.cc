#include "kernels/piecewise.h"

#include <cassert>
#include <cstring>

namespace longspan {

namespace {

/// A copy of x [N, K, D] as a cache would hold it.
struct Paged {
  std::vector<std::byte> memory;
  std::vector<int32_t> table;
  KvPages view;

  explicit Paged(Tensor x) {
    assert(x.dims == 3 && x.row_stride == dtype_bytes(x.dtype, x.cols()));
    int64_t tokens = x.size[0], heads = x.size[1], d = x.size[2];
    int64_t row = dtype_bytes(x.dtype, d), page = heads * kPageTokens * row;
    memory.resize(static_cast<size_t>((tokens + kPageTokens - 1) / kPageTokens * page));
    for (int64_t n = 0; n < tokens; n += kPageTokens) table.push_back(static_cast<int32_t>(n / kPageTokens));
    for (int64_t n = 0; n < tokens; ++n)
      for (int64_t h = 0; h < heads; ++h)
        std::memcpy(memory.data() + n / kPageTokens * page + (h * kPageTokens + n % kPageTokens) * row,
                    x.row<std::byte>(n * heads + h), static_cast<size_t>(row));
    view = {.memory = memory.data(),
            .stride = page,
            .table = host_matrix(table.data(), DType::I32, 1, static_cast<int64_t>(table.size())),
            .dtype = x.dtype,
            .heads = heads,
            .head_dim = d};
  }
};

/// [M, H, D] as [M, H * D].
Tensor joined(Tensor x) {
  assert(x.dims == 3 && x.row_stride == dtype_bytes(x.dtype, x.cols()));
  return host_matrix(x.data, x.dtype, x.size[0], x.size[1] * x.size[2]);
}

}  // namespace

void piecewise_attention(const Kernels& kernels, Tensor out, Tensor log_sum, Tensor q1, Tensor k1, Tensor q2,
                         Tensor k2, Tensor v, int64_t dist_threshold, bool causal, float scale) {
  Paged near(k1), far(k2), values(v);
  std::vector<AttentionZone> zones = {{0, joined(q1), near.view}, {dist_threshold, joined(q2), far.view}};
  int32_t queries = static_cast<int32_t>(q1.size[0]), past = static_cast<int32_t>(k1.size[0] - q1.size[0]);
  int32_t rows[] = {0, queries};
  AttentionShape shape{.heads = q1.size[1],
                       .kv_heads = k1.size[1],
                       .head_dim = q1.size[2],
                       .sequences = {.count = 1,
                                     .rows = host_vector(rows, DType::I32, 2),
                                     .past = host_vector(&past, DType::I32, 1),
                                     .most_rows = queries,
                                     .most_keys = k1.size[0]},
                       .scale = scale,
                       .causal = causal};
  kernels.attention(joined(out), log_sum, zones, values.view, shape);
}

}  // namespace longspan
