#include "kernels/cache_codes.h"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "base/threads.h"
#include "kernels/host_attention.h"

namespace longspan {

namespace {

struct Token {
  uint8_t* codes;
  uint16_t* scales;
};

Token token_of(std::byte* head, DType dtype, int64_t head_dim, int64_t token) {
  assert(head_dim % kCacheGroup == 0 && (dtype == DType::Q8_0 || dtype == DType::Q4_0));
  int64_t bytes = code_bytes(dtype, head_dim);
  return {reinterpret_cast<uint8_t*>(head) + token * bytes,
          reinterpret_cast<uint16_t*>(head + kPageTokens * bytes) + token * (head_dim / kCacheGroup)};
}

/// The code of x before its offset.
int code_of(float x, float scale, int least, int most) {
  return scale == 0 ? 0
                    : static_cast<int>(std::clamp(std::rint(x / scale), static_cast<float>(least),
                                                  static_cast<float>(most)));
}

}  // namespace

void store_codes(std::byte* head, DType dtype, int64_t head_dim, int64_t token, const float* x) {
  Token to = token_of(head, dtype, head_dim, token);
  for (int64_t g = 0; g < head_dim / kCacheGroup; ++g, x += kCacheGroup) {
    float extreme = 0;
    for (int64_t i = 0; i < kCacheGroup; ++i)
      if (!(std::abs(x[i]) <= std::abs(extreme))) extreme = x[i];
    to.scales[g] = f32_to_f16(dtype == DType::Q8_0 ? std::abs(extreme) / 127.0f : extreme / -8.0f);
    float scale = f16_to_f32(to.scales[g]);
    uint8_t* codes = to.codes + code_bytes(dtype, g * kCacheGroup);
    if (dtype == DType::Q8_0) {
      for (int64_t i = 0; i < kCacheGroup; ++i)
        codes[i] = static_cast<uint8_t>(static_cast<int8_t>(code_of(x[i], scale, -127, 127)));
      continue;
    }
    for (int64_t i = 0; i < kCacheGroup / 2; ++i) {
      const float* low = x + i / 4 * 8 + i % 4;
      codes[i] = static_cast<uint8_t>((code_of(low[0], scale, -8, 7) + 8) |
                                      (code_of(low[4], scale, -8, 7) + 8) << 4);
    }
  }
}

void store_codes(const KvPages& pages, Tensor x, const Sequences& sequences) {
  int64_t head_bytes = dtype_bytes(pages.dtype, kPageTokens * pages.head_dim);
  for (int64_t s = 0; s < sequences.count; ++s) {
    SequenceRows rows = sequence_rows(sequences, s);
    std::vector<void*> addresses = page_addresses(pages, s, rows.past + rows.tokens);
    parallel_for(rows.tokens, [&](int64_t t) {
      int64_t at = rows.past + t;
      auto* head = static_cast<std::byte*>(addresses[static_cast<size_t>(at / kPageTokens)]);
      for (int64_t h = 0; h < pages.heads; ++h, head += head_bytes)
        store_codes(head, pages.dtype, pages.head_dim, at % kPageTokens,
                    x.row(rows.first + t) + h * pages.head_dim);
    });
  }
}

float load_code(const std::byte* head, DType dtype, int64_t head_dim, int64_t token, int64_t i) {
  Token from = token_of(const_cast<std::byte*>(head), dtype, head_dim, token);
  int code = dtype == DType::Q8_0 ? static_cast<int8_t>(from.codes[i])
                                  : (from.codes[i / 8 * 4 + i % 4] >> (i % 8 / 4 * 4) & 15) - 8;
  return f16_to_f32(from.scales[i / kCacheGroup]) * static_cast<float>(code);
}

void load_codes(float* x, const std::byte* head, DType dtype, int64_t head_dim, int64_t token) {
  for (int64_t i = 0; i < head_dim; ++i) x[i] = load_code(head, dtype, head_dim, token, i);
}

}  // namespace longspan
