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
#include "kernels/cpu/no_tiles.inc"
#include "kernels/cpu/eight_bits_words_avx2.inc"
// clang-format on

Int dot(Int sum, Int x, Int weight) { return _mm256_dpbusd_avx_epi32(sum, x, weight); }

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
