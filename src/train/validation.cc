#include "train/validation.h"

#include <algorithm>
#include <optional>

namespace longspan {

namespace {

/// Sum of -ln p of the last `scored` tokens; nothing when stopped.
std::optional<double> tail_loss(const Model& model, const PositionSpec& spec, std::span<const int32_t> ids,
                                int64_t scored, Activations& a, const std::function<bool()>& stop) {
  DType dtype = model.compute == Compute::BF16 ? DType::BF16 : DType::F32;
  KvCache cache(std::make_shared<KvPool>(
      *model.device, kv_layout(model.config, {dtype, dtype}, key_copies(spec)), pages_for(std::ssize(ids))));
  std::vector<float> log_probs;
  // Row t predicts token t + 1.
  Reading reading{.from = ids.size() - 1 - static_cast<size_t>(scored), .to = ids.size() - 1};
  reading.on_hidden = [&](Tensor hidden, size_t first) {
    append_log_probs(model, hidden, ids.subspan(first + 1, static_cast<size_t>(hidden.rows())), a, log_probs);
  };
  reading.progress = [&](int64_t, int64_t) { return !stop || !stop(); };
  if (!read(model, cache, spec, ids, a, reading)) return std::nullopt;
  double sum = 0;
  for (float x : log_probs) sum -= x;
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
    Activations a = make_activations(model, spec, std::min(kValidationChunk, length));
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
