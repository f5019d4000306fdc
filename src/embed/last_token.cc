#include "embed/last_token.h"

#include <algorithm>

namespace longspan {

namespace {

/// Files of a model without its head say "layers.0..." for "model.layers.0...".
void name_as_with_head(Checkpoint& checkpoint) {
  if (checkpoint.format == CheckpointFormat::Gguf || !checkpoint.find("embed_tokens.weight")) return;
  for (NamedTensor& t : checkpoint.tensors) t.name = "model." + t.name;
  checkpoint.index.clear();
  for (size_t i = 0; i < checkpoint.tensors.size(); ++i) checkpoint.index[checkpoint.tensors[i].name] = i;
  // The head does not matter, and such files have none.
  checkpoint.metadata["tie_word_embeddings"] = true;
}

}  // namespace

LastToken load_last_token(Checkpoint& checkpoint, std::shared_ptr<Device> device, Compute compute) {
  name_as_with_head(checkpoint);
  LastToken out{std::make_shared<Model>(), nullptr};
  Model& model = *out.model;
  model.config = read_config(checkpoint);
  model.device = std::move(device);
  model.compute = compute;
  model.weights = load_weights(checkpoint, model.config, *model.device);
  set_reading(model.weights, WeightReading::Auto, compute);
  return out;
}

std::vector<float> LastToken::rows_of(std::span<const std::span<const int32_t>> texts, int64_t rows) {
  const ModelConfig& c = model->config;
  std::vector<PositionSpec> specs;
  int64_t pages = 0, longest = 0, all = 0;
  for (const auto& text : texts) {
    specs.push_back(position_spec(c.position, c.head_shape(), std::ssize(text)));
    pages += pages_for(std::ssize(text));
    longest = std::max(longest, std::ssize(text));
    all += std::ssize(text);
  }
  rows = std::max<int64_t>(rows, 1);
  if (!buffers || buffers->rows < std::min(rows, all))
    buffers = std::make_shared<Activations>(make_activations(*model, specs[0], rows));
  auto pool = std::make_shared<KvPool>(*model->device,
                                       kv_layout(c, {DType::F32, DType::F32}, key_copies(specs[0])), pages);
  std::vector<float> out;
  auto take = [&](const Tensor& hidden) {
    std::vector<float> got = model->device->download<float>(hidden);
    out.insert(out.end(), got.begin(), got.end());
  };
  if (all > buffers->rows) {  // one long text, in chunks
    for (size_t s = 0; s < texts.size(); ++s) {
      KvCache cache(pool);
      Reading reading{.from = texts[s].size() - 1, .to = texts[s].size()};
      reading.on_hidden = [&](const Tensor& hidden, size_t) { take(hidden); };
      read(*model, cache, specs[s], texts[s], *buffers, reading);
    }
    return out;
  }
  std::vector<KvCache> caches;
  caches.reserve(texts.size());
  Batch batch;
  int32_t end = 0;
  for (size_t s = 0; s < texts.size(); ++s) {
    caches.emplace_back(pool);
    batch.sequences.push_back({&caches.back(), &specs[s], texts[s]});
    end += static_cast<int32_t>(texts[s].size());
    batch.logits_rows.push_back(end - 1);
  }
  take(forward(*model, batch, *buffers));
  return out;
}

}  // namespace longspan
