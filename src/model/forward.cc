// Inference: every layer in one set of buffers. Products of many rows may take BF16 activations
// (model.compute); everything that is summed over layers, the residual, stays F32.
#include "model/forward.h"

#include <algorithm>
#include <cassert>
#include <cstdint>

#include "model/replay_key.h"

namespace longspan {

namespace {

/// The first rows of a buffer that is large enough for F32.
Tensor typed(const Tensor& buffer, DType dtype, int64_t rows) {
  return buffer.viewed(dtype, rows, buffer.cols());
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
          .mlp = typed(a.mlp, dtype, rows),
          .low_rank = a.low_rank,
          .kept = false};
}

struct Part {
  const char* label;
  Tensor Activations::*tensor;
  int64_t rows, cols;
  DType dtype = DType::F32;
};

struct ExpertPart {
  const char* label;
  Tensor ExpertBuffers::*tensor;
  int64_t rows, cols;
  DType dtype = DType::F32;
};

/// None without experts.
std::vector<ExpertPart> expert_parts(const ModelConfig& c, int64_t rows) {
  if (c.num_experts == 0) return {};
  int64_t C = c.hidden_size, given = std::max<int64_t>(1, c.num_experts_per_tok);
  return {{"routes", &ExpertBuffers::routes, rows, c.num_experts},
          {"expert share", &ExpertBuffers::share, rows, 1},
          {"expert mlp", &ExpertBuffers::mlp, rows, c.mlp_width()},
          {"expert input", &ExpertBuffers::input, rows, C},
          {"expert output", &ExpertBuffers::output, rows, C},
          {"expert part", &ExpertBuffers::part, rows, C},
          {"expert sum", &ExpertBuffers::sum, rows, C},
          {"expert rows", &ExpertBuffers::rows, 1, rows * given, DType::I32},
          {"expert factors", &ExpertBuffers::factors, 1, rows * given}};
}

/// Every buffer and its size, for allocation and for the memory plan.
std::vector<Part> parts(const ModelConfig& c, const PositionSpec& spec, int64_t rows, int64_t head_rows,
                        int64_t rank) {
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
          {"gate", &Activations::gate, rows, c.mlp_width()},
          {"up", &Activations::up, rows, c.mlp_width()},
          {"mlp", &Activations::mlp, rows, c.mlp_width()},
          {"low_rank", &Activations::low_rank, rank > 0 ? rows : 0, rank},
          {"cos", &Activations::cos, tables * rows, c.rotary_dim / 2},
          {"sin", &Activations::sin, tables * rows, c.rotary_dim / 2},
          {"hidden", &Activations::hidden, rows, c.hidden_size},
          {"head_input", &Activations::head_input, head_rows, c.hidden_size},
          {"logits", &Activations::logits, head_rows, c.vocab_size},
          {"targets", &Activations::targets, 1, kHeadRows, DType::I32},
          {"log_probs", &Activations::log_probs, 1, kHeadRows}};
}

PassRows rows_of(const Batch& batch) {
  PassRows rows;
  for (const BatchSequence& s : batch.sequences)
    rows.add(s.ids, s.cache->length(), s.cache->skipped(), *s.spec, s.cache->pages());
  return rows;
}

/// Room in every cache for its part of the batch.
void reserve(const Batch& batch) {
  for (const BatchSequence& s : batch.sequences)
    s.cache->reserve(s.cache->length() + static_cast<int64_t>(s.ids.size()));
}

LayerKv layer_kv(const KvPool& pool, int64_t layer, const LayerKind& kind, Tensor table) {
  LayerKv kv{{}, pool.values(layer, table)};
  for (size_t r = 0; r < kind.keys.size(); ++r)
    kv.keys.push_back(pool.keys(layer, static_cast<int64_t>(r), table));
  return kv;
}

/// Passes of at most this many rows, whose launches cost more than their work, are recorded and repeated.
constexpr int64_t kReplayedRows = 64, kReplayedRowsOfOne = 8;

}  // namespace

int64_t Batch::rows() const {
  int64_t n = 0;
  for (const BatchSequence& s : sequences) n += static_cast<int64_t>(s.ids.size());
  return n;
}

Activations make_activations(const Model& model, const PositionSpec& spec, int64_t rows) {
  assert(rows > 0);
  Activations a;
  a.rows = rows;
  a.arena = Arena(*model.device);
  for (const Part& p : parts(model.config, spec, rows, kHeadRows, model.adapter_rank()))
    if (p.rows > 0) a.*p.tensor = a.arena.matrix(p.label, p.dtype, p.rows, p.cols);
  for (const ExpertPart& p : expert_parts(model.config, rows))
    a.experts.*p.tensor = a.arena.matrix(p.label, p.dtype, p.rows, p.cols);
  a.inputs = PassInputs::make(*model.device, a.arena, model.config, rows);
  return a;
}

int64_t activation_bytes(const ModelConfig& config, const PositionSpec& spec, int64_t rows, int64_t head_rows,
                         int64_t adapter_rank) {
  int64_t bytes = PassInputs::bytes(config, rows);
  for (const Part& p : parts(config, spec, rows, head_rows, adapter_rank))
    bytes += p.rows * dtype_bytes(p.dtype, p.cols);
  for (const ExpertPart& p : expert_parts(config, rows)) bytes += p.rows * dtype_bytes(p.dtype, p.cols);
  return bytes;
}

Tensor forward(const Model& model, const Batch& batch, Activations& a) {
  const ModelConfig& c = model.config;
  const Kernels& k = model.kernels();
  int64_t count = batch.rows();
  const KvPool& pool = *batch.sequences[0].cache->pool();
  assert(count > 0 && count <= a.rows);
  for ([[maybe_unused]] const BatchSequence& s : batch.sequences)
    assert(s.cache->pool().get() == &pool && !s.ids.empty());
  reserve(batch);
  LayerKinds kinds = prepare_pass(*model.device, c, rows_of(batch), a.inputs, a.cos, a.sin);
  for (LayerKind* kind : {&kinds.whole, &kinds.unrotated}) {
    kind->shape.sparse = model.sparse;
    kind->shape.scores = model.sparse_scores.get();
  }
  int64_t wanted = std::ssize(batch.logits_rows);
  Tensor hidden = wanted > 0 ? a.hidden.slice(0, wanted) : Tensor{}, rows;
  if (wanted > 0) {
    rows = a.inputs.wanted.viewed(DType::I32, wanted);
    model.device->upload(rows, std::span<const int32_t>(batch.logits_rows));
  }
  LayerBuffers b = cut(a, count, k.product_dtype(model.compute, count));
  auto layers = [&] {
    embed_tokens(model, b.residual, a.inputs.ids);
    for (int64_t l = 0; l < c.num_hidden_layers; ++l) {
      const LayerKind& kind = kinds.of(c, l);
      const LayerAdapters& low = adapters_of(model, l);
      attend(model, l, low, kind, b, layer_kv(pool, l, kind, a.inputs.table), batch.observer);
      if (c.num_experts > 0) {
        add_experts(model, l, b, a.experts);
        continue;
      }
      gate_mlp(model, l, low, b);
      add_mlp(model, l, low, b);
    }
    if (wanted == 0) return;
    k.gather(hidden, b.residual, rows);
    k.rmsnorm(hidden, hidden, model.weights.final_norm, c.rms_norm_eps);
  };
  // Experts are chosen on the host, which a recording cannot wait for.
  bool recorded = !model.device->is_host() && c.num_experts == 0 && !batch.observer &&
                  count <= kReplayedRows && kinds.whole.shape.sequences.most_rows <= kReplayedRowsOfOne;
  if (recorded) {
    plan_ahead(kinds);
    model.device->replay(replay_key(model, pool, kinds, a, count, wanted), layers);
  } else {
    layers();
  }
  for (const BatchSequence& s : batch.sequences)
    s.cache->set_length(s.cache->length() + static_cast<int64_t>(s.ids.size()));
  return hidden;
}

Tensor head_logits(const Model& model, Tensor hidden, Activations& a) {
  const Kernels& k = model.kernels();
  int64_t rows = hidden.rows();
  assert(rows <= kHeadRows && hidden.dtype == DType::F32);
  DType dtype = k.product_dtype(model.compute, rows);
  if (dtype != hidden.dtype) {
    Tensor rounded = typed(a.head_input, dtype, rows);
    k.convert(rounded, hidden);
    hidden = rounded;
  }
  Tensor logits = a.logits.slice(0, rows);
  k.linear(logits, hidden, model.weights.head, false);
  if (double divisor = model.config.logits_scaling; divisor != 1)
    k.scale(logits, static_cast<float>(1 / divisor), {});
  if (double cap = model.config.final_logit_softcapping; cap > 0) k.soft_cap(logits, static_cast<float>(cap));
  return logits;
}

void append_log_probs(const Model& model, Tensor hidden, std::span<const int32_t> targets, Activations& a,
                      std::vector<float>& out) {
  assert(std::ssize(targets) == hidden.rows());
  for (int64_t r = 0; r < hidden.rows(); r += kHeadRows) {
    int64_t rows = std::min(kHeadRows, hidden.rows() - r);
    Tensor logits = head_logits(model, hidden.slice(r, rows), a);
    Tensor target = a.targets.viewed(DType::I32, rows), log_probs = a.log_probs.viewed(DType::F32, rows);
    model.device->upload(target, targets.subspan(static_cast<size_t>(r), static_cast<size_t>(rows)));
    model.kernels().log_prob(log_probs, logits, target);
    out.resize(out.size() + static_cast<size_t>(rows));
    model.device->download(std::span<float>(out).last(static_cast<size_t>(rows)), log_probs);
  }
}

bool read(const Model& model, KvCache& cache, const PositionSpec& spec, std::span<const int32_t> ids,
          Activations& a, const Reading& reading) {
  for (size_t done = 0; done < ids.size();) {
    size_t count = std::min(ids.size() - done, static_cast<size_t>(a.rows));
    Batch batch{.sequences = {{&cache, &spec, ids.subspan(done, count)}},
                .logits_rows = {},
                .observer = reading.observer};
    size_t first = std::max(reading.from, done), end = std::min(reading.to, done + count);
    for (size_t i = first; i < end; ++i) batch.logits_rows.push_back(static_cast<int32_t>(i - done));
    Tensor hidden = forward(model, batch, a);
    done += count;
    if (first < end && reading.on_hidden) reading.on_hidden(hidden, first);
    if (reading.progress && !reading.progress(static_cast<int64_t>(done), static_cast<int64_t>(ids.size())))
      return false;
  }
  return true;
}

}  // namespace longspan
