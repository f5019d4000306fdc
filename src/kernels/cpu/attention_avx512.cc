// Attention for AVX-512 in F32: packed words are floats.
// GCC 12 takes the undefined operands inside its own intrinsics for mistakes (its bug 105593).
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>

#include <cassert>

#include "kernels/cpu/attention_backward_internal.h"
#include "kernels/cpu/attention_internal.h"

namespace longspan {

namespace {

#include "kernels/cpu/attention_avx512.inc"

/// Lane i is the sum of the lanes of v[i].
[[gnu::always_inline]] inline Vec lane_sums(const Vec* v) {
  auto quarter = [](const Vec* x) {  // four vectors to one: lane 4 i + j is quarter i of the sum of x[j]
    Vec a = add(_mm512_unpacklo_ps(x[0], x[1]), _mm512_unpackhi_ps(x[0], x[1]));
    Vec b = add(_mm512_unpacklo_ps(x[2], x[3]), _mm512_unpackhi_ps(x[2], x[3]));
    __m512d c = _mm512_castps_pd(a), d = _mm512_castps_pd(b);
    return add(_mm512_castpd_ps(_mm512_unpacklo_pd(c, d)), _mm512_castpd_ps(_mm512_unpackhi_pd(c, d)));
  };
  auto halves = [](Vec a, Vec b) {
    return add(_mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(a, b, 0xdd));
  };
  return halves(halves(quarter(v), quarter(v + 4)), halves(quarter(v + 8), quarter(v + 12)));
}

#include "kernels/cpu/attention_bare_words.inc"
#include "kernels/cpu/micro_kernel.inc"
#include "kernels/cpu/steps.inc"
// (depends on the above)
#include "kernels/cpu/attention_common.inc"
#include "kernels/cpu/attention_decode.inc"
#include "kernels/cpu/attention_prefill.inc"
// (depends on the above)
#include "kernels/cpu/attention_backward.inc"

}  // namespace

void prefill_avx512(const AttentionJob& job, int64_t kv_head, int64_t begin, int64_t end, float* scratch) {
  prefill_block(job, kv_head, begin, end, scratch);
}

void decode_avx512(const AttentionJob& job, int64_t tokens, int64_t kv_head, int64_t begin, int64_t end,
                   float* partial, float* room) {
  decode_any(job, tokens, kv_head, begin, end, partial, room);
}

const BackwardRoutines kBackwardAvx512 = {backward_delta, backward_pair};

}  // namespace longspan
