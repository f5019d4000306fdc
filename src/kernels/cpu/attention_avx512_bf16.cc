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

constexpr int kPair = 2;
// 2^f on [0, 1), relative error 7.5e-5, a fiftieth of what rounding weights to BF16 costs; highest power
// first (Remez).
constexpr float kExp2[] = {0.07802452264f, 0.2260671554f, 0.6958335405f, 0.9999252186f};
/// v[0] then v[1], rounded.
Vec pack(const Vec* v) { return (Vec)_mm512_cvtne2ps_pbh(v[1], v[0]); }
/// Lane by lane (v[0], v[1]), rounded.
Vec stack(const Vec* v) {
  __m512i order =
      _mm512_setr_epi32(0x100000, 0x110001, 0x120002, 0x130003, 0x140004, 0x150005, 0x160006, 0x170007,
                        0x180008, 0x190009, 0x1a000a, 0x1b000b, 0x1c000c, 0x1d000d, 0x1e000e, 0x1f000f);
  return _mm512_castsi512_ps(_mm512_permutexvar_epi16(order, _mm512_castps_si512(pack(v))));
}
template <class X>
Vec load_words(const X* p) {
  Vec v[2] = {load(p), load(p + kLanes)};
  return pack(v);
}
Vec load_words(const BF16* p) { return _mm512_loadu_ps(p); }
Vec multiply_add(Vec sum, Vec b, Vec a) { return _mm512_dpbf16_ps(sum, (__m512bh)b, (__m512bh)a); }

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
