#include "generate/attention_weights.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "tensor/arena.h"
#include "tensor/device.h"

namespace longspan {

namespace {

constexpr int64_t kMostWeights = int64_t{1} << 22;  // that exist at once, floats

}  // namespace

void for_attention_weights(
    Device& device, std::span<const AttentionZone> zones, const AttentionShape& shape,
    const std::function<void(int64_t row, int64_t head, std::span<const float> weights)>& take) {
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
    const std::vector<float> all = device.download<float>(weights);
    for (int64_t i = 0; i < count; ++i)
      take(first + i / shape.heads, i % shape.heads,
           std::span(all).subspan(static_cast<size_t>(i * keys), static_cast<size_t>(keys)));
  }
}

}  // namespace longspan
