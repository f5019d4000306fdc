// The loop over layers. Products of many rows may take BF16 activations (model.compute); everything that is
// summed over layers, the residual, stays F32.
#include "model/forward.h"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "base/error.h"
#include "base/threads.h"

namespace longspan {

namespace {

/// A [rows, cols] view of a buffer that was made wide enough for F32.
Tensor typed(const Tensor& buffer, DType dtype, int64_t rows) {
  return matrix_view(buffer.data, dtype, rows, buffer.cols());
}

/// The input type of products of T rows: below kGemmRows they are bound by reading weights and gain nothing
/// from BF16.
DType activation_dtype(const Model& model, int64_t rows) {
  return model.compute == Compute::BF16 && rows >= kGemmRows ? DType::BF16 : DType::F32;
}

/// cos and sin of positions past .. past + T - 1. The angle is formed in double: in F32 it is off by 0.04 rad
/// at 1M.
RopeTable rope_table(const PositionSpec& spec, const Batch& batch, Activations& a) {
  auto rows = static_cast<int64_t>(batch.ids.size()), half = static_cast<int64_t>(spec.inv_freq.size());
  RopeTable table{a.cos.slice(0, rows), a.sin.slice(0, rows)};
  assert(half == a.cos.cols() && spec.zones.size() == 1);
  constexpr int64_t kRows = 16;
  parallel_for((rows + kRows - 1) / kRows, [&](int64_t block) {
    for (int64_t t = block * kRows; t < std::min(rows, (block + 1) * kRows); ++t)
      for (int64_t i = 0; i < half; ++i) {
        double angle = static_cast<double>(batch.past + t) * spec.inv_freq[static_cast<size_t>(i)];
        table.cos.row(t)[i] = static_cast<float>(std::cos(angle) * spec.attention_scale);
        table.sin.row(t)[i] = static_cast<float>(std::sin(angle) * spec.attention_scale);
      }
  });
  return table;
}

void check_ids(std::span<const int32_t> ids, int64_t vocab) {
  for (int32_t id : ids)
    if (id < 0 || id >= vocab) fail("token id {} is outside the model's vocabulary of {}", id, vocab);
}

/// The buffers of one layer, cut to the rows of this batch. All are contiguous: oneDNN's fast products want
/// that.
struct LayerBuffers {
  Tensor residual, normed, q, k, v, attended, gate, up, mlp;
};

LayerBuffers cut(const Activations& a, int64_t rows, DType dtype) {
  return {.residual = a.residual.slice(0, rows),
          .normed = typed(a.normed, dtype, rows),
          .q = a.q.slice(0, rows),
          .k = a.k.slice(0, rows),
          .v = a.v.slice(0, rows),
          .attended = typed(a.attended, dtype, rows),
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
std::vector<Part> parts(const ModelConfig& c, int64_t rows, int64_t head_rows) {
  int64_t q = c.num_attention_heads * c.head_dim, kv = c.num_key_value_heads * c.head_dim;
  return {{"residual", &Activations::residual, rows, c.hidden_size},
          {"normed", &Activations::normed, rows, c.hidden_size},
          {"q", &Activations::q, rows, q},
          {"k", &Activations::k, rows, kv},
          {"v", &Activations::v, rows, kv},
          {"attended", &Activations::attended, rows, q},
          {"gate", &Activations::gate, rows, c.intermediate_size},
          {"up", &Activations::up, rows, c.intermediate_size},
          {"mlp", &Activations::mlp, rows, c.intermediate_size},
          {"cos", &Activations::cos, rows, c.rotary_dim / 2},
          {"sin", &Activations::sin, rows, c.rotary_dim / 2},
          {"logits", &Activations::logits, head_rows, c.vocab_size}};
}

}  // namespace

Activations make_activations(const ModelConfig& config, int64_t rows) {
  assert(rows > 0);
  Activations a;
  a.rows = rows;
  for (const Part& p : parts(config, rows, kHeadRows))
    a.*p.tensor = a.arena.matrix(p.label, DType::F32, p.rows, p.cols);
  return a;
}

int64_t activation_bytes(const ModelConfig& config, int64_t rows, int64_t head_rows) {
  int64_t bytes = 0;
  for (const Part& p : parts(config, rows, head_rows)) bytes += p.rows * dtype_bytes(DType::F32, p.cols);
  return bytes;
}

Tensor forward(const Model& model, const PositionSpec& spec, KvCache& cache, const Batch& batch,
               Activations& a) {
  const ModelConfig& c = model.config;
  const Kernels& k = *model.kernels;
  auto rows = static_cast<int64_t>(batch.ids.size());
  assert(rows > 0 && rows <= a.rows && batch.past >= 0 && batch.past <= cache.length());
  check_ids(batch.ids, c.vocab_size);
  cache.reserve(batch.past + rows);

  RopeTable rope = rope_table(spec, batch, a);
  LayerBuffers b = cut(a, rows, activation_dtype(model, rows));
  AttentionShape shape{c.num_attention_heads,
                       c.num_key_value_heads,
                       c.head_dim,
                       batch.past,
                       static_cast<float>(1 / std::sqrt(static_cast<double>(c.head_dim))),
                       c.sliding_window};

  k.embed(b.residual, model.weights.embedding, batch.ids);
  for (int64_t l = 0; l < c.num_hidden_layers; ++l) {
    const LayerWeights& w = model.weights.layers[static_cast<size_t>(l)];
    KvPages keys = cache.keys(l), values = cache.values(l);
    k.rmsnorm(b.normed, b.residual, w.attn_norm, c.rms_norm_eps);
    k.linear(b.q, b.normed, w.q, false);
    k.linear(b.k, b.normed, w.k, false);
    k.linear(b.v, b.normed, w.v, false);
    k.rope(b.q, rope, c.num_attention_heads, c.head_dim);
    k.rope(b.k, rope, c.num_key_value_heads, c.head_dim);
    k.store_kv(keys, b.k, batch.past);
    k.store_kv(values, b.v, batch.past);
    k.attention(b.attended, b.q, keys, values, shape);
    k.linear(b.residual, b.attended, w.o, true);
    k.rmsnorm(b.normed, b.residual, w.mlp_norm, c.rms_norm_eps);
    k.linear(b.gate, b.normed, w.gate, false);
    k.linear(b.up, b.normed, w.up, false);
    k.swiglu(b.mlp, b.gate, b.up);
    k.linear(b.residual, b.mlp, w.down, true);
  }
  cache.set_length(batch.past + rows);
  Tensor hidden = typed(a.normed, DType::F32, rows);
  k.rmsnorm(hidden, b.residual, model.weights.final_norm, c.rms_norm_eps);
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
