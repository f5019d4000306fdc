// Attention for AVX-512 with BF16 products: packed words are pairs of BF16, multiplied by vdpbf16ps into F32
// sums. Only the prefill: decode waits for memory, so it stays exact. GCC 12 takes the undefined operands
// inside its own intrinsics for mistakes (its bug 105593).
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>

#include <cassert>

#include "kernels/cpu/attention_backward_internal.h"
#include "kernels/cpu/attention_internal.h"

namespace longspan {

namespace {

#include "kernels/cpu/attention_avx512.inc"
#include "kernels/cpu/attention_bf16_words.inc"
#include "kernels/cpu/micro_kernel.inc"
#include "kernels/cpu/steps.inc"
// (depends on the above)
#include "kernels/cpu/attention_common.inc"
#include "kernels/cpu/attention_prefill.inc"
// (depends on the above)
#include "kernels/cpu/attention_backward.inc"

}  // namespace

void prefill_avx512_bf16(const AttentionJob& job, int64_t kv_head, int64_t begin, int64_t end,
                         float* scratch) {
  prefill_block(job, kv_head, begin, end, scratch);
}

const BackwardRoutines kBackwardAvx512Bf16 = {backward_delta, backward_pair};

}  // namespace longspan
