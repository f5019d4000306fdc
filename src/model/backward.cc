// The gradient of one row. The chain rule of block.cc, half by half from the last layer to the first; in each
// half the norm's output is made again from the residual stream (cheaper than keeping it).
#include <algorithm>
#include <cassert>
#include <cstring>

#include "base/error.h"
#include "base/threads.h"
#include "model/block.h"
#include "model/gradients.h"

namespace longspan {

/// What backward needs of a layer, and what its forward writes on the way.
struct LayerSet {
  Tensor middle;             // [T, C] F32: the residual after attention
  Tensor q, rotated_q;       // F32
  Tensor attended, log_sum;  // [T, H D], [T, H]
  Tensor gate, up;           // [T, F] F32
  std::vector<void*> pages;  // keys, one rotation after the other, then values
};

class TrainingBuffers {
 public:
  TrainingPlan plan;
  int64_t rows = 0, pages = 0;
  DType dtype = DType::F32;    // of what feeds products, and of keys and values
  std::vector<Tensor> stream;  // [L + 1] of [T, C] F32: the residual between layers
  std::vector<LayerSet> sets;  // one, or one a layer
  Tensor normed, k, v, rotated_k, mlp;
  Tensor cos, sin, minus_sin;  // [tables T, r/2]
  // Gradients. d_small and d_wide hold what feeds products, in `dtype`.
  Tensor dx, dnormed, dhidden, dattended, dmlp, dv, dq, dk, dgate, dup, d_small, d_q, d_k, d_v, q_raw, k_raw;
  // The head: rows that have a target, gathered.
  Tensor hidden, original, gathered, dgathered, logits, original_logits, dlogits;
  Arena arena;
};

namespace {

struct Part {
  const char* label;
  Tensor TrainingBuffers::*tensor;
  int64_t rows, cols;
  bool product = false;  // feeds products: in the type of those
};

std::vector<Part> shared_parts(const ModelConfig& c, const PositionSpec& spec, int64_t T,
                               const TrainingPlan& plan) {
  int64_t C = c.hidden_size, F = c.intermediate_size, q = c.num_attention_heads * c.head_dim,
          kv = c.num_key_value_heads * c.head_dim, half = c.rotary_dim / 2, V = c.vocab_size,
          n = plan.head_chunk;
  auto zones = static_cast<int64_t>(spec.zones.size());
  Rotations r = rotations(spec);
  int64_t tables = rope_tables(c, spec), head_norms = c.qk_norm ? T : 0;
  using B = TrainingBuffers;
  return {{"normed", &B::normed, T, C, true},
          {"k", &B::k, T, kv},
          {"v", &B::v, T, kv},
          {"rotated k", &B::rotated_k, r.keys.size() > 1 ? T : 0, kv},
          {"mlp", &B::mlp, T, F, true},
          {"angles", &B::cos, tables * T, half},
          {"angles", &B::sin, tables * T, half},
          {"angles", &B::minus_sin, tables * T, half},
          {"gradients of activations", &B::dx, T, C},
          {"gradients of activations", &B::dnormed, T, C},
          {"gradients of activations", &B::dhidden, T, C},
          {"gradients of activations", &B::dattended, T, q},
          {"gradients of activations", &B::dmlp, T, F},
          {"gradients of activations", &B::dv, T, kv},
          {"gradients of activations", &B::dq, zones * T, q},
          {"gradients of activations", &B::dk, zones * T, kv},
          {"gradients of activations", &B::dgate, T, F, true},
          {"gradients of activations", &B::dup, T, F, true},
          {"gradients of activations", &B::d_small, T, C, true},
          {"gradients of activations", &B::d_q, T, q, true},
          {"gradients of activations", &B::d_k, T, kv, true},
          {"gradients of activations", &B::d_v, T, kv, true},
          {"gradients of activations", &B::q_raw, 2 * head_norms, q},
          {"gradients of activations", &B::k_raw, 2 * head_norms, kv},
          {"head", &B::hidden, T, C},
          {"head", &B::original, T, C},
          {"head", &B::gathered, n, C, true},
          {"head", &B::dgathered, n, C},
          {"head", &B::logits, n, V},
          {"head", &B::original_logits, n, V},
          {"head", &B::dlogits, n, V, true}};
}

struct SetPart {
  Tensor LayerSet::*tensor;
  int64_t rows, cols;
  bool product = false;
};

std::vector<SetPart> set_parts(const ModelConfig& c, const PositionSpec& spec, int64_t T) {
  int64_t q = c.num_attention_heads * c.head_dim;
  auto queries = static_cast<int64_t>(rotations(spec).queries.size());
  return {{&LayerSet::middle, T, c.hidden_size},          {&LayerSet::q, T, q},
          {&LayerSet::rotated_q, (queries - 1) * T, q},   {&LayerSet::attended, T, q, true},
          {&LayerSet::log_sum, T, c.num_attention_heads}, {&LayerSet::gate, T, c.intermediate_size},
          {&LayerSet::up, T, c.intermediate_size}};
}

/// The first rows of a buffer, or nothing of nothing.
Tensor first(const Tensor& t, int64_t rows) { return t ? t.slice(0, rows) : t; }

void zero(Tensor x) {
  parallel_for(x.rows(), [&](int64_t t) {
    std::memset(x.row<void>(t), 0, static_cast<size_t>(dtype_bytes(x.dtype, x.cols())));
  });
}

/// x in the type that feeds products: itself, or rounded into `to`.
Tensor rounded(Tensor x, Tensor to) {
  if (to.dtype == x.dtype) return x;
  parallel_for(x.rows(), [&](int64_t t) {
    std::transform(x.row(t), x.row(t) + x.cols(), to.row<uint16_t>(t), f32_to_bf16);
  });
  return to;
}

void multiply(Tensor x, float factor) {
  for (int64_t t = 0; t < x.rows(); ++t)
    for (int64_t i = 0; i < x.cols(); ++i) x.row(t)[i] *= factor;
}

void add(Tensor to, Tensor x) {
  parallel_for(x.rows(), [&](int64_t t) {
    for (int64_t i = 0; i < x.cols(); ++i) to.row(t)[i] += x.row(t)[i];
  });
}

/// Of one pass over one row.
struct Pass {
  TrainingModel& m;
  TrainingBuffers& b;
  int64_t T;
  LayerKinds kinds, back;  // back: the same turned the other way

  const Model& model() const { return m.model; }
  const Kernels& k() const { return *m.model.kernels; }

  LayerSet& set(int64_t layer) { return b.sets[b.sets.size() == 1 ? 0 : static_cast<size_t>(layer)]; }

  LayerBuffers buffers(int64_t layer, Tensor residual) {
    LayerSet& s = set(layer);
    return {.residual = residual,
            .normed = first(b.normed, T),
            .branch = {},
            .q = first(s.q, T),
            .k = first(b.k, T),
            .v = first(b.v, T),
            .rotated_q = s.rotated_q,
            .rotated_k = b.rotated_k,
            .attended = first(s.attended, T),
            .log_sum = first(s.log_sum, T),
            .gate = first(s.gate, T),
            .up = first(s.up, T),
            .mlp = first(b.mlp, T)};
  }

  LayerKv kv(int64_t layer) {
    const ModelConfig& c = m.model.config;
    LayerSet& s = set(layer);
    auto view = [&](size_t i) {
      std::span<void* const> all(s.pages);
      return KvPages{all.subspan(i * static_cast<size_t>(b.pages), static_cast<size_t>(b.pages)), b.dtype,
                     c.num_key_value_heads, c.head_dim};
    };
    LayerKv kv;
    size_t copies = kinds.of(c, layer).positions.keys.size();
    for (size_t i = 0; i < copies; ++i) kv.keys.push_back(view(i));
    kv.values = view(s.pages.size() / static_cast<size_t>(b.pages) - 1);
    return kv;
  }

  /// A layer's forward from stream[layer] to its mlp, and to stream[layer + 1] where `to_end`.
  void layer_forward(int64_t layer, bool to_end) {
    LayerBuffers l = buffers(layer, first(set(layer).middle, T));
    copy_rows(l.residual, first(b.stream[static_cast<size_t>(layer)], T));
    attend(m.model, layer, kinds.of(m.model.config, layer), l, kv(layer), {});
    gate_mlp(m.model, layer, l);
    if (!to_end) return;
    LayerBuffers next = l;
    next.residual = first(b.stream[static_cast<size_t>(layer) + 1], T);
    copy_rows(next.residual, l.residual);
    add_mlp(m.model, layer, next);
  }

  /// dx (+)= what flows back through a projection; its gradients are added. dout and x in the products' type.
  void project_back(Tensor dx, Tensor dout, Tensor x, const Linear& w, const Adapter& adapter,
                    const LinearGradient& g, bool accumulate) {
    if (g.weight) k().linear_weight_gradient(g.weight, g.bias, dout, x);
    k().linear_input_gradient(dx, dout, w, accumulate);
    if (!adapter) return;
    int64_t rank = adapter.a.weight.rows();
    std::vector<float> memory(static_cast<size_t>(T * rank));
    std::vector<uint16_t> halves(memory.size());
    Tensor low = matrix_view(memory.data(), DType::F32, T, rank),
           half = b.dtype == DType::F32 ? low : matrix_view(halves.data(), DType::BF16, T, rank);
    k().linear(low, x, adapter.a, false);
    multiply(low, adapter.scale);
    if (g.b) k().linear_weight_gradient(g.b, {}, dout, rounded(low, half));
    k().linear_input_gradient(low, dout, adapter.b, false);
    multiply(low, adapter.scale);
    Tensor dlow = rounded(low, half);
    if (g.a) k().linear_weight_gradient(g.a, {}, dlow, x);
    k().linear_input_gradient(dx, dlow, adapter.a, true);
  }

  void mlp_back(int64_t layer) {
    const LayerWeights& w = model().weights.layers[static_cast<size_t>(layer)];
    const LayerGradients& g = m.gradients->layers[static_cast<size_t>(layer)];
    const LayerAdapters none,
        &low = m.model.adapters.empty() ? none : m.model.adapters[static_cast<size_t>(layer)];
    LayerBuffers l = buffers(layer, first(set(layer).middle, T));
    float eps = model().config.rms_norm_eps;
    if (b.sets.size() > 1) {  // with recompute both are fresh
      k().rmsnorm(l.normed, l.residual, w.mlp_norm, eps);
      k().swiglu(l.mlp, l.gate, l.up);
    }
    Tensor dx = first(b.dx, T), dnormed = first(b.dnormed, T), dmlp = first(b.dmlp, T),
           dgate = first(b.dgate, T), dup = first(b.dup, T);
    project_back(dmlp, rounded(dx, first(b.d_small, T)), l.mlp, w.down, low.down, g.down, false);
    k().swiglu_backward(dgate, dup, dmlp, l.gate, l.up);
    project_back(dnormed, dgate, l.normed, w.gate, low.gate, g.gate, false);
    project_back(dnormed, dup, l.normed, w.up, low.up, g.up, true);
    k().rmsnorm_backward(dx, g.mlp_norm, dnormed, l.residual, w.mlp_norm, eps);
  }

  /// Gradients of what was rotated, zone by zone, turned back and added up into the first zone's.
  Tensor turned_back(const Tensor& zones, const std::vector<RopeTable>& tables, const std::vector<size_t>& of,
                     int64_t heads) {
    Tensor sum = zones.slice(0, T);
    for (size_t z = 0; z < of.size(); ++z) {
      Tensor part = zones.slice(static_cast<int64_t>(z) * T, T);
      k().rope(part, tables[of[z]], heads, model().config.head_dim);
      if (z > 0) add(sum, part);
    }
    return sum;
  }

  /// Through the norm of each head: dx becomes the gradient of what the projection gave, which is made again.
  void head_norm_back(Tensor dx, Tensor raw, const LayerBuffers& l, const Linear& w, const Adapter& adapter,
                      Tensor weight, Tensor dweight) {
    if (!weight) return;
    Tensor x = raw.slice(0, T), d = raw.slice(T, T);
    project(k(), x, l.normed, w, adapter, false);
    zero(d);
    int64_t size = model().config.head_dim, n = T * x.cols() / size;
    auto heads = [&](const Tensor& t) { return matrix_view(t.data, DType::F32, n, size); };
    k().rmsnorm_backward(heads(d), dweight, heads(dx), heads(x), weight, model().config.rms_norm_eps);
    copy_rows(dx, d);
  }

  void attention_back(int64_t layer) {
    const ModelConfig& c = model().config;
    const LayerWeights& w = model().weights.layers[static_cast<size_t>(layer)];
    const LayerGradients& g = m.gradients->layers[static_cast<size_t>(layer)];
    const LayerAdapters none,
        &low = m.model.adapters.empty() ? none : m.model.adapters[static_cast<size_t>(layer)];
    const LayerKind& kind = kinds.of(c, layer);
    Tensor x = first(b.stream[static_cast<size_t>(layer)], T);
    LayerBuffers l = buffers(layer, x);
    Tensor dx = first(b.dx, T), dattended = first(b.dattended, T);
    project_back(dattended, rounded(dx, first(b.d_small, T)), l.attended, w.o, low.o, g.o, false);

    LayerKv pages = kv(layer);
    const Rotations& r = kind.positions.rotations;
    std::vector<AttentionZone> zones;
    AttentionGradients out;
    for (size_t z = 0; z < kind.spec.zones.size(); ++z) {
      bool last = r.query_of[z] + 1 == kind.positions.queries.size();
      Tensor q = last ? l.q : l.rotated_q.slice(static_cast<int64_t>(r.query_of[z]) * T, T);
      zones.push_back({kind.spec.zones[z].from, q, pages.keys[r.key_of[z]]});
      out.q[z] = b.dq.slice(static_cast<int64_t>(z) * T, T);
      out.keys[z] = b.dk.slice(static_cast<int64_t>(z) * T, T);
    }
    out.values = first(b.dv, T);
    k().attention_backward(out, dattended, l.attended, l.log_sum, zones, pages.values, kind.shape);

    const LayerKind& turned = back.of(c, layer);
    Tensor dq = turned_back(b.dq, turned.positions.queries, r.query_of, c.num_attention_heads),
           dk = turned_back(b.dk, turned.positions.keys, r.key_of, c.num_key_value_heads);
    if (kind.spec.log_n > 0)
      parallel_for(T, [&](int64_t t) { multiply(dq.slice(t, 1), sharpness(kind.spec, kind.position(t))); });
    k().rmsnorm(l.normed, x, w.attn_norm, c.rms_norm_eps);
    head_norm_back(dq, b.q_raw, l, w.q, low.q, w.q_norm, g.q_norm);
    head_norm_back(dk, b.k_raw, l, w.k, low.k, w.k_norm, g.k_norm);

    Tensor dnormed = first(b.dnormed, T);
    project_back(dnormed, rounded(dq, first(b.d_q, T)), l.normed, w.q, low.q, g.q, false);
    project_back(dnormed, rounded(dk, first(b.d_k, T)), l.normed, w.k, low.k, g.k, true);
    project_back(dnormed, rounded(out.values, first(b.d_v, T)), l.normed, w.v, low.v, g.v, true);
    k().rmsnorm_backward(dx, g.attn_norm, dnormed, x, w.attn_norm, c.rms_norm_eps);
  }
};

Batch batch_of(const TrainingRow& row) {
  Batch batch;
  batch.ids = row.ids, batch.positions = row.positions, batch.starts = row.starts;
  return batch;
}

/// The final norm's output of every token, in `hidden`; the stream of every layer is kept.
void forward_pass(Pass& pass, const TrainingRow& row, Tensor hidden) {
  const Model& model = pass.model();
  embed_tokens(model, first(pass.b.stream[0], pass.T), row.ids);
  for (int64_t l = 0; l < model.config.num_hidden_layers; ++l) pass.layer_forward(l, true);
  model.kernels->rmsnorm(hidden, first(pass.b.stream.back(), pass.T), model.weights.final_norm,
                         model.config.rms_norm_eps);
}

/// The final norm's output of a model that does not train, layer by layer in one set of buffers.
void original_hidden(const Model& model, const PositionSpec& spec, const TrainingRow& row, TrainingBuffers& b,
                     Tensor hidden) {
  if (spec.zones.size() != 1 || rotations(spec).keys.size() != 1 || rotations(spec).queries.size() != 1)
    fail("the original model's own positions must be of one zone to be compared with");
  Batch batch = batch_of(row);
  int64_t T = row.tokens(), half = model.config.rotary_dim / 2, tables = rope_tables(model.config, spec);
  Arena angles;
  LayerKinds kinds =
      layer_kinds(model.config, spec, batch, angles.matrix("angles", DType::F32, tables * T, half),
                  angles.matrix("angles", DType::F32, tables * T, half));
  LayerSet& s = b.sets[0];
  LayerBuffers l{.residual = first(b.stream[0], T),
                 .normed = first(b.normed, T),
                 .branch = first(b.dnormed, T),
                 .q = first(s.q, T),
                 .k = first(b.k, T),
                 .v = first(b.v, T),
                 .rotated_q = {},
                 .rotated_k = {},
                 .attended = first(s.attended, T),
                 .log_sum = {},
                 .gate = first(s.gate, T),
                 .up = first(s.up, T),
                 .mlp = first(b.mlp, T)};
  std::span<void* const> pages(s.pages);
  auto n = static_cast<size_t>(b.pages);
  auto view = [&](size_t i) {
    return KvPages{pages.subspan(i * n, n), b.dtype, model.config.num_key_value_heads, model.config.head_dim};
  };
  LayerKv kv{{view(0)}, view(1)};
  embed_tokens(model, l.residual, row.ids);
  for (int64_t layer = 0; layer < model.config.num_hidden_layers; ++layer) {
    attend(model, layer, kinds.of(model.config, layer), l, kv, {});
    gate_mlp(model, layer, l);
    add_mlp(model, layer, l);
  }
  model.kernels->rmsnorm(hidden, l.residual, model.weights.final_norm, model.config.rms_norm_eps);
}

/// From dhidden to every parameter.
void backward_pass(Pass& pass, const TrainingRow& row) {
  const Model& model = pass.model();
  TrainingBuffers& b = pass.b;
  Tensor dx = first(b.dx, pass.T);
  zero(dx);
  model.kernels->rmsnorm_backward(dx, pass.m.gradients->final_norm, first(b.dhidden, pass.T),
                                  first(b.stream.back(), pass.T), model.weights.final_norm,
                                  model.config.rms_norm_eps);
  for (int64_t l = model.config.num_hidden_layers - 1; l >= 0; --l) {
    if (b.sets.size() == 1) pass.layer_forward(l, false);
    pass.mlp_back(l);
    pass.attention_back(l);
  }
  if (pass.m.gradients->embedding) model.kernels->embed_backward(pass.m.gradients->embedding, dx, row.ids);
}

Pass make_pass(TrainingModel& m, const PositionSpec& spec, const TrainingRow& row, TrainingBuffers& b) {
  int64_t T = row.tokens();
  if (T > b.rows)
    fail("a training row of {} tokens is longer than the {} that buffers were made for", T, b.rows);
  assert(T > 0 && row.positions.size() == row.ids.size() && row.starts.size() == row.ids.size());
  Batch batch = batch_of(row);
  Pass pass{m, b, T, layer_kinds(m.model.config, spec, batch, b.cos, b.sin), {}};
  parallel_for(b.sin.rows(), [&](int64_t t) {
    for (int64_t i = 0; i < b.sin.cols(); ++i) b.minus_sin.row(t)[i] = -b.sin.row(t)[i];
  });
  pass.back = pass.kinds;
  for (LayerKind* kind : {&pass.back.whole, &pass.back.local})
    for (auto* tables : {&kind->positions.queries, &kind->positions.keys})
      for (RopeTable& table : *tables) {
        auto* base = static_cast<std::byte*>(b.sin.data);
        table.sin.data =
            static_cast<std::byte*>(b.minus_sin.data) + (static_cast<std::byte*>(table.sin.data) - base);
      }
  return pass;
}

/// Rows that count, in chunks: body(rows, targets, weights).
void in_chunks(const TrainingRow& row, int64_t chunk, bool targets_needed,
               const std::function<void(std::span<const int64_t>, std::span<const int32_t>,
                                        std::span<const float>)>& body) {
  std::vector<int64_t> rows;
  std::vector<int32_t> targets;
  std::vector<float> weights;
  for (int64_t t = 0; t < row.tokens(); ++t) {
    auto at = static_cast<size_t>(t);
    if (row.weights[at] != 0 && (!targets_needed || row.targets[at] >= 0)) {
      rows.push_back(t);
      targets.push_back(row.targets[at]);
      weights.push_back(row.weights[at]);
    }
    if (static_cast<int64_t>(rows.size()) == chunk || (t + 1 == row.tokens() && !rows.empty())) {
      body(rows, targets, weights);
      rows.clear(), targets.clear(), weights.clear();
    }
  }
}

/// Rows of `from` in the products' type, in b.gathered.
Tensor gather(TrainingBuffers& b, Tensor from, std::span<const int64_t> rows) {
  auto n = static_cast<int64_t>(rows.size());
  Tensor x = first(b.gathered, n);
  parallel_for(n, [&](int64_t i) {
    const float* source = from.row(rows[static_cast<size_t>(i)]);
    if (x.dtype == DType::F32)
      std::copy_n(source, x.cols(), x.row(i));
    else
      std::transform(source, source + x.cols(), x.row<uint16_t>(i), f32_to_bf16);
  });
  return x;
}

/// The head's product with rows of `from`.
Tensor logits_of(const Model& model, TrainingBuffers& b, Tensor from, std::span<const int64_t> rows,
                 Tensor logits) {
  Tensor out = first(logits, static_cast<int64_t>(rows.size()));
  model.kernels->linear(out, gather(b, from, rows), model.weights.head, false);
  return out;
}

/// From the gradient of logits (whose rows b.gathered still holds) to that of hidden rows, and of the head.
void head_back(Pass& pass, Tensor dlogits, std::span<const int64_t> rows) {
  TrainingBuffers& b = pass.b;
  auto n = static_cast<int64_t>(rows.size());
  Tensor d = rounded(dlogits, first(b.dlogits, n)), dx = first(b.dgathered, n);
  const LinearGradient& g = pass.m.gradients->head;
  if (g.weight) pass.k().linear_weight_gradient(g.weight, {}, d, first(b.gathered, n));
  pass.k().linear_input_gradient(dx, d, pass.model().weights.head, false);
  parallel_for(
      n, [&](int64_t i) { std::copy_n(dx.row(i), dx.cols(), b.dhidden.row(rows[static_cast<size_t>(i)])); });
}

}  // namespace

std::shared_ptr<TrainingBuffers> make_training_buffers(const TrainingModel& m, const PositionSpec& spec,
                                                       int64_t tokens, const TrainingPlan& plan) {
  auto b = std::make_shared<TrainingBuffers>();
  const ModelConfig& c = m.model.config;
  b->plan = plan, b->rows = tokens, b->pages = pages_for(tokens);
  b->dtype = m.model.compute == Compute::BF16 ? DType::BF16 : DType::F32;
  for (const Part& p : shared_parts(c, spec, tokens, plan))
    if (p.rows > 0)
      (*b).*p.tensor = b->arena.matrix(p.label, p.product ? b->dtype : DType::F32, p.rows, p.cols);
  for (int64_t l = 0; l <= c.num_hidden_layers; ++l)
    b->stream.push_back(b->arena.matrix("residual stream", DType::F32, tokens, c.hidden_size));
  b->sets.resize(plan.recompute ? 1 : static_cast<size_t>(c.num_hidden_layers));
  auto views = static_cast<int64_t>(rotations(spec).keys.size()) + 1;
  for (LayerSet& s : b->sets) {
    for (const SetPart& p : set_parts(c, spec, tokens))
      if (p.rows > 0)
        s.*p.tensor = b->arena.matrix("layers", p.product ? b->dtype : DType::F32, p.rows, p.cols);
    auto* memory = static_cast<std::byte*>(
        b->arena.allocate("keys and values", views * b->pages * page_bytes(c, b->dtype)));
    for (int64_t i = 0; i < views * b->pages; ++i) s.pages.push_back(memory + i * page_bytes(c, b->dtype));
  }
  return b;
}

int64_t training_buffer_bytes(const ModelConfig& c, Compute compute, const PositionSpec& spec, int64_t tokens,
                              const TrainingPlan& plan) {
  DType dtype = compute == Compute::BF16 ? DType::BF16 : DType::F32;
  int64_t bytes = (c.num_hidden_layers + 1) * dtype_bytes(DType::F32, tokens * c.hidden_size);
  for (const Part& p : shared_parts(c, spec, tokens, plan))
    bytes += dtype_bytes(p.product ? dtype : DType::F32, p.rows * p.cols);
  int64_t set =
      (static_cast<int64_t>(rotations(spec).keys.size()) + 1) * pages_for(tokens) * page_bytes(c, dtype);
  for (const SetPart& p : set_parts(c, spec, tokens))
    set += dtype_bytes(p.product ? dtype : DType::F32, p.rows * p.cols);
  return bytes + set * (plan.recompute ? 1 : c.num_hidden_layers);
}

namespace {

/// Forward, `loss_of` on the logits of each chunk of rows that count (it leaves their gradient in their
/// place), and backward unless scale is 0.
RowLoss row_pass(
    TrainingModel& m, const PositionSpec& spec, const TrainingRow& row, double scale, TrainingBuffers& b,
    bool targets_needed,
    const std::function<double(Tensor logits, std::span<const int64_t> rows, std::span<const int32_t> targets,
                               std::span<const float> weights)>& loss_of) {
  Pass pass = make_pass(m, spec, row, b);
  Tensor hidden = first(b.hidden, pass.T);
  forward_pass(pass, row, hidden);
  if (scale != 0) zero(first(b.dhidden, pass.T));
  RowLoss loss;
  in_chunks(row, b.plan.head_chunk, targets_needed, [&](auto rows, auto targets, auto weights) {
    Tensor logits = logits_of(m.model, b, hidden, rows, b.logits);
    loss.loss += loss_of(logits, rows, targets, weights);
    for (float w : weights) loss.weight += w;
    loss.targets += static_cast<int64_t>(rows.size());
    if (scale != 0) head_back(pass, logits, rows);
  });
  if (scale != 0 && loss.targets > 0) backward_pass(pass, row);
  return loss;
}

}  // namespace

RowLoss row_gradient(TrainingModel& m, const PositionSpec& spec, const TrainingRow& row, double scale,
                     TrainingBuffers& b) {
  return row_pass(m, spec, row, scale, b, true, [&](Tensor logits, auto, auto targets, auto weights) {
    return m.model.kernels->cross_entropy(logits, targets, weights, scale);
  });
}

RowLoss row_divergence(TrainingModel& m, const PositionSpec& spec, const Model* original,
                       const PositionSpec& original_spec, const TrainingRow& row, double scale,
                       TrainingBuffers& b) {
  Tensor target = first(b.original, row.tokens());
  // The model of before: another one, or this one without its adapters.
  std::vector<LayerAdapters> adapters;
  if (!original) adapters.swap(m.model.adapters);
  original_hidden(original ? *original : m.model, original_spec, row, b, target);
  if (!original) adapters.swap(m.model.adapters);
  return row_pass(m, spec, row, scale, b, false, [&](Tensor logits, auto rows, auto, auto weights) {
    Tensor wanted = logits_of(original ? *original : m.model, b, target, rows, b.original_logits);
    // The rows gathered last are those whose gradient flows back.
    gather(b, first(b.hidden, row.tokens()), rows);
    return m.model.kernels->divergence(logits, wanted, weights, scale);
  });
}

}  // namespace longspan
