// Attention for AMX (Intel's tiles, from Sapphire Rapids on): the prefill of attention_avx512_bf16.cc with
// its two products on tiles, 16 times as many multiply-adds a cycle; the softmax between them takes most of
// the time. GCC 12 takes the undefined operands inside its own intrinsics for mistakes (its bug 105593).
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>

#include <cassert>

#include "kernels/cpu/attention_internal.h"

namespace longspan {

namespace {

// In this order: each uses those before it.
// clang-format off
#include "kernels/cpu/attention_avx512.inc"
#include "kernels/cpu/attention_bf16_words.inc"
#include "kernels/cpu/steps.inc"
#include "kernels/cpu/amx_tiles.inc"
#include "kernels/cpu/attention_common.inc"
#include "kernels/cpu/attention_prefill.inc"
// clang-format on

}  // namespace

void prefill_amx(const AttentionJob& job, int64_t kv_head, int64_t begin, int64_t end, float* scratch) {
  TileSession session;
  prefill_block(job, kv_head, begin, end, scratch);
}

}  // namespace longspan
