#include "generate/attention_mass.h"

#include <cassert>

#include "generate/attention_weights.h"

namespace longspan {

std::vector<float> attention_mass(Sequence& sequence, const Engine& engine, std::span<const int32_t> ids) {
  assert(std::ssize(ids) <= kAttentionRows);
  std::vector<double> sums(sequence.ids().size());
  Device& device = *engine.model().device;
  int64_t seen = 0;
  auto observe = [&](int64_t, std::span<const AttentionZone> zones, const AttentionShape& shape) {
    for_attention_weights(device, zones, shape, [&](int64_t, int64_t, std::span<const float> weights) {
      for (size_t n = 1; n < sums.size(); ++n) sums[n] += weights[n];
      ++seen;
    });
  };
  sequence.observe(ids, observe);
  std::vector<float> mass(sums.size());
  for (size_t n = 0; n < mass.size(); ++n)
    mass[n] = static_cast<float>(seen > 0 ? sums[n] / static_cast<double>(seen) : 0);
  return mass;
}

}  // namespace longspan
