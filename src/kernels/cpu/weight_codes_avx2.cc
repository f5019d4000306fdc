#include "kernels/cpu/weight_codes.h"

#pragma GCC diagnostic ignored "-Wunused-function"  // what only decoding to floats needs
#include <immintrin.h>

#include <cassert>

#include "kernels/cpu/cpu.h"

namespace longspan {

namespace {

// In this order: each uses those before it.
// clang-format off
#include "kernels/cpu/vector_avx2.inc"
#include "kernels/cpu/formats.inc"
// clang-format on

/// 32 weights: codes around 0, and scales; of Q6_K the second one belongs to the second half.
struct Group {
  __m256i codes;
  float scale, second, least;
};

__m256i nibbles16(const uint8_t* p) {
  __m128i b = bytes16(p);
  return low_nibbles(_mm256_set_m128i(_mm_srli_epi16(b, 4), b));
}
float lane(V v) { return _mm256_cvtss_f32(v); }

/// Unsigned codes, of which `middle` becomes 0: scale q + least = scale (q - middle) + (least + middle
/// scale).
Group centred(__m256i q, int middle, float scale, float least) {
  __m256i codes = _mm256_sub_epi8(q, _mm256_set1_epi8(static_cast<char>(middle)));
  return {codes, scale, scale, least + static_cast<float>(middle) * scale};
}
Group symmetric(__m256i q, int middle, float scale) {
  return {_mm256_sub_epi8(q, _mm256_set1_epi8(static_cast<char>(middle))), scale, scale, 0};
}

Group group_of(Q8_0, const uint8_t* block, int) {
  float d = half(block);
  return {bytes32(block + 2), d, d, 0};
}
Group group_of(Q4_0, const uint8_t* block, int) { return symmetric(nibbles16(block + 2), 8, half(block)); }
Group group_of(Q4_1, const uint8_t* block, int) {
  return centred(nibbles16(block + 4), 8, half(block), half(block + 2));
}
Group group_of(Q5_0, const uint8_t* block, int) {
  return symmetric(five_bits(block + 6, block + 2), 16, half(block));
}
Group group_of(Q5_1, const uint8_t* block, int) {
  return centred(five_bits(block + 8, block + 4), 16, half(block), half(block + 2));
}
Group group_of(Q4_K, const uint8_t* block, int group) {
  KScale s(block, group);
  return centred(Q4_K::codes(block, group), 8, lane(s.d), lane(s.m));
}
Group group_of(Q5_K, const uint8_t* block, int group) {
  KScale s(block, group);
  return centred(Q5_K::codes(block, group), 16, lane(s.d), lane(s.m));
}
Group group_of(Q6_K, const uint8_t* block, int group) {
  Group g = symmetric(Q6_K::codes(block, group), 32, Q6_K::scale(block, 2 * group));
  g.second = Q6_K::scale(block, 2 * group + 1);
  return g;
}

/// Sums of the first and the second 16 of 32 signed bytes.
void sums_of_halves(__m256i codes, int32_t* first, int32_t* second) {
  __m256i raised = _mm256_xor_si256(codes, _mm256_set1_epi8(-128));  // + 128
  __m256i sums = _mm256_sad_epu8(raised, _mm256_setzero_si256());
  __m128i low = _mm256_castsi256_si128(sums), high = _mm256_extracti128_si256(sums, 1);
  *first = _mm_cvtsi128_si32(low) + _mm_extract_epi32(low, 2) - 16 * 128;
  *second = _mm_cvtsi128_si32(high) + _mm_extract_epi32(high, 2) - 16 * 128;
}

template <class F>
void codes_of_row(const WeightCodes& out, const uint8_t* row, int64_t elements, int64_t at, bool by_halves) {
  int64_t scales = elements / (by_halves ? 16 : 32);
  for (int64_t g = 0; g < elements / 32; ++g) {
    Group group =
        group_of(F{}, row + g * 32 / F::kElements * F::kBytes, static_cast<int>(g % (F::kElements / 32)));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out.codes + at * elements + g * 32), group.codes);
    int32_t first, second;
    sums_of_halves(group.codes, &first, &second);
    float* scale = out.scales + at * scales;
    int32_t* offset = out.offsets + at * scales;
    if (by_halves) {
      scale[2 * g] = group.scale, scale[2 * g + 1] = group.second;
      offset[2 * g] = -128 * first, offset[2 * g + 1] = -128 * second;
    } else {
      scale[g] = group.scale;
      offset[g] = -128 * (first + second);
    }
    if (out.least) out.least[at * scales + g] = group.least;
  }
}

/// with_format of the quantised types.
template <class F>
constexpr bool kIsQuantised = F::kBytes < 64 || F::kElements == 256;

}  // namespace

void weight_codes_avx2(const WeightCodes& out, const Tensor& weight, int64_t first, int64_t count) {
  with_format(weight.dtype, [&](auto format) {
    using F = decltype(format);
    if constexpr (kIsQuantised<F>)
      for (int64_t j = 0; j < count; ++j)
        codes_of_row<F>(out, weight.row<uint8_t>(first + j), weight.cols(), j,
                        code_group(weight.dtype) == 16);
    else
      assert(false);
  });
}

}  // namespace longspan
