// Caches of random keys or values. What lies beyond the last key is NaN: whoever lets it take part is found
// out.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <vector>

#include "kernels/cache_codes.h"
#include "kernels/implementations.h"

namespace longspan {

/// One layer's keys or values, whose pages lie in the pool in reverse order with room between them.
struct Cache {
  OwnedTensor rows;  // the numbers that are in it, [total, heads * d] F32
  std::shared_ptr<std::vector<std::byte>> memory;
  OwnedTensor table;
  KvPages view;

  Cache(DType dtype, int64_t total, int64_t heads, int64_t d, Random& random) {
    total = std::max<int64_t>(total, 0);
    int64_t pages = (total + kPageTokens - 1) / kPageTokens;
    int64_t stride = dtype_bytes(dtype, heads * kPageTokens * d) + 64;
    memory = std::make_shared<std::vector<std::byte>>(static_cast<size_t>(pages * stride), std::byte{0xff});
    std::vector<int32_t> ids;
    for (int64_t i = pages; i-- > 0;) ids.push_back(static_cast<int32_t>(i));
    table = int_vector(ids);
    view = {memory->data(), stride, table, dtype, heads, d};
    rows = normal_matrix(random, DType::F32, total, heads * d);
    for (int64_t n = 0; n < total; ++n)
      for (int64_t i = 0; i < heads * d; ++i) {
        float& x = rows.row(n)[i];
        if (dtype == DType::BF16) x = bf16_to_f32(f32_to_bf16(x));
        if (dtype == DType::F16) x = f16_to_f32(f32_to_f16(x));
      }
    reference().store_kv(view, rows, OwnedSequences({static_cast<int32_t>(total)}, {0}));
    for (int64_t n = 0; n < total && is_quantised(dtype); ++n)
      for (int64_t h = 0; h < heads; ++h)
        load_codes(rows.row(n) + h * d,
                   static_cast<const std::byte*>(page(n)) + h * dtype_bytes(dtype, kPageTokens * d), dtype, d,
                   n % kPageTokens);
  }

  /// The page that holds token n.
  void* page(int64_t n) const { return view.memory + table.row<int32_t>(0)[n / kPageTokens] * view.stride; }
};

}  // namespace longspan
