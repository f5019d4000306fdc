#include "generate/attention_mass.h"

#include <algorithm>
#include <cassert>
#include <numeric>

namespace longspan {

namespace {

constexpr int64_t kMostWeights = int64_t{1} << 22;  // that exist at once, floats

}  // namespace

std::vector<float> attention_mass(Sequence& sequence, const Engine& engine, std::span<const int32_t> ids) {
  assert(std::ssize(ids) <= kAttentionRows);
  std::vector<double> sums(sequence.ids().size());
  Device& device = *engine.model().device;
  int64_t seen = 0;
  auto observe = [&](int64_t, std::span<const AttentionZone> zones, const AttentionShape& shape) {
    int64_t rows = zones[0].q.rows(), keys = shape.sequences.most_keys;
    int64_t at_once = std::clamp<int64_t>(kMostWeights / (shape.heads * keys), 1, rows);
    for (int64_t first = 0; first < rows; first += at_once) {
      std::vector<int32_t> part(static_cast<size_t>(std::min(at_once, rows - first)));
      std::iota(part.begin(), part.end(), static_cast<int32_t>(first));
      Arena memory(device);
      Tensor on_device = memory.vector("rows", DType::I32, std::ssize(part));
      device.upload(on_device, std::span<const int32_t>(part));
      int64_t count = std::ssize(part) * shape.heads;
      Tensor weights = memory.matrix("attention weights", DType::F32, count, keys);
      device.kernels().attention_weights(weights, zones, shape, on_device);
      std::vector<float> all = device.download<float>(weights);
      for (int64_t row = 0; row < count; ++row)
        for (size_t n = 1; n < sums.size(); ++n) sums[n] += all[static_cast<size_t>(row * keys) + n];
      seen += count;
    }
  };
  sequence.observe(ids, observe);
  std::vector<float> mass(sums.size());
  for (size_t n = 0; n < mass.size(); ++n)
    mass[n] = static_cast<float>(seen > 0 ? sums[n] / static_cast<double>(seen) : 0);
  return mass;
}

}  // namespace longspan
