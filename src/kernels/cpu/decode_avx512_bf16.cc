// Rows of weights as BF16, rounded by the processor's own instruction: three times as fast as decode_rows of
// kernels_avx512.cc, but numbers below 2^-126, which no weight needs, become 0.
#pragma GCC diagnostic ignored "-Wunused-function"  // words that only products need
#include <immintrin.h>

#include <cassert>

#include "kernels/cpu/cpu.h"

namespace longspan {

namespace {

// In this order: each uses those before it.
// clang-format off
#include "kernels/cpu/vector_avx512.inc"
#include "kernels/cpu/formats.inc"
// clang-format on

/// Weights 32 * group .. 32 * group + 31 of a block.
template <class F>
__m512i words(F, const uint8_t* block, int group) {
  V v[kGroup];
  F::decode(block, group, v);
  return (__m512i)_mm512_cvtne2ps_pbh(v[1], v[0]);
}

/// q d + m of 32 numbers whose low four bits are q: the 16 possible results are made first and looked up.
__m512i look_up(__m512i q, V d, V m) {
  V table = fma(_mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15), d, m);
  return _mm512_permutexvar_epi16(q, (__m512i)_mm512_cvtne2ps_pbh(table, table));
}
/// The low nibbles of 16 bytes, then the high ones.
__m512i nibbles(const uint8_t* p) {
  __m256i low = _mm256_cvtepu8_epi16(bytes16(p));
  return _mm512_inserti64x4(_mm512_castsi256_si512(low), _mm256_srli_epi16(low, 4), 1);
}
__m512i words(Q4_0, const uint8_t* block, int) {
  V d = fill_half(block);
  return look_up(nibbles(block + 2), d, d * fill(-8));
}
__m512i words(Q4_1, const uint8_t* block, int) {
  V d, m;
  fill_halves(block, &d, &m);
  return look_up(nibbles(block + 4), d, m);
}
__m512i words(Q4_K, const uint8_t* block, int group) {
  KScale s(block, group);
  __m512i q = _mm512_cvtepu8_epi16(bytes32(block + 16 + group / 2 * 32));
  return look_up(group % 2 ? _mm512_srli_epi16(q, 4) : q, s.d, s.m);
}

}  // namespace

void decode_rows_bf16(void* out, DType out_dtype, const Tensor& weight, int64_t first, int64_t count) {
  assert(out_dtype == DType::BF16 && weight.cols() % 32 == 0);
  with_format(weight.dtype, [&](auto format) {
    using F = decltype(format);
    auto* to = static_cast<uint8_t*>(out);
    for (int64_t j = first; j < first + count; ++j) {
      const auto* block = weight.row<uint8_t>(j);
      for (int64_t b = 0; b < weight.cols() / F::kElements; ++b, block += F::kBytes)
        for (int g = 0; g < F::kElements / 32; ++g, to += 64)
          _mm512_storeu_si512(to, words(format, block, g));
    }
  });
}

}  // namespace longspan
