// Products of many rows in 8 bits for AVX2.
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

constexpr int kRows = 3;
constexpr int64_t kPanelStep = 24, kPanelRows = 96, kPanelDepth = 512, kPanelTokens = 16;
constexpr bool kSigned8 = true;

Int splat_word(const int8_t* p) {
  int32_t word;
  __builtin_memcpy(&word, p, 4);
  return splat_int(word);
}

/// How many sums of a pair of products, (x + 128) times codes of so many bits, can be added in 16 bits; one
/// is at most 255 * 2^bits.
constexpr int kept_pairs(int bits) { return bits == 4 ? 8 : bits == 5 ? 4 : bits == 6 ? 2 : 1; }

template <int R, int N, int kBits, int64_t kWords>
[[gnu::always_inline]] inline void add_products(Int (&sum)[R][N], const uint8_t* x, const int8_t* codes,
                                                int64_t stride) {
  constexpr int64_t kKept = kept_pairs(kBits);
#pragma GCC unroll 8
  for (int64_t first = 0; first < kWords; first += kKept) {
    Int pairs[R][N];
#pragma GCC unroll 8
    for (int64_t i = first; i < first + kKept; ++i) {
      Int of_x[N];
#pragma GCC unroll 2
      for (int n = 0; n < N; ++n) {
        of_x[n] = load_bytes(x + (i * kPanelTokens + n * kLanes) * 4);
        if (kBits == 8) of_x[n] = _mm256_xor_si256(of_x[n], _mm256_set1_epi8(-128));
      }
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        Int weight = splat_word(codes + r * stride + i * 4);
#pragma GCC unroll 2
        for (int n = 0; n < N; ++n) {
          // Pairs of 8 bits fit as |weight| times x with the weight's sign only: at most 2 * 128 * 127.
          Int product = kBits == 8
                            ? _mm256_maddubs_epi16(_mm256_abs_epi8(weight), _mm256_sign_epi8(of_x[n], weight))
                            : _mm256_maddubs_epi16(of_x[n], weight);
          pairs[r][n] = i == first ? product : _mm256_add_epi16(pairs[r][n], product);
          // Without this GCC makes all products first and has no registers for them.
          asm("" : "+x"(pairs[r][n]));
        }
      }
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
      for (int n = 0; n < N; ++n)
        sum[r][n] = _mm256_add_epi32(sum[r][n], _mm256_madd_epi16(pairs[r][n], _mm256_set1_epi16(1)));
  }
}

// clang-format off
#include "kernels/cpu/panel_linear.inc"
#include "kernels/cpu/eight_bits.inc"
// clang-format on

}  // namespace

void eight_bit_linear_avx2(Tensor out, Tensor x, const Linear& w, bool accumulate) {
  eight_bit_linear(out, x, w, accumulate);
}

}  // namespace longspan
