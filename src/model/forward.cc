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

Positions positions_of(const PositionSpec& spec, const ModelConfig& c, const Batch& batch, Activations& a) {
  auto rows = static_cast<int64_t>(batch.ids.size());
  Positions p{rotations(spec), {}, {}, {spec.slopes.begin(), spec.slopes.end()}, {}};
  std::vector<Rotation> made;
  auto table = [&](const Rotation& rotation) {
    auto at = std::find(made.begin(), made.end(), rotation) - made.begin();
    RopeTable table{a.cos.slice(at * a.rows, rows), a.sin.slice(at * a.rows, rows)};
    if (at == static_cast<ptrdiff_t>(made.size())) {
      made.push_back(rotation);
      fill_rope_table(table, rotation, spec.attention_scale, batch.past);
    }
    return table;
  };
  for (const Rotation& r : p.rotations.queries) p.queries.push_back(table(r));
  for (const Rotation& r : p.rotations.keys) p.keys.push_back(table(r));
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
          {"cos", &Activations::cos, (queries + keys) * rows, c.rotary_dim / 2},
          {"sin", &Activations::sin, (queries + keys) * rows, c.rotary_dim / 2},
          {"logits", &Activations::logits, head_rows, c.vocab_size}};
}

/// Rotates q and k as every zone asks, stores the keys, and says what attention reads. With one rotation both
/// turn in place.
std::vector<AttentionZone> rotate_and_store(const Model& model, const PositionSpec& spec, const Positions& p,
                                            const LayerBuffers& b, KvCache& cache, int64_t layer,
                                            int64_t past) {
  const ModelConfig& c = model.config;
  const Kernels& k = *model.kernels;
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

  Positions p = positions_of(spec, c, batch, a);
  LayerBuffers b = cut(a, rows, activation_dtype(model, rows));
  AttentionShape shape{.heads = c.num_attention_heads,
                       .kv_heads = c.num_key_value_heads,
                       .head_dim = c.head_dim,
                       .past = batch.past,
                       .scale = static_cast<float>(1 / std::sqrt(static_cast<double>(c.head_dim))),
                       .window = c.sliding_window,
                       .chunk = spec.chunk,
                       .slopes = p.slopes,
                       .decay = p.decay};

  k.embed(b.residual, model.weights.embedding, batch.ids);
  for (int64_t l = 0; l < c.num_hidden_layers; ++l) {
    const LayerWeights& w = model.weights.layers[static_cast<size_t>(l)];
    k.rmsnorm(b.normed, b.residual, w.attn_norm, c.rms_norm_eps);
    k.linear(b.q, b.normed, w.q, false);
    k.linear(b.k, b.normed, w.k, false);
    k.linear(b.v, b.normed, w.v, false);
    k.store_kv(cache.values(l), b.v, batch.past);
    std::vector<AttentionZone> zones = rotate_and_store(model, spec, p, b, cache, l, batch.past);
    if (batch.observer) batch.observer(l, zones, shape);
    k.attention(b.attended, {}, zones, cache.values(l), shape);
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
