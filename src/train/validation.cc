#include "train/validation.h"

#include <algorithm>
#include <optional>

namespace longspan {

namespace {

/// Sum of -ln p of the last `scored` tokens; nothing when stopped.
std::optional<double> tail_loss(const Model& model, const PositionSpec& spec, std::span<const int32_t> ids,
                                int64_t scored, Activations& a, const std::function<bool()>& stop) {
  auto n = static_cast<int64_t>(ids.size());
  KvCache cache(model.config, model.compute == Compute::BF16 ? DType::BF16 : DType::F32,
                static_cast<int64_t>(rotations(spec).keys.size()));
  double sum = 0;
  std::vector<float> logs(kHeadRows);
  for (int64_t past = 0; past < n; past += kValidationChunk) {
    if (stop && stop()) return std::nullopt;
    int64_t count = std::min(kValidationChunk, n - past);
    cache.reserve(past + count);
    Tensor hidden =
        forward(model, spec, cache,
                Batch{ids.subspan(static_cast<size_t>(past), static_cast<size_t>(count)), past}, a);
    // Row t predicts token t + 1: rows n - 1 - scored .. n - 2 count.
    int64_t end = std::min(past + count, n - 1);
    for (int64_t row = std::max(past, n - 1 - scored); row < end; row += kHeadRows) {
      int64_t rows = std::min(kHeadRows, end - row);
      Tensor logits = head_logits(model, hidden.slice(row - past, rows), a);
      model.kernels->log_prob(vector_view(logs.data(), DType::F32, rows), logits,
                              ids.subspan(static_cast<size_t>(row) + 1, static_cast<size_t>(rows)));
      for (int64_t i = 0; i < rows; ++i) sum -= logs[static_cast<size_t>(i)];
    }
  }
  return sum;
}

}  // namespace

std::vector<std::pair<int64_t, double>> validation_loss(const Model& model, const PositionConfig& position,
                                                        const std::vector<std::vector<int32_t>>& texts,
                                                        const std::vector<int64_t>& lengths,
                                                        const std::function<bool()>& stop) {
  std::vector<std::pair<int64_t, double>> losses;
  for (int64_t length : lengths) {
    PositionSpec spec = position_spec(position, model.config.head_shape(), length);
    Activations a = make_activations(model.config, spec, std::min(kValidationChunk, length));
    int64_t scored = std::min(kValidatedTokens, length - 1);
    double sum = 0;
    for (const std::vector<int32_t>& text : texts) {
      auto loss = tail_loss(model, spec, std::span(text).last(static_cast<size_t>(length)), scored, a, stop);
      if (!loss) return {};
      sum += *loss;
    }
    losses.emplace_back(length, sum / static_cast<double>(scored * static_cast<int64_t>(texts.size())));
  }
  return losses;
}

}  // namespace longspan
