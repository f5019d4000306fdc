// Attention for AVX2 with FMA and F16C, in F32: packed words are floats.
#include <immintrin.h>

#include <cassert>

#include "kernels/cpu/attention_backward_internal.h"
#include "kernels/cpu/attention_internal.h"

namespace longspan {

namespace {

#include "kernels/cpu/attention_avx2.inc"

/// Lane i is the sum of the lanes of v[i].
[[gnu::always_inline]] inline Vec lane_sums(const Vec* v) {
  Vec a = _mm256_hadd_ps(_mm256_hadd_ps(v[0], v[1]), _mm256_hadd_ps(v[2], v[3]));
  Vec b = _mm256_hadd_ps(_mm256_hadd_ps(v[4], v[5]), _mm256_hadd_ps(v[6], v[7]));
  return add(_mm256_permute2f128_ps(a, b, 0x20), _mm256_permute2f128_ps(a, b, 0x31));
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

void prefill_avx2(const AttentionJob& job, int64_t kv_head, int64_t begin, int64_t end, float* scratch) {
  prefill_block(job, kv_head, begin, end, scratch);
}

void decode_avx2(const AttentionJob& job, int64_t tokens, int64_t kv_head, int64_t begin, int64_t end,
                 float* partial, float* room) {
  decode_any(job, tokens, kv_head, begin, end, partial, room);
}

const BackwardRoutines kBackwardAvx2 = {backward_delta, backward_pair};

}  // namespace longspan
