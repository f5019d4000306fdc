// Products of many rows with the weight as stored, for AVX-512 in F32. GCC 12 takes the undefined operands
// inside its own intrinsics for mistakes (its bug 105593).
#pragma GCC diagnostic ignored "-Wunused-function"  // words that only attention needs
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#include <omp.h>

#include <cassert>

#include "kernels/cpu/cpu.h"

namespace longspan {

namespace {

// In this order: each uses those before it.
// clang-format off
#include "kernels/cpu/attention_avx512.inc"
#include "kernels/cpu/attention_bare_words.inc"
#include "kernels/cpu/steps.inc"
#include "kernels/cpu/micro_kernel.inc"
constexpr int64_t kPanelStep = 48, kPanelRows = 96, kPanelDepth = 512, kPanelTokens = 64;
#include "kernels/cpu/panel_linear.inc"
#include "kernels/cpu/panel_words.inc"
// clang-format on

}  // namespace

void panel_linear_avx512(Tensor out, Tensor x, const Linear& w, bool accumulate, DecodeRows decode) {
  if (x.dtype == DType::BF16)
    panel_linear<Words<BF16>>({out, x, w, accumulate, decode});
  else
    panel_linear<Words<float>>({out, x, w, accumulate, decode});
}

}  // namespace longspan
