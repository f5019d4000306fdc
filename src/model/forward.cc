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

/// cos and sin of positions past .. past + T - 1 under one rotation. The angle is formed in double: in F32 it
/// is off by 0.04 rad at 1M.
void fill_rope_table(RopeTable table, const Rotation& rotation, double scale, int64_t past) {
  int64_t rows = table.cos.rows(), half = table.cos.cols();
  assert(half == static_cast<int64_t>(rotation.inv_freq.size()));
  constexpr int64_t kRows = 16;
  parallel_for((rows + kRows - 1) / kRows, [&](int64_t block) {
    for (int64_t t = block * kRows; t < std::min(rows, (block + 1) * kRows); ++t) {
      double position = apply(rotation.map, static_cast<double>(past + t));
      for (int64_t i = 0; i < half; ++i) {
        double angle = position * rotation.inv_freq[static_cast<size_t>(i)];
        table.cos.row(t)[i] = static_cast<float>(std::cos(angle) * scale);
        table.sin.row(t)[i] = static_cast<float>(std::sin(angle) * scale);
      }
    }
  });
}

/// A spec made ready for one batch: its rotations with their tables, and what attention is told.
struct Positions {
  Rotations rotations;
  std::vector<RopeTable> queries, keys;
  std::vector<float> slopes, decay;
};

/// `tables`: how many of the activations' tables are taken; those made here are added.
Positions positions_of(const PositionSpec& spec, const ModelConfig& c, const Batch& batch, Activations& a,
                       int64_t& tables) {
  auto rows = static_cast<int64_t>(batch.ids.size());
  Positions p{rotations(spec), {}, {}, {spec.slopes.begin(), spec.slopes.end()}, {}};
  std::vector<Rotation> made;
  auto table = [&](const Rotation& rotation) {
    auto at = std::find(made.begin(), made.end(), rotation) - made.begin();
    int64_t first = (tables + at) * a.rows;
    RopeTable table{a.cos.slice(first, rows), a.sin.slice(first, rows)};
    if (at == static_cast<ptrdiff_t>(made.size())) {
      made.push_back(rotation);
      fill_rope_table(table, rotation, spec.attention_scale, batch.past);
    }
    return table;
  };
  for (const Rotation& r : p.rotations.queries) p.queries.push_back(table(r));
  for (const Rotation& r : p.rotations.keys) p.keys.push_back(table(r));
  tables += static_cast<int64_t>(made.size());
  if (!spec.decay.empty()) {
    p.decay.resize(static_cast<size_t>(c.head_dim), 0.0f);
    size_t half = spec.decay.size();
    for (size_t i = 0; i < half; ++i) p.decay[i] = p.decay[i + half] = static_cast<float>(spec.decay[i]);
  }
  return p;
}

/// Query t times max(1, ln(m + 1) / ln(log_n)), m its position.
void sharpen(Tensor q, int64_t log_n, int64_t past) {
  parallel_for(q.rows(), [&](int64_t t) {
    double factor = std::log(static_cast<double>(past + t + 1)) / std::log(static_cast<double>(log_n));
    if (factor <= 1) return;
    for (int64_t i = 0; i < q.cols(); ++i) q.row(t)[i] *= static_cast<float>(factor);
  });
}

void scale(Tensor x, float factor) {
  parallel_for(x.rows(), [&](int64_t t) {
    for (int64_t i = 0; i < x.cols(); ++i) x.row(t)[i] *= factor;
  });
}

void copy_rows(Tensor out, Tensor x) {
  parallel_for(x.rows(), [&](int64_t t) { std::copy_n(x.row(t), x.cols(), out.row(t)); });
}

void check_ids(std::span<const int32_t> ids, int64_t vocab) {
  for (int32_t id : ids)
    if (id < 0 || id >= vocab) fail("token id {} is outside the model's vocabulary of {}", id, vocab);
}

/// The buffers of one layer, cut to the rows of this batch. All are contiguous: oneDNN's fast products want
/// that.
struct LayerBuffers {
  Tensor residual, normed, q, k, v, rotated_q, rotated_k, attended, gate, up, mlp;
};

LayerBuffers cut(const Activations& a, int64_t rows, DType dtype) {
  return {.residual = a.residual.slice(0, rows),
          .normed = typed(a.normed, dtype, rows),
          .q = a.q.slice(0, rows),
          .k = a.k.slice(0, rows),
          .v = a.v.slice(0, rows),
          .rotated_q = a.rotated_q,
          .rotated_k = a.rotated_k,
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
std::vector<Part> parts(const ModelConfig& c, const PositionSpec& spec, int64_t rows, int64_t head_rows) {
  Rotations r = rotations(spec);
  auto queries = static_cast<int64_t>(r.queries.size()), keys = static_cast<int64_t>(r.keys.size());
  int64_t q = c.num_attention_heads * c.head_dim, kv = c.num_key_value_heads * c.head_dim;
  int64_t tables = queries + keys + (c.sliding_window_pattern > 0 ? 1 : 0);
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

/// Positions and attention of the layers that share them.
struct LayerKind {
  PositionSpec spec;
  Positions positions;
  AttentionShape shape;
};

LayerKind kind_of(const PositionSpec& spec, int64_t window, const ModelConfig& c, const Batch& batch,
                  Activations& a, int64_t& tables) {
  LayerKind kind{spec, positions_of(spec, c, batch, a, tables), {}};
  double divisor = c.query_pre_attn_scalar > 0 ? c.query_pre_attn_scalar : static_cast<double>(c.head_dim);
  kind.shape = {.heads = c.num_attention_heads,
                .kv_heads = c.num_key_value_heads,
                .head_dim = c.head_dim,
                .past = batch.past,
                .scale = static_cast<float>(1 / std::sqrt(divisor)),
                .window = window,
                .chunk = spec.chunk,
                .slopes = kind.positions.slopes,
                .decay = kind.positions.decay};
  return kind;
}

/// Local layers turn by plain RoPE whatever the others do: what they see stays inside their window.
PositionSpec local_spec(const ModelConfig& c) {
  PositionConfig plain;
  plain.base = c.rope_local_base_freq;
  return position_spec(plain, c.head_shape(), 0);
}

/// Each head of x normalised on its own.
void normalise_heads(const Model& model, Tensor x, Tensor weight) {
  if (!weight) return;
  int64_t d = model.config.head_dim;
  Tensor heads = matrix_view(x.data, x.dtype, x.rows() * x.cols() / d, d);
  model.kernels->rmsnorm(heads, heads, weight, model.config.rms_norm_eps);
}

/// residual += w(x), through a norm where there is one. `branch` [T, C] F32 is free to write.
void add_branch(const Model& model, Tensor residual, Tensor x, const Linear& w, Tensor norm, Tensor branch) {
  const Kernels& k = *model.kernels;
  if (!norm) return k.linear(residual, x, w, true);
  k.linear(branch, x, w, false);
  k.rmsnorm(branch, branch, norm, model.config.rms_norm_eps);
  parallel_for(residual.rows(), [&](int64_t t) {
    for (int64_t i = 0; i < residual.cols(); ++i) residual.row(t)[i] += branch.row(t)[i];
  });
}

/// out = gelu(gate) * up, the tanh form (Hendrycks 2016).
void gelu_gate(Tensor out, Tensor gate, Tensor up) {
  parallel_for(out.rows(), [&](int64_t t) {
    for (int64_t i = 0; i < out.cols(); ++i) {
      float g = gate.row(t)[i];
      float y = 0.5f * g * (1 + std::tanh(0.7978845608f * (g + 0.044715f * g * g * g))) * up.row(t)[i];
      if (out.dtype == DType::BF16) {
        out.row<uint16_t>(t)[i] = f32_to_bf16(y);
      } else {
        out.row(t)[i] = y;
      }
    }
  });
}

/// Rotates q and k as every zone asks, stores the keys, and says what attention reads. With one rotation both
/// turn in place.
std::vector<AttentionZone> rotate_and_store(const Model& model, const LayerKind& kind, const LayerBuffers& b,
                                            KvCache& cache, int64_t layer) {
  const ModelConfig& c = model.config;
  const Kernels& k = *model.kernels;
  const PositionSpec& spec = kind.spec;
  const Positions& p = kind.positions;
  int64_t past = kind.shape.past;
  if (spec.log_n > 0) sharpen(b.q, spec.log_n, past);
  std::vector<Tensor> queries;
  for (size_t r = 0; r < p.queries.size(); ++r) {
    bool last = r + 1 == p.queries.size();  // the last turns in place, the others copies
    Tensor q = last ? b.q : b.rotated_q.slice(static_cast<int64_t>(r) * b.q.rows(), b.q.rows());
    if (!last) copy_rows(q, b.q);
    k.rope(q, p.queries[r], c.num_attention_heads, c.head_dim);
    queries.push_back(q);
  }
  for (size_t r = 0; r < p.keys.size(); ++r) {
    bool last = r + 1 == p.keys.size();
    Tensor key = last ? b.k : b.rotated_k.slice(0, b.k.rows());
    if (!last) copy_rows(key, b.k);
    k.rope(key, p.keys[r], c.num_key_value_heads, c.head_dim);
    k.store_kv(cache.keys(layer, static_cast<int64_t>(r)), key, past);
  }
  std::vector<AttentionZone> zones;
  for (size_t z = 0; z < spec.zones.size(); ++z)
    zones.push_back({spec.zones[z].from, queries[p.rotations.query_of[z]],
                     cache.keys(layer, static_cast<int64_t>(p.rotations.key_of[z]))});
  return zones;
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
  const Kernels& k = *model.kernels;
  auto rows = static_cast<int64_t>(batch.ids.size());
  assert(rows > 0 && rows <= a.rows && batch.past >= 0 && batch.past <= cache.length());
  check_ids(batch.ids, c.vocab_size);
  cache.reserve(batch.past + rows);

  int64_t tables = 0;
  LayerKind whole = kind_of(spec, c.sliding_window_pattern > 0 ? 0 : c.sliding_window, c, batch, a, tables),
            local;
  if (c.sliding_window_pattern > 0) local = kind_of(local_spec(c), c.sliding_window, c, batch, a, tables);
  LayerBuffers b = cut(a, rows, activation_dtype(model, rows));
  Tensor branch = typed(a.normed, DType::F32, rows);  // free once its reader has run

  k.embed(b.residual, model.weights.embedding, batch.ids);
  if (c.embedding_scale != 1) scale(b.residual, static_cast<float>(c.embedding_scale));
  for (int64_t l = 0; l < c.num_hidden_layers; ++l) {
    const LayerWeights& w = model.weights.layers[static_cast<size_t>(l)];
    const LayerKind& kind = c.local_layer(l) ? local : whole;
    k.rmsnorm(b.normed, b.residual, w.attn_norm, c.rms_norm_eps);
    k.linear(b.q, b.normed, w.q, false);
    k.linear(b.k, b.normed, w.k, false);
    k.linear(b.v, b.normed, w.v, false);
    normalise_heads(model, b.q, w.q_norm);
    normalise_heads(model, b.k, w.k_norm);
    k.store_kv(cache.values(l), b.v, batch.past);
    std::vector<AttentionZone> zones = rotate_and_store(model, kind, b, cache, l);
    if (batch.observer) batch.observer(l, zones, kind.shape);
    k.attention(b.attended, {}, zones, cache.values(l), kind.shape);
    add_branch(model, b.residual, b.attended, w.o, w.attn_post_norm, branch);
    k.rmsnorm(b.normed, b.residual, w.mlp_norm, c.rms_norm_eps);
    k.linear(b.gate, b.normed, w.gate, false);
    k.linear(b.up, b.normed, w.up, false);
    (c.activation == Activation::GeluTanh ? gelu_gate : k.swiglu)(b.mlp, b.gate, b.up);
    add_branch(model, b.residual, b.mlp, w.down, w.mlp_post_norm, branch);
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
