// Inference: every layer in one set of buffers. Products of many rows may take BF16 activations
// (model.compute); everything that is summed over layers, the residual, stays F32.
#include "model/forward.h"

#include <algorithm>
#include <cassert>

#include "model/block.h"

namespace longspan {

namespace {

/// A [rows, cols] view of a buffer that was made wide enough for F32.
Tensor typed(const Tensor& buffer, DType dtype, int64_t rows) {
  return matrix_view(buffer.data, dtype, rows, buffer.cols());
}

LayerBuffers cut(const Activations& a, int64_t rows, DType dtype) {
  return {.residual = a.residual.slice(0, rows),
          .normed = typed(a.normed, dtype, rows),
          .branch = typed(a.normed, DType::F32, rows),  // free once its reader has run
          .q = a.q.slice(0, rows),
          .k = a.k.slice(0, rows),
          .v = a.v.slice(0, rows),
          .rotated_q = a.rotated_q,
          .rotated_k = a.rotated_k,
          .attended = typed(a.attended, dtype, rows),
          .log_sum = {},
          .gate = a.gate.slice(0, rows),
          .up = a.up.slice(0, rows),
          .mlp = typed(a.mlp, dtype, rows)};
}

struct Part {
  const char* label;
  Tensor Activations::*tensor;
  int64_t rows, cols;
};

/// Every buffer and its size, for making and for predicting.
std::vector<Part> parts(const ModelConfig& c, const PositionSpec& spec, int64_t rows, int64_t head_rows) {
  Rotations r = rotations(spec);
  auto queries = static_cast<int64_t>(r.queries.size()), keys = static_cast<int64_t>(r.keys.size());
  int64_t q = c.num_attention_heads * c.head_dim, kv = c.num_key_value_heads * c.head_dim;
  int64_t tables = rope_tables(c, spec);
  return {{"residual", &Activations::residual, rows, c.hidden_size},
          {"normed", &Activations::normed, rows, c.hidden_size},
          {"q", &Activations::q, rows, q},
          {"k", &Activations::k, rows, kv},
          {"v", &Activations::v, rows, kv},
          {"rotated_q", &Activations::rotated_q, (queries - 1) * rows, q},
          {"rotated_k", &Activations::rotated_k, keys > 1 ? rows : 0, kv},
          {"attended", &Activations::attended, rows, q},
          {"gate", &Activations::gate, rows, c.intermediate_size},
          {"up", &Activations::up, rows, c.intermediate_size},
          {"mlp", &Activations::mlp, rows, c.intermediate_size},
          {"cos", &Activations::cos, tables * rows, c.rotary_dim / 2},
          {"sin", &Activations::sin, tables * rows, c.rotary_dim / 2},
          {"logits", &Activations::logits, head_rows, c.vocab_size}};
}

LayerKv layer_kv(const KvCache& cache, int64_t layer, const LayerKind& kind) {
  LayerKv kv{{}, cache.values(layer)};
  for (size_t r = 0; r < kind.positions.keys.size(); ++r)
    kv.keys.push_back(cache.keys(layer, static_cast<int64_t>(r)));
  return kv;
}

}  // namespace

Activations make_activations(const ModelConfig& config, const PositionSpec& spec, int64_t rows) {
  assert(rows > 0);
  Activations a;
  a.rows = rows;
  for (const Part& p : parts(config, spec, rows, kHeadRows))
    if (p.rows > 0) a.*p.tensor = a.arena.matrix(p.label, DType::F32, p.rows, p.cols);
  return a;
}

int64_t activation_bytes(const ModelConfig& config, const PositionSpec& spec, int64_t rows,
                         int64_t head_rows) {
  int64_t bytes = 0;
  for (const Part& p : parts(config, spec, rows, head_rows))
    bytes += p.rows * dtype_bytes(DType::F32, p.cols);
  return bytes;
}

Tensor forward(const Model& model, const PositionSpec& spec, KvCache& cache, const Batch& batch,
               Activations& a) {
  const ModelConfig& c = model.config;
  auto rows = static_cast<int64_t>(batch.ids.size());
  assert(rows > 0 && rows <= a.rows && batch.past >= 0 && batch.past <= cache.length());
  LayerBuffers b = cut(a, rows, activation_dtype(model, rows));
  embed_tokens(model, b.residual, batch.ids);
  cache.reserve(batch.past + rows);
  LayerKinds kinds = layer_kinds(c, spec, batch, a.cos, a.sin);
  for (int64_t l = 0; l < c.num_hidden_layers; ++l) {
    const LayerKind& kind = kinds.of(c, l);
    attend(model, l, kind, b, layer_kv(cache, l, kind), batch.observer);
    gate_mlp(model, l, b);
    add_mlp(model, l, b);
  }
  cache.set_length(batch.past + rows);
  Tensor hidden = typed(a.normed, DType::F32, rows);
  model.kernels->rmsnorm(hidden, b.residual, model.weights.final_norm, c.rms_norm_eps);
  return hidden;
}

Tensor head_logits(const Model& model, Tensor hidden, Activations& a) {
  int64_t rows = hidden.rows();
  assert(rows <= kHeadRows && rows <= a.rows && hidden.dtype == DType::F32);
  if (activation_dtype(model, rows) == DType::BF16) {
    Tensor rounded = typed(a.residual, DType::BF16, rows);  // free since the final norm
    for (int64_t t = 0; t < rows; ++t)
      std::transform(hidden.row(t), hidden.row(t) + hidden.cols(), rounded.row<uint16_t>(t), f32_to_bf16);
    hidden = rounded;
  }
  Tensor logits = a.logits.slice(0, rows);
  model.kernels->linear(logits, hidden, model.weights.head, false);
  return logits;
}

}  // namespace longspan
