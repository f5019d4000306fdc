// Attention for AVX2 with FMA and F16C, in F32: packed words are floats.
#include <immintrin.h>

#include <cassert>

#include "kernels/cpu/attention_backward_internal.h"
#include "kernels/cpu/attention_internal.h"

namespace longspan {

namespace {

using Vec = __m256;
constexpr int kLanes = 8;
// Of the micro-kernel: 6 x 2 sums, 2 vectors and a broadcast fill the 16 registers
constexpr int kVectors = 2;

enum class F16 : uint16_t {};
enum class BF16 : uint16_t {};

Vec zero() { return _mm256_setzero_ps(); }
Vec splat(float x) { return _mm256_set1_ps(x); }
Vec load(const float* p) { return _mm256_loadu_ps(p); }
Vec load(const F16* p) { return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))); }
Vec load(const BF16* p) {
  __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
}
void store(float* p, Vec v) { _mm256_storeu_ps(p, v); }
/// Rounds to nearest even; NaN does not occur.
void store(BF16* p, Vec v) {
  __m256i bits = _mm256_castps_si256(v);
  __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  bits = _mm256_srli_epi32(_mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff))), 16);
  __m128i half = _mm_packus_epi32(_mm256_castsi256_si128(bits), _mm256_extracti128_si256(bits, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), half);
}
Vec add(Vec a, Vec b) { return _mm256_add_ps(a, b); }
Vec sub(Vec a, Vec b) { return _mm256_sub_ps(a, b); }
Vec mul(Vec a, Vec b) { return _mm256_mul_ps(a, b); }
Vec max(Vec a, Vec b) { return _mm256_max_ps(a, b); }
Vec fma(Vec a, Vec b, Vec c) { return _mm256_fmadd_ps(a, b, c); }
float first_lane(Vec v) { return _mm256_cvtss_f32(v); }
float reduce_max(Vec v) {
  v = max(v, _mm256_permute2f128_ps(v, v, 1));
  v = max(v, _mm256_permute_ps(v, 0x4e));
  return first_lane(max(v, _mm256_permute_ps(v, 0xb1)));
}
float reduce_add(Vec v) {
  v = add(v, _mm256_permute2f128_ps(v, v, 1));
  v = add(v, _mm256_permute_ps(v, 0x4e));
  return first_lane(add(v, _mm256_permute_ps(v, 0xb1)));
}

/// Lanes first .. last - 1 of v (clamped to what there is), `other` elsewhere.
Vec keep(Vec v, int64_t first, int64_t last, Vec other) {
  __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  __m256i outside = _mm256_or_si256(_mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(first)), lane),
                                    _mm256_cmpgt_epi32(lane, _mm256_set1_epi32(static_cast<int>(last) - 1)));
  return _mm256_blendv_ps(v, other, _mm256_castsi256_ps(outside));
}

/// fraction = t - floor(t); times_power(p, t) = p 2^floor(t) for t <= 0, 0 where that would be below the
/// normal range.
Vec fraction(Vec t) { return sub(t, _mm256_floor_ps(t)); }
Vec times_power(Vec p, Vec t) {
  __m256i power = _mm256_cvtps_epi32(_mm256_floor_ps(max(t, splat(-127.0f))));
  return mul(p, _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(power, _mm256_set1_epi32(127)), 23)));
}

/// Transposes the square v[row] lane column.
[[gnu::always_inline]] inline void transpose(Vec* v) {
  Vec a[kLanes], b[kLanes];
  for (int i = 0; i < kLanes; i += 2) {
    a[i] = _mm256_unpacklo_ps(v[i], v[i + 1]);
    a[i + 1] = _mm256_unpackhi_ps(v[i], v[i + 1]);
  }
  for (int i = 0; i < kLanes; i += 4)
    for (int j = 0; j < 2; ++j) {
      b[i + 2 * j] = _mm256_shuffle_ps(a[i + j], a[i + 2 + j], 0x44);
      b[i + 2 * j + 1] = _mm256_shuffle_ps(a[i + j], a[i + 2 + j], 0xee);
    }
  for (int i = 0; i < 4; ++i) {
    v[i] = _mm256_permute2f128_ps(b[i], b[i + 4], 0x20);
    v[i + 4] = _mm256_permute2f128_ps(b[i], b[i + 4], 0x31);
  }
}

/// Lane i is the sum of the lanes of v[i].
[[gnu::always_inline]] inline Vec lane_sums(const Vec* v) {
  Vec a = _mm256_hadd_ps(_mm256_hadd_ps(v[0], v[1]), _mm256_hadd_ps(v[2], v[3]));
  Vec b = _mm256_hadd_ps(_mm256_hadd_ps(v[4], v[5]), _mm256_hadd_ps(v[6], v[7]));
  return add(_mm256_permute2f128_ps(a, b, 0x20), _mm256_permute2f128_ps(a, b, 0x31));
}

#include "kernels/cpu/attention_bare_words.inc"
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
