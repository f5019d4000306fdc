// Products of many rows in 8 bits for AVX-512 with VNNI.
#pragma GCC diagnostic ignored "-Wunused-function"  // words that only attention needs
// GCC 12 takes the undefined operands inside its own intrinsics for mistakes (its bug 105593).
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#include <omp.h>

#include <cassert>

#include "kernels/cpu/cpu.h"
#include "kernels/cpu/weight_codes.h"

namespace longspan {

namespace {

// In this order: each uses those before it.
// clang-format off
#include "kernels/cpu/attention_avx512.inc"
#include "kernels/cpu/attention_bare_words.inc"
#include "kernels/cpu/steps.inc"
#include "kernels/cpu/no_tiles.inc"
// clang-format on

using Int = __m512i;
Int splat_int(int32_t i) { return _mm512_set1_epi32(i); }
Vec to_float(Int i) { return _mm512_cvtepi32_ps(i); }
Int load_bytes(const uint8_t* p) { return _mm512_loadu_si512(p); }
void store_codes(uint8_t* p, Vec v) {
  Int i = _mm512_add_epi32(_mm512_cvtps_epi32(v), splat_int(128));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtusepi32_epi8(i));
}
Int dot(Int sum, Int x, Int weight) { return _mm512_dpbusd_epi32(sum, x, weight); }

constexpr int kRows = 6;
constexpr int64_t kPanelStep = 48, kPanelRows = 96, kPanelDepth = 512, kPanelTokens = 32;
constexpr bool kSigned8 = false;
// clang-format off
#include "kernels/cpu/eight_bits_dots.inc"
#include "kernels/cpu/panel_linear.inc"
#include "kernels/cpu/eight_bits.inc"
// clang-format on

}  // namespace

void eight_bit_linear_avx512_vnni(Tensor out, Tensor x, const Linear& w, bool accumulate) {
  eight_bit_linear(out, x, w, accumulate);
}

}  // namespace longspan
