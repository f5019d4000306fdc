// The gradient of one row. The chain rule of block.cc, half by half from the last layer to the first; in each
// half the norm's output is recomputed from the residual stream, which is cheaper than keeping it.
#include <algorithm>
#include <cassert>

#include "base/error.h"
#include "model/block.h"
#include "model/frozen_context.h"
#include "model/gradients.h"
#include "model/training_buffers.h"

namespace longspan {

namespace {

/// The first rows; a null tensor stays null.
Tensor first(const Tensor& t, int64_t rows) { return t ? t.slice(0, rows) : t; }

/// Whether a pass uses the model's adapters.
enum class Adapters : uint8_t { Use, Skip };

PassRows rows_of(const TrainingRow& row, const PositionSpec& spec, std::span<const int32_t> pages) {
  PassRows rows;
  rows.ids = row.ids, rows.positions = row.positions, rows.indices = false;
  rows.starts.assign(row.starts.begin(), row.starts.end());
  rows.first = {0, static_cast<int32_t>(row.ids.size())}, rows.past = {0};
  rows.specs = {&spec}, rows.pages = {pages};
  return rows;
}

/// One pass over one row.
struct Pass {
  const Model& model;
  Gradients& gradients;
  TrainingBuffers& b;
  int64_t T;
  LayerKinds kinds;
  FrozenContext* frozen = nullptr;  // what the rows stand behind, or nothing

  const ModelConfig& config() const { return model.config; }
  const Kernels& k() const { return model.kernels(); }
  float eps() const { return model.config.rms_norm_eps; }

  /// The layer's own, or the one that all share.
  AttentionSet& attention(int64_t layer) {
    return b.attention[b.attention.size() == 1 ? 0 : static_cast<size_t>(layer)];
  }
  LayerSet& set(int64_t layer) { return b.sets[b.sets.size() == 1 ? 0 : static_cast<size_t>(layer)]; }

  LayerBuffers buffers(int64_t layer, Tensor residual) {
    LayerSet& s = set(layer);
    AttentionSet& a = attention(layer);
    return {.residual = residual,
            .normed = first(b.normed, T),
            .branch = first(b.branch, T),
            .q = first(s.q, T),
            .k = first(b.k, T),
            .v = first(b.v, T),
            .rotated_q = s.rotated_q,
            .rotated_k = b.rotated_k,
            .attended = first(a.attended, T),
            .log_sum = first(a.log_sum, T),
            .gate = first(s.gate, T),
            .up = first(s.up, T),
            .mlp = first(b.mlp, T),
            .low_rank = b.low_rank};
  }

  /// The layer's pages: `copies` views of keys, followed by one of values.
  LayerKv kv(int64_t layer) {
    const ModelConfig& c = config();
    if (frozen) return frozen->kv(layer, kinds.of(c, layer), b.inputs.table);
    int64_t rows = c.num_key_value_heads * kPageTokens, pages = pages_for(b.rows);
    auto view = [&](int64_t i) {
      Tensor part = set(layer).kv.slice(i * pages * rows, pages * rows);
      return KvPages{.memory = static_cast<std::byte*>(part.data),
                     .stride = dtype_bytes(b.dtype, rows * c.head_dim),
                     .table = b.inputs.table,
                     .dtype = b.dtype,
                     .heads = c.num_key_value_heads,
                     .head_dim = c.head_dim};
    };
    LayerKv kv;
    int64_t copies = std::ssize(kinds.of(c, layer).keys);
    for (int64_t i = 0; i < copies; ++i) kv.keys.push_back(view(i));
    kv.values = view(set(layer).kv.rows() / (pages * rows) - 1);
    return kv;
  }

  /// A layer's forward from stream[layer] to its mlp, and to stream[layer + 1] where `to_end`; otherwise it
  /// runs a second time, for backward.
  void layer_forward(int64_t layer, bool to_end) {
    const LayerAdapters& low = adapters_of(model, layer);
    LayerBuffers l = buffers(layer, first(set(layer).middle, T));
    l.attended_is_kept = !to_end && b.attention.size() > 1;
    k().convert(l.residual, first(b.stream[static_cast<size_t>(layer)], T));
    attend(model, layer, low, kinds.of(config(), layer), l, kv(layer));
    gate_mlp(model, layer, low, l);
    if (!to_end) return;
    LayerBuffers next = l;
    next.residual = first(b.stream[static_cast<size_t>(layer) + 1], T);
    k().convert(next.residual, l.residual);
    add_mlp(model, layer, low, next);
  }

  /// x in the type of inputs of products: x itself, or rounded into `to`.
  Tensor rounded(Tensor x, Tensor to) const {
    if (to.dtype == x.dtype) return x;
    k().convert(to, x);
    return to;
  }

  /// dx (+)= the gradient through a projection, whose own gradients are accumulated. dout and x have the type
  /// of inputs of products.
  void project_back(Tensor dx, Tensor dout, Tensor x, const Linear& w, const Adapter& adapter,
                    const LinearGradient& g, bool accumulate) {
    if (g.weight) k().linear_weight_gradient(g.weight, g.bias, dout, x);
    k().linear_input_gradient(dx, dout, w, accumulate);
    if (!adapter) return;
    int64_t rank = adapter.a.weight.rows();
    Tensor low = b.low_rank.viewed(DType::F32, T, rank), dlow = b.d_low_rank.viewed(DType::F32, T, rank),
           half = b.half_low_rank.viewed(b.dtype, T, rank);
    if (g.b) {
      k().linear(low, x, adapter.a, false);
      k().scale(low, adapter.scale, {});
      k().linear_weight_gradient(g.b, {}, dout, rounded(low, half));
    }
    k().linear_input_gradient(dlow, dout, adapter.b, false);
    k().scale(dlow, adapter.scale, {});
    Tensor d = rounded(dlow, half);
    if (g.a) k().linear_weight_gradient(g.a, {}, d, x);
    k().linear_input_gradient(dx, d, adapter.a, true);
  }

  /// The gradient of the output of a half's last product: dx itself, or the gradient through the norm after
  /// it.
  Tensor through_norm(Tensor dx, Tensor x, const Linear& w, const Adapter& adapter, Tensor norm,
                      Tensor dnorm) {
    if (!norm) return dx;
    Tensor given = first(b.branch, T), d = first(b.d_branch, T);
    project(k(), given, x, w, adapter, b.low_rank, false);
    k().fill(d, 0);
    k().rmsnorm_backward(d, dnorm, dx, given, norm, eps());
    return d;
  }

  void mlp_back(int64_t layer) {
    const LayerWeights& w = model.weights.layers[static_cast<size_t>(layer)];
    const LayerGradients& g = gradients.layers[static_cast<size_t>(layer)];
    const LayerAdapters& low = adapters_of(model, layer);
    LayerBuffers l = buffers(layer, first(set(layer).middle, T));
    if (b.sets.size() > 1) {  // with recompute both have just been computed
      k().rmsnorm(l.normed, l.residual, w.mlp_norm, eps());
      k().gate(l.mlp, l.gate, l.up, config().activation);
    }
    Tensor dx = first(b.dx, T), dnormed = first(b.dnormed, T), dmlp = first(b.dmlp, T),
           dgate = first(b.dgate, T), dup = first(b.dup, T);
    Tensor dout = through_norm(dx, l.mlp, w.down, low.down, w.mlp_post_norm, g.mlp_post_norm);
    project_back(dmlp, rounded(dout, first(b.d_small, T)), l.mlp, w.down, low.down, g.down, false);
    k().gate_backward(dgate, dup, dmlp, l.gate, l.up, config().activation);
    project_back(dnormed, dgate, l.normed, w.gate, low.gate, g.gate, false);
    project_back(dnormed, dup, l.normed, w.up, low.up, g.up, true);
    k().rmsnorm_backward(dx, g.mlp_norm, dnormed, l.residual, w.mlp_norm, eps());
  }

  /// Gradients of rotated queries or keys, zone by zone, rotated back and summed into the first zone's.
  Tensor turned_back(const Tensor& zones, const std::vector<RopeTable>& tables, const std::vector<size_t>& of,
                     int64_t heads) {
    Tensor sum = zones.slice(0, T);
    for (size_t z = 0; z < of.size(); ++z) {
      Tensor part = zones.slice(static_cast<int64_t>(z) * T, T);
      k().rope(part, tables[of[z]], heads, config().head_dim, Turn::Back);
      if (z > 0) k().add(sum, part);
    }
    return sum;
  }

  /// Through the norm of each head: dx becomes the gradient of the projection's output, which is recomputed.
  void head_norm_back(Tensor dx, Tensor raw, const LayerBuffers& l, const Linear& w, const Adapter& adapter,
                      Tensor weight, Tensor dweight) {
    if (!weight) return;
    Tensor x = raw.slice(0, T), d = raw.slice(T, T);
    project(k(), x, l.normed, w, adapter, b.low_rank, false);
    k().fill(d, 0);
    int64_t size = config().head_dim, n = T * x.cols() / size;
    auto heads = [&](const Tensor& t) { return t.viewed(DType::F32, n, size); };
    k().rmsnorm_backward(heads(d), dweight, heads(dx), heads(x), weight, eps());
    k().convert(dx, d);
  }

  void attention_back(int64_t layer) {
    const ModelConfig& c = config();
    const LayerWeights& w = model.weights.layers[static_cast<size_t>(layer)];
    const LayerGradients& g = gradients.layers[static_cast<size_t>(layer)];
    const LayerAdapters& low = adapters_of(model, layer);
    const LayerKind& kind = kinds.of(c, layer);
    Tensor x = first(b.stream[static_cast<size_t>(layer)], T);
    LayerBuffers l = buffers(layer, x);
    Tensor dx = first(b.dx, T), dattended = first(b.dattended, T);
    Tensor dout = through_norm(dx, l.attended, w.o, low.o, w.attn_post_norm, g.attn_post_norm);
    project_back(dattended, rounded(dout, first(b.d_small, T)), l.attended, w.o, low.o, g.o, false);

    LayerKv pages = kv(layer);
    const Rotations& r = kind.rotations;
    std::vector<AttentionZone> zones;
    AttentionGradients out;
    for (size_t z = 0; z < kind.from.size(); ++z) {
      bool last = r.query_of[z] + 1 == kind.queries.size();
      Tensor q = last ? l.q : l.rotated_q.slice(static_cast<int64_t>(r.query_of[z]) * T, T);
      zones.push_back({kind.from[z], q, pages.keys[r.key_of[z]]});
      out.q[z] = b.dq.slice(static_cast<int64_t>(z) * T, T);
      out.keys[z] = b.dk.slice(static_cast<int64_t>(z) * T, T);
    }
    out.values = first(b.dv, T);
    if (frozen)
      frozen->backward(k(), out, dattended, l.attended, l.log_sum, zones, pages.values, kind.shape);
    else
      k().attention_backward(out, dattended, l.attended, l.log_sum, zones, pages.values, kind.shape);

    Tensor dq = turned_back(b.dq, kind.queries, r.query_of, c.num_attention_heads),
           dk = turned_back(b.dk, kind.keys, r.key_of, c.num_key_value_heads);
    if (kind.sharpness) k().scale(dq, 1, kind.sharpness);
    k().rmsnorm(l.normed, x, w.attn_norm, eps());
    head_norm_back(dq, b.q_raw, l, w.q, low.q, w.q_norm, g.q_norm);
    head_norm_back(dk, b.k_raw, l, w.k, low.k, w.k_norm, g.k_norm);

    Tensor dnormed = first(b.dnormed, T);
    project_back(dnormed, rounded(dq, first(b.d_q, T)), l.normed, w.q, low.q, g.q, false);
    project_back(dnormed, rounded(dk, first(b.d_k, T)), l.normed, w.k, low.k, g.k, true);
    project_back(dnormed, rounded(out.values, first(b.d_v, T)), l.normed, w.v, low.v, g.v, true);
    k().rmsnorm_backward(dx, g.attn_norm, dnormed, x, w.attn_norm, eps());
  }

  /// From the gradient of the logits of `rows`, whose hidden states are `gathered`, to those of these hidden
  /// states and of the head.
  void head_back(Tensor dlogits, Tensor gathered, Tensor rows) {
    int64_t n = dlogits.rows();
    Tensor d = rounded(dlogits, first(b.dlogits, n)), dhidden = first(b.dgathered, n);
    const LinearGradient& g = gradients.head;
    if (g.weight) k().linear_weight_gradient(g.weight, {}, d, gathered);
    k().linear_input_gradient(dhidden, d, model.weights.head, false);
    k().scatter(first(b.dhidden, T), dhidden, rows);
  }
};

/// The identity: the pages of a row are consecutive.
std::vector<int32_t> page_list(const TrainingBuffers& b) {
  std::vector<int32_t> pages(static_cast<size_t>(pages_for(b.rows)));
  for (size_t i = 0; i < pages.size(); ++i) pages[i] = static_cast<int32_t>(i);
  return pages;
}

Pass make_pass(TrainingModel& m, const PositionSpec& spec, const TrainingRow& row, TrainingBuffers& b) {
  int64_t T = row.tokens();
  if (T > b.rows)
    fail("a training row of {} tokens is longer than the {} that buffers were made for", T, b.rows);
  assert(T > 0 && row.positions.size() == row.ids.size() && row.starts.size() == row.ids.size());
  FrozenContext* frozen = row.context.empty() ? nullptr : b.frozen.get();
  std::vector<int32_t> pages = page_list(b);
  PassRows rows = frozen ? frozen->lay(*m.model.device, row, spec) : rows_of(row, spec, pages);
  LayerKinds kinds = prepare_pass(*m.model.device, m.model.config, rows, b.inputs, b.cos, b.sin);
  return {m.model, *m.gradients, b, T, std::move(kinds), frozen};
}

/// The final norm's output of every token, in b.hidden; the stream of every layer is kept.
void forward_pass(Pass& pass) {
  const Model& model = pass.model;
  embed_tokens(model, first(pass.b.stream[0], pass.T), pass.b.inputs.ids);
  for (int64_t l = 0; l < model.config.num_hidden_layers; ++l) pass.layer_forward(l, true);
  model.kernels().rmsnorm(first(pass.b.hidden, pass.T), first(pass.b.stream.back(), pass.T),
                          model.weights.final_norm, pass.eps());
}

/// From dhidden to every parameter.
void backward_pass(Pass& pass) {
  const Model& model = pass.model;
  TrainingBuffers& b = pass.b;
  Tensor dx = first(b.dx, pass.T);
  pass.k().fill(dx, 0);
  pass.k().rmsnorm_backward(dx, pass.gradients.final_norm, first(b.dhidden, pass.T),
                            first(b.stream.back(), pass.T), model.weights.final_norm, pass.eps());
  for (int64_t l = model.config.num_hidden_layers - 1; l >= 0; --l) {
    if (b.sets.size() == 1) pass.layer_forward(l, false);
    pass.mlp_back(l);
    pass.attention_back(l);
  }
  if (!pass.gradients.embedding) return;
  if (model.config.embedding_scale != 1)
    pass.k().scale(dx, static_cast<float>(model.config.embedding_scale), {});
  pass.k().embed_backward(pass.gradients.embedding, dx, b.inputs.ids.viewed(DType::I32, pass.T));
}

/// The final norm's output of a model that does not train, in b.original, layer by layer in one set of
/// buffers.
void original_pass(const Model& model, Adapters adapters, const PositionSpec& spec, const TrainingRow& row,
                   TrainingBuffers& b) {
  if (spec.zones.size() != 1 || rotations(spec).keys.size() != 1 || rotations(spec).queries.size() != 1)
    fail("divergence needs an original model with a single position zone");
  int64_t T = row.tokens();
  Gradients none;
  Pass pass{
      model, none, b, T,
      prepare_pass(*model.device, model.config, rows_of(row, spec, page_list(b)), b.inputs, b.cos, b.sin)};
  LayerBuffers l = pass.buffers(0, first(b.stream[0], T));
  l.log_sum = {};
  LayerKv kv = pass.kv(0);
  embed_tokens(model, l.residual, b.inputs.ids);
  for (int64_t layer = 0; layer < model.config.num_hidden_layers; ++layer) {
    const LayerAdapters& low = adapters == Adapters::Use ? adapters_of(model, layer) : kNoAdapters;
    attend(model, layer, low, pass.kinds.of(model.config, layer), l, kv);
    gate_mlp(model, layer, low, l);
    add_mlp(model, layer, low, l);
  }
  pass.k().rmsnorm(first(b.original, T), l.residual, model.weights.final_norm, pass.eps());
}

/// Uploads indices, targets and weights of the rows that count, and counts them.
RowCount put_targets(Device& device, const TrainingRow& row, bool targets_needed, TrainingBuffers& b) {
  std::vector<int32_t> rows, targets;
  std::vector<float> weights;
  RowCount count;
  for (size_t t = 0; t < row.ids.size(); ++t) {
    if (row.weights[t] == 0 || (targets_needed && row.targets[t] < 0)) continue;
    rows.push_back(static_cast<int32_t>(t));
    targets.push_back(row.targets[t]);
    weights.push_back(row.weights[t]);
    count.weight += row.weights[t];
    ++count.targets;
  }
  device.upload(b.head_rows, std::span<const int32_t>(rows));
  device.upload(b.targets, std::span<const int32_t>(targets));
  device.upload(b.weights, std::span<const float>(weights));
  return count;
}

/// The head's product with some rows of `from`, gathered into `gathered` first.
Tensor logits_of(const Model& model, Tensor from, Tensor rows, Tensor gathered, Tensor logits) {
  model.kernels().gather(gathered, from, rows);
  model.kernels().linear(logits, gathered, model.weights.head, false);
  return logits;
}

/// One chunk of rows that count.
struct Chunk {
  Tensor rows, targets, weights;  // [n]
};

/// Forward, `loss_of` on the logits of each chunk of rows that count (it leaves their gradient in their
/// place), and backward unless scale is 0.
RowCount row_pass(TrainingModel& m, const PositionSpec& spec, const TrainingRow& row, double scale,
                  TrainingBuffers& b, bool targets_needed,
                  const std::function<void(Tensor logits, const Chunk& chunk)>& loss_of) {
  Pass pass = make_pass(m, spec, row, b);
  RowCount count = put_targets(*m.model.device, row, targets_needed, b);
  forward_pass(pass);
  if (scale != 0) pass.k().fill(first(b.dhidden, pass.T), 0);
  for (int64_t at = 0; at < count.targets; at += b.plan.head_chunk) {
    int64_t n = std::min(b.plan.head_chunk, count.targets - at);
    auto part = [&](const Tensor& x) { return x.columns(at, n).viewed(x.dtype, n); };
    Chunk chunk{part(b.head_rows), part(b.targets), part(b.weights)};
    Tensor gathered = first(b.gathered, n);
    Tensor logits = logits_of(m.model, first(b.hidden, pass.T), chunk.rows, gathered, first(b.logits, n));
    loss_of(logits, chunk);
    if (scale != 0) pass.head_back(logits, gathered, chunk.rows);
  }
  if (scale != 0 && count.targets > 0) {
    backward_pass(pass);
    finish_gradients(m);
  }
  return count;
}

/// The documents of a row behind a frozen context, in as few rows as the buffers hold.
std::vector<TrainingRow> frozen_passes(const TrainingRow& row, int64_t tokens) {
  std::vector<TrainingRow> passes;
  int64_t documents = 0;
  for (int64_t begin = 0, end = 0; begin < row.tokens(); begin = end) {
    for (end = begin + 1; end < row.tokens() && row.starts[static_cast<size_t>(end)] == begin;) ++end;
    bool fits =
        !passes.empty() && documents < kMostFrozenRows && passes.back().tokens() + end - begin <= tokens;
    if (!fits) passes.emplace_back().context = row.context, documents = 0;
    TrainingRow& to = passes.back();
    int64_t start = to.tokens();
    for (auto t = static_cast<size_t>(begin); t < static_cast<size_t>(end); ++t) {
      to.ids.push_back(row.ids[t]), to.positions.push_back(row.positions[t]), to.starts.push_back(start);
      to.targets.push_back(row.targets[t]), to.weights.push_back(row.weights[t]);
    }
    ++documents;
  }
  return passes;
}

/// Runs `pass` with its own loss scalar and reads it.
RowLoss read_loss(const Model& model, TrainingBuffers& b, const std::function<RowCount(Tensor loss)>& pass) {
  model.kernels().fill(b.loss, 0);
  RowCount count = pass(b.loss);
  return {model.device->download<double>(b.loss)[0], count.weight, count.targets};
}

}  // namespace

RowCount add_row_gradient(TrainingModel& m, const PositionSpec& spec, const TrainingRow& row, double scale,
                          TrainingBuffers& b, Tensor loss) {
  auto pass = [&](const TrainingRow& part) {
    return row_pass(m, spec, part, scale, b, true, [&](Tensor logits, const Chunk& chunk) {
      m.model.kernels().cross_entropy(loss, logits, chunk.targets, chunk.weights, scale);
    });
  };
  if (row.context.empty()) return pass(row);
  assert(b.frozen);
  b.frozen->read(m.model, spec, row.context);
  RowCount count;
  for (const TrainingRow& part : frozen_passes(row, b.rows)) {
    RowCount of_part = pass(part);
    count.weight += of_part.weight, count.targets += of_part.targets;
  }
  return count;
}

RowCount add_row_divergence(TrainingModel& m, const PositionSpec& spec, const Model* original,
                            const PositionSpec& original_spec, const TrainingRow& row, double scale,
                            TrainingBuffers& b, Tensor loss) {
  if (row.tokens() > b.rows)
    fail("a training row of {} tokens is longer than the {} that buffers were made for", row.tokens(),
         b.rows);
  const Model& before = original ? *original : m.model;
  original_pass(before, original ? Adapters::Use : Adapters::Skip, original_spec, row, b);
  return row_pass(m, spec, row, scale, b, false, [&](Tensor logits, const Chunk& chunk) {
    int64_t n = logits.rows();
    Tensor wanted = logits_of(before, first(b.original, row.tokens()), chunk.rows,
                              first(b.original_gathered, n), first(b.original_logits, n));
    m.model.kernels().divergence(loss, logits, wanted, chunk.weights, scale);
  });
}

RowLoss row_gradient(TrainingModel& m, const PositionSpec& spec, const TrainingRow& row, double scale,
                     TrainingBuffers& b) {
  return read_loss(m.model, b, [&](Tensor loss) { return add_row_gradient(m, spec, row, scale, b, loss); });
}

RowLoss row_divergence(TrainingModel& m, const PositionSpec& spec, const Model* original,
                       const PositionSpec& original_spec, const TrainingRow& row, double scale,
                       TrainingBuffers& b) {
  return read_loss(m.model, b, [&](Tensor loss) {
    return add_row_divergence(m, spec, original, original_spec, row, scale, b, loss);
  });
}

}  // namespace longspan
