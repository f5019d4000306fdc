// What the tests of attention share: the implementations with their tolerances.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <vector>

#include "base/random.h"
#include "kernels/cache.h"
#include "kernels/cpu/attention.h"
#include "kernels/cpu/cpu.h"

namespace longspan {

using Attention = decltype(Kernels::attention);

struct Implementation {
  const char* name;
  Attention attention;
  bool supported;
  // Largest error of an element over the largest element of the output, by dtype of the output.
  double
      f32_tolerance;  // sums in F32 in another order than the reference's doubles: some 2^-24 of the scores
  double bf16_tolerance;  // out rounded to BF16: 2^-8; where q, K, P and V are rounded as well: some of these
                          // added up
};

inline const Implementation kImplementations[] = {
    {"avx2", attention_avx2, __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"), 1e-5, 0.004},
    {"avx512", attention_avx512, __builtin_cpu_supports("avx512bw") != 0, 1e-5, 0.004},
    {"avx512_bf16", attention_avx512_bf16, __builtin_cpu_supports("avx512bf16") != 0, 1e-5, 0.015},
    {"amx", attention_amx, has_amx(), 1e-5, 0.015},
};

inline std::vector<Implementation> implementations() {
  std::vector<Implementation> result;
  for (const Implementation& i : kImplementations)
    if (i.supported) result.push_back(i);
  if (gpu::device()) result.push_back({"cuda", gpu::kernels_through_host().attention, true, 1e-5, 0.015});
  return result;
}

/// Codes may be read as F16, which rounds each element by 2^-11.
inline double f32_tolerance(const Implementation& how, DType pages) {
  return is_quantised(pages) ? 1e-3 : how.f32_tolerance;
}

/// Largest difference over the largest wanted element; infinite when anything is not a number.
inline double error(const std::vector<float>& got, const std::vector<float>& want) {
  double difference = 0, largest = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    if (!std::isfinite(got[i])) return INFINITY;
    difference = std::max(difference, std::abs(static_cast<double>(got[i]) - want[i]));
    largest = std::max(largest, std::abs(static_cast<double>(want[i])));
  }
  return difference > 0 ? difference / largest : 0;
}

/// AttentionShape::documents of these starts.
inline std::vector<int32_t> documents_of(const std::vector<int32_t>& starts, int64_t past) {
  std::vector<int32_t> documents;
  if (starts.empty() || past != 0) return documents;
  auto rows = static_cast<int32_t>(starts.size());
  for (int32_t t = 0; t < rows; ++t)
    if (starts[static_cast<size_t>(t)] == t) documents.push_back(t);
  documents.push_back(rows);
  return documents;
}

template <class T>
T pick(Random& random, std::initializer_list<T> list) {
  return list.begin()[random.below(list.size())];
}

}  // namespace longspan
