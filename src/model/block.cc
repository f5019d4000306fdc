#include "model/block.h"

#include <algorithm>
#include <array>

namespace longspan {

const LayerAdapters kNoAdapters;

namespace {

/// residual += w(x), through a norm where there is one.
void add_branch(const Model& model, const LayerBuffers& b, Tensor x, const Linear& w, const Adapter& adapter,
                Tensor norm) {
  const Kernels& k = model.kernels();
  auto multiplier = static_cast<float>(model.config.residual_multiplier);
  if (!norm && multiplier == 1) return project(k, b.residual, x, w, adapter, b.low_rank, true);
  project(k, b.branch, x, w, adapter, b.low_rank, false);
  if (norm) k.rmsnorm(b.branch, b.branch, norm, model.config.rms_norm_eps);
  if (multiplier != 1) k.scale(b.branch, multiplier, {});
  k.add(b.residual, b.branch);
}

/// What a half of the layer reads: the residual, normalised where there is a norm.
void read_residual(const Model& model, const LayerBuffers& b, Tensor norm) {
  const Kernels& k = model.kernels();
  if (norm) return k.rmsnorm(b.normed, b.residual, norm, model.config.rms_norm_eps);
  k.convert(b.normed, b.residual);
}

/// Whether the operations that do several things for few rows may take the place of their parts.
bool fused(const Kernels& k, const LayerBuffers& b) {
  return !b.kept && b.residual.rows() <= k.fused_rows && b.mlp.dtype == DType::F32;
}

/// q, k and v from the residual.
void project_heads(const Model& model, const LayerWeights& w, const LayerAdapters& low,
                   const LayerBuffers& b) {
  const Kernels& k = model.kernels();
  float eps = model.config.rms_norm_eps;
  if (fused(k, b) && w.attn_norm && !low.q && !low.k && !low.v) {
    const std::array<Projection, kMostProjections> projections{{{b.q, &w.q}, {b.k, &w.k}, {b.v, &w.v}}};
    k.norm_linear(projections, b.residual, w.attn_norm, eps);
    return;
  }
  read_residual(model, b, w.attn_norm);
  project(k, b.q, b.normed, w.q, low.q, b.low_rank, false);
  project(k, b.k, b.normed, w.k, low.k, b.low_rank, false);
  project(k, b.v, b.normed, w.v, low.v, b.low_rank, false);
}

/// Whether queries and keys are turned so that four bits hold the keys; xPos weighs their elements one by
/// one.
bool turns_keys(const LayerKind& kind, const LayerKv& kv) {
  return kv.keys[0].dtype == DType::Q4_0 && !kind.shape.decay;
}

/// By rotation.
using RotatedQueries = std::array<Tensor, kMaxZones>;

/// The parts of rope_store, for any number of rotations; returns the queries of each.
RotatedQueries rotate_each(const Model& model, const LayerKind& kind, const LayerBuffers& b,
                           const LayerKv& kv) {
  const ModelConfig& c = model.config;
  const Kernels& k = model.kernels();
  const Sequences& sequences = kind.shape.sequences;
  bool turned = turns_keys(kind, kv);
  RotatedQueries queries;
  for (size_t r = 0; r < kind.queries.size(); ++r) {
    bool last = r + 1 == kind.queries.size();  // the last rotates in place, the others rotate copies
    Tensor q = last ? b.q : b.rotated_q.slice(static_cast<int64_t>(r) * b.q.rows(), b.q.rows());
    if (!last) k.convert(q, b.q);
    k.rope(q, kind.queries[r], c.num_attention_heads, c.head_dim, Turn::Forward);
    if (turned) k.hadamard(q, c.num_attention_heads, c.head_dim);
    queries[r] = q;
  }
  for (size_t r = 0; r < kind.keys.size(); ++r) {
    bool last = r + 1 == kind.keys.size();
    Tensor key = last ? b.k : b.rotated_k.slice(0, b.k.rows());
    if (!last) k.convert(key, b.k);
    k.rope(key, kind.keys[r], c.num_key_value_heads, c.head_dim, Turn::Forward);
    if (turned) k.hadamard(key, c.num_key_value_heads, c.head_dim);
    k.store_kv(kv.keys[r], key, sequences);
  }
  k.store_kv(kv.values, b.v, sequences);
  return queries;
}

/// Rotates q and k for every zone, stores keys and values, and returns what attention reads of each zone.
std::array<AttentionZone, kMaxZones> rotate_and_store(const Model& model, const LayerKind& kind,
                                                      const LayerBuffers& b, const LayerKv& kv) {
  const Kernels& k = model.kernels();
  const Sequences& sequences = kind.shape.sequences;
  RotatedQueries queries;
  if (fused(k, b) && kind.queries.size() == 1 && kind.keys.size() == 1 && !turns_keys(kind, kv)) {
    k.rope_store(b.q, b.k, b.v, kind.queries[0], kind.keys[0], kv.keys[0], kv.values, sequences);
    queries[0] = b.q;
  } else {
    queries = rotate_each(model, kind, b, kv);
  }
  std::array<AttentionZone, kMaxZones> zones;
  for (size_t z = 0; z < kind.from.size(); ++z)
    zones[z] = {kind.from[z], queries[kind.rotations.query_of[z]], kv.keys[kind.rotations.key_of[z]]};
  return zones;
}

}  // namespace

int64_t Model::adapter_rank() const {
  int64_t rank = 0;
  for (const LayerAdapters& l : adapters)
    for (const Adapter* a : {&l.q, &l.k, &l.v, &l.o, &l.gate, &l.up, &l.down})
      if (*a) rank = std::max(rank, a->a.weight.rows());
  return rank;
}

const LayerAdapters& adapters_of(const Model& model, int64_t layer) {
  return model.adapters.empty() ? kNoAdapters : model.adapters[static_cast<size_t>(layer)];
}

void project(const Kernels& k, Tensor out, Tensor x, const Linear& w, const Adapter& adapter, Tensor low,
             bool accumulate) {
  k.linear(out, x, w, accumulate);
  if (adapter) k.low_rank(out, low.viewed(DType::F32, x.rows(), adapter.a.weight.rows()), x, adapter);
}

void normalise_heads(const Model& model, Tensor x, Tensor weight) {
  if (!weight) return;
  int64_t d = weight.size[0];
  Tensor heads = x.viewed(x.dtype, x.rows() * x.cols() / d, d);
  model.kernels().rmsnorm(heads, heads, weight, model.config.rms_norm_eps);
}

void attend(const Model& model, int64_t layer, const LayerAdapters& low, const LayerKind& kind,
            const LayerBuffers& b, const LayerKv& kv, const AttentionObserver& observer) {
  const Kernels& k = model.kernels();
  const LayerWeights& w = model.weights.layers[static_cast<size_t>(layer)];
  project_heads(model, w, low, b);
  normalise_heads(model, b.q, w.q_norm);
  normalise_heads(model, b.k, w.k_norm);
  if (kind.sharpness) k.scale(b.q, 1, kind.sharpness);
  const std::array<AttentionZone, kMaxZones> all = rotate_and_store(model, kind, b, kv);
  std::span<const AttentionZone> zones = std::span(all).first(kind.from.size());
  if (observer) observer(layer, zones, kind.shape);
  if (!b.attended_is_kept) {
    k.attention(b.attended, b.log_sum, zones, kv.values, kind.shape);
    if (kv.far) add_far_attention(k, *kv.far, zones.back().q, b.attended, b.log_sum);
  }
  add_branch(model, b, b.attended, w.o, low.o, w.attn_post_norm);
}

void gate_mlp(const Model& model, int64_t layer, const LayerAdapters& low, const LayerBuffers& b) {
  const Kernels& k = model.kernels();
  const LayerWeights& w = model.weights.layers[static_cast<size_t>(layer)];
  const ModelConfig& c = model.config;
  if (fused(k, b) && w.mlp_norm && !low.gate && !low.up)
    return k.norm_gate(b.mlp, b.residual, w.mlp_norm, c.rms_norm_eps, w.gate, w.up, c.activation);
  read_residual(model, b, w.mlp_norm);
  project(k, b.gate, b.normed, w.gate, low.gate, b.low_rank, false);
  project(k, b.up, b.normed, w.up, low.up, b.low_rank, false);
  k.gate(b.mlp, b.gate, b.up, c.activation);
}

void add_mlp(const Model& model, int64_t layer, const LayerAdapters& low, const LayerBuffers& b) {
  const LayerWeights& w = model.weights.layers[static_cast<size_t>(layer)];
  add_branch(model, b, b.mlp, w.down, low.down, w.mlp_post_norm);
}

void embed_tokens(const Model& model, Tensor residual, Tensor ids) {
  model.kernels().embed(residual, model.weights.embedding, ids);
  if (model.config.embedding_scale != 1)
    model.kernels().scale(residual, static_cast<float>(model.config.embedding_scale), {});
}

}  // namespace longspan
