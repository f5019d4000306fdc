#include "generate/attention_weights.h"

#include <algorithm>
#include <numeric>

#include "tensor/arena.h"
#include "tensor/device.h"

namespace longspan {

namespace {

constexpr int64_t kMostWeights = int64_t{1} << 22;  // that exist at once, floats

}  // namespace

std::vector<float> attention_weights(Device& device, std::span<const AttentionZone> zones,
                                     const AttentionShape& shape, std::span<const int32_t> rows) {
  Arena memory(device);
  Tensor on_device = memory.vector("rows", DType::I32, std::ssize(rows));
  device.upload(on_device, rows);
  Tensor weights = memory.matrix("attention weights", DType::F32, std::ssize(rows) * shape.heads,
                                 shape.sequences.most_keys);
  device.kernels().attention_weights(weights, zones, shape, on_device);
  return device.download<float>(weights);
}

void for_attention_weights(
    Device& device, std::span<const AttentionZone> zones, const AttentionShape& shape,
    const std::function<void(int64_t row, int64_t head, std::span<const float> weights)>& take) {
  int64_t rows = zones[0].q.rows(), keys = shape.sequences.most_keys;
  int64_t at_once = std::clamp<int64_t>(kMostWeights / (shape.heads * keys), 1, rows);
  for (int64_t first = 0; first < rows; first += at_once) {
    std::vector<int32_t> part(static_cast<size_t>(std::min(at_once, rows - first)));
    std::iota(part.begin(), part.end(), static_cast<int32_t>(first));
    const std::vector<float> all = attention_weights(device, zones, shape, part);
    int64_t count = std::ssize(part) * shape.heads;
    for (int64_t i = 0; i < count; ++i)
      take(first + i / shape.heads, i % shape.heads,
           std::span(all).subspan(static_cast<size_t>(i * keys), static_cast<size_t>(keys)));
  }
}

}  // namespace longspan
