#include "model/block.h"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "base/error.h"
#include "base/threads.h"

namespace longspan {

namespace {

double position_of(const Batch& batch, int64_t t) {
  return batch.positions.empty() ? static_cast<double>(batch.past + t)
                                 : batch.positions[static_cast<size_t>(t)];
}

/// cos and sin of a batch's positions under one rotation. The angle is formed in double: in F32 it is off by
/// 0.04 rad at 1M.
void fill_rope_table(RopeTable table, const Rotation& rotation, double scale, const Batch& batch) {
  int64_t rows = table.cos.rows(), half = table.cos.cols();
  assert(half == static_cast<int64_t>(rotation.inv_freq.size()));
  constexpr int64_t kRows = 16;
  parallel_for((rows + kRows - 1) / kRows, [&](int64_t block) {
    for (int64_t t = block * kRows; t < std::min(rows, (block + 1) * kRows); ++t) {
      double position = apply(rotation.map, position_of(batch, t));
      for (int64_t i = 0; i < half; ++i) {
        double angle = position * rotation.inv_freq[static_cast<size_t>(i)];
        table.cos.row(t)[i] = static_cast<float>(std::cos(angle) * scale);
        table.sin.row(t)[i] = static_cast<float>(std::sin(angle) * scale);
      }
    }
  });
}

/// `tables`: how many tables are taken; those made here are added.
Positions positions_of(const PositionSpec& spec, const ModelConfig& c, const Batch& batch, Tensor cos,
                       Tensor sin, int64_t& tables) {
  auto rows = static_cast<int64_t>(batch.ids.size());
  Positions p{rotations(spec), {}, {}, {spec.slopes.begin(), spec.slopes.end()}, {}, {}};
  std::vector<Rotation> made;
  auto table = [&](const Rotation& rotation) {
    auto at = std::find(made.begin(), made.end(), rotation) - made.begin();
    int64_t first = (tables + at) * rows;
    RopeTable table{cos.slice(first, rows), sin.slice(first, rows)};
    if (at == static_cast<ptrdiff_t>(made.size())) {
      made.push_back(rotation);
      fill_rope_table(table, rotation, spec.attention_scale, batch);
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
  // Attention needs positions only where something depends on distance.
  bool by_distance =
      spec.zones.size() > 1 || !spec.decay.empty() || !spec.slopes.empty() || c.sliding_window > 0;
  if (by_distance) p.indices.assign(batch.positions.begin(), batch.positions.end());
  return p;
}

LayerKind kind_of(const PositionSpec& spec, int64_t window, const ModelConfig& c, const Batch& batch,
                  Tensor cos, Tensor sin, int64_t& tables) {
  LayerKind kind{spec, positions_of(spec, c, batch, cos, sin, tables), {}, batch.positions};
  double divisor = c.query_pre_attn_scalar > 0 ? c.query_pre_attn_scalar : static_cast<double>(c.head_dim);
  kind.shape = {.heads = c.num_attention_heads,
                .kv_heads = c.num_key_value_heads,
                .head_dim = c.head_dim,
                .past = batch.past,
                .scale = static_cast<float>(1 / std::sqrt(divisor)),
                .window = window,
                .chunk = spec.chunk,
                .positions = kind.positions.indices,
                .starts = batch.starts,
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

void scale_rows(Tensor x, const std::function<float(int64_t)>& factor) {
  parallel_for(x.rows(), [&](int64_t t) {
    float f = factor(t);
    if (f != 1)
      for (int64_t i = 0; i < x.cols(); ++i) x.row(t)[i] *= f;
  });
}

/// Each head of x normalised on its own.
void normalise_heads(const Model& model, Tensor x, Tensor weight) {
  if (!weight) return;
  int64_t d = model.config.head_dim;
  Tensor heads = matrix_view(x.data, x.dtype, x.rows() * x.cols() / d, d);
  model.kernels->rmsnorm(heads, heads, weight, model.config.rms_norm_eps);
}

/// residual += w(x), through a norm where there is one.
void add_branch(const Model& model, const LayerBuffers& b, Tensor x, const Linear& w, const Adapter& adapter,
                Tensor norm) {
  const Kernels& k = *model.kernels;
  if (!norm) return project(k, b.residual, x, w, adapter, true);
  project(k, b.branch, x, w, adapter, false);
  k.rmsnorm(b.branch, b.branch, norm, model.config.rms_norm_eps);
  parallel_for(b.residual.rows(), [&](int64_t t) {
    for (int64_t i = 0; i < b.residual.cols(); ++i) b.residual.row(t)[i] += b.branch.row(t)[i];
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

const LayerAdapters& adapters_of(const Model& model, int64_t layer) {
  static const LayerAdapters none;
  return model.adapters.empty() ? none : model.adapters[static_cast<size_t>(layer)];
}

}  // namespace

float sharpness(const PositionSpec& spec, double position) {
  if (spec.log_n == 0) return 1;
  double factor = std::log(position + 1) / std::log(static_cast<double>(spec.log_n));
  return static_cast<float>(std::max(1.0, factor));
}

void copy_rows(Tensor out, Tensor x) {
  parallel_for(x.rows(), [&](int64_t t) { std::copy_n(x.row(t), x.cols(), out.row(t)); });
}

DType activation_dtype(const Model& model, int64_t rows) {
  return model.compute == Compute::BF16 && rows >= kGemmRows ? DType::BF16 : DType::F32;
}

int64_t rope_tables(const ModelConfig& config, const PositionSpec& spec) {
  Rotations r = rotations(spec);
  return static_cast<int64_t>(r.queries.size() + r.keys.size()) + (config.sliding_window_pattern > 0 ? 1 : 0);
}

LayerKinds layer_kinds(const ModelConfig& c, const PositionSpec& spec, const Batch& batch, Tensor cos,
                       Tensor sin) {
  int64_t tables = 0;
  bool pattern = c.sliding_window_pattern > 0;
  LayerKinds kinds{kind_of(spec, pattern ? 0 : c.sliding_window, c, batch, cos, sin, tables), {}};
  if (pattern) kinds.local = kind_of(local_spec(c), c.sliding_window, c, batch, cos, sin, tables);
  return kinds;
}

void project(const Kernels& k, Tensor out, Tensor x, const Linear& w, const Adapter& adapter,
             bool accumulate) {
  k.linear(out, x, w, accumulate);
  if (!adapter) return;
  int64_t rows = x.rows(), rank = adapter.a.weight.rows();
  std::vector<float> memory(static_cast<size_t>(rows * rank));
  Tensor low = matrix_view(memory.data(), DType::F32, rows, rank);
  k.linear(low, x, adapter.a, false);
  scale_rows(low, [&](int64_t) { return adapter.scale; });
  k.linear(out, low, adapter.b, true);
}

std::vector<AttentionZone> rotate_and_store(const Model& model, const LayerKind& kind, const LayerBuffers& b,
                                            const LayerKv& kv) {
  const ModelConfig& c = model.config;
  const Kernels& k = *model.kernels;
  const Positions& p = kind.positions;
  int64_t past = kind.shape.past;
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
    k.store_kv(kv.keys[r], key, past);
  }
  k.store_kv(kv.values, b.v, past);
  std::vector<AttentionZone> zones;
  for (size_t z = 0; z < kind.spec.zones.size(); ++z)
    zones.push_back(
        {kind.spec.zones[z].from, queries[p.rotations.query_of[z]], kv.keys[p.rotations.key_of[z]]});
  return zones;
}

void attend(const Model& model, int64_t layer, const LayerKind& kind, const LayerBuffers& b,
            const LayerKv& kv, const AttentionObserver& observer) {
  const Kernels& k = *model.kernels;
  const LayerWeights& w = model.weights.layers[static_cast<size_t>(layer)];
  const LayerAdapters& low = adapters_of(model, layer);
  k.rmsnorm(b.normed, b.residual, w.attn_norm, model.config.rms_norm_eps);
  project(k, b.q, b.normed, w.q, low.q, false);
  project(k, b.k, b.normed, w.k, low.k, false);
  project(k, b.v, b.normed, w.v, low.v, false);
  normalise_heads(model, b.q, w.q_norm);
  normalise_heads(model, b.k, w.k_norm);
  if (kind.spec.log_n > 0) scale_rows(b.q, [&](int64_t t) { return sharpness(kind.spec, kind.position(t)); });
  std::vector<AttentionZone> zones = rotate_and_store(model, kind, b, kv);
  if (observer) observer(layer, zones, kind.shape);
  k.attention(b.attended, b.log_sum, zones, kv.values, kind.shape);
  add_branch(model, b, b.attended, w.o, low.o, w.attn_post_norm);
}

void gate_mlp(const Model& model, int64_t layer, const LayerBuffers& b) {
  const Kernels& k = *model.kernels;
  const LayerWeights& w = model.weights.layers[static_cast<size_t>(layer)];
  const LayerAdapters& low = adapters_of(model, layer);
  k.rmsnorm(b.normed, b.residual, w.mlp_norm, model.config.rms_norm_eps);
  project(k, b.gate, b.normed, w.gate, low.gate, false);
  project(k, b.up, b.normed, w.up, low.up, false);
  (model.config.activation == Activation::GeluTanh ? gelu_gate : k.swiglu)(b.mlp, b.gate, b.up);
}

void add_mlp(const Model& model, int64_t layer, const LayerBuffers& b) {
  const LayerWeights& w = model.weights.layers[static_cast<size_t>(layer)];
  add_branch(model, b, b.mlp, w.down, adapters_of(model, layer).down, w.mlp_post_norm);
}

void embed_tokens(const Model& model, Tensor residual, std::span<const int32_t> ids) {
  for (int32_t id : ids)
    if (id < 0 || id >= model.config.vocab_size)
      fail("token id {} is outside the model's vocabulary of {}", id, model.config.vocab_size);
  model.kernels->embed(residual, model.weights.embedding, ids);
  if (model.config.embedding_scale != 1)
    scale_rows(residual, [&](int64_t) { return static_cast<float>(model.config.embedding_scale); });
}

}  // namespace longspan
