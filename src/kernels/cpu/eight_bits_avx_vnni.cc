// Products of many rows in 8 bits for AVX2 with VNNI.
#pragma GCC diagnostic ignored "-Wunused-function"  // words that only attention needs
#include <immintrin.h>
#include <omp.h>

#include <cassert>

#include "kernels/cpu/cpu.h"
#include "kernels/cpu/weight_codes.h"

namespace longspan {

namespace {

// In this order: each uses those before it.
// clang-format off
#include "kernels/cpu/attention_avx2.inc"
#include "kernels/cpu/attention_bare_words.inc"
#include "kernels/cpu/steps.inc"
// clang-format on

using Int = __m256i;
Int splat_int(int32_t i) { return _mm256_set1_epi32(i); }
Vec to_float(Int i) { return _mm256_cvtepi32_ps(i); }
Int load_bytes(const uint8_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
void store_codes(uint8_t* p, Vec v) {
  Int i = _mm256_add_epi32(_mm256_cvtps_epi32(v), splat_int(128));
  __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(i), _mm256_extracti128_si256(i, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packus_epi16(words, words));
}
Int dot(Int sum, Int x, Int weight) { return _mm256_dpbusd_avx_epi32(sum, x, weight); }

struct TileSession {
  TileSession() {}
};

constexpr int kRows = 3;
constexpr int64_t kPanelStep = 24, kPanelRows = 96, kPanelDepth = 512, kPanelTokens = 16;
constexpr bool kSigned8 = false;
// clang-format off
#include "kernels/cpu/eight_bits_dots.inc"
#include "kernels/cpu/panel_linear.inc"
#include "kernels/cpu/eight_bits.inc"
// clang-format on

}  // namespace

void eight_bit_linear_avx_vnni(Tensor out, Tensor x, const Linear& w, bool accumulate) {
  eight_bit_linear(out, x, w, accumulate);
}

}  // namespace longspan
