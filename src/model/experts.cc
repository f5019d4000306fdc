#include "model/experts.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <numeric>

namespace longspan {

namespace {

/// Products of more rows make implementations keep a packed copy of the weight. Of all experts together that
/// would be several times the model, and the rows of one expert are few: they come in pieces of this many.
constexpr int64_t kUnpackedRows = 7;

/// out [n, C] = down(activation(gate(x)) * up(x)).
void apply(const Model& model, const ExpertWeights& w, Tensor out, Tensor x, const LayerBuffers& b,
           const ExpertBuffers& e) {
  const Kernels& k = model.kernels();
  int64_t n = x.rows(), width = w.gate.weight.rows();
  Tensor gate = b.gate.viewed(DType::F32, n, width), up = b.up.viewed(DType::F32, n, width),
         mlp = e.mlp.viewed(x.dtype, n, width);
  k.linear(gate, x, w.gate, false);
  k.linear(up, x, w.up, false);
  k.gate(mlp, gate, up, model.config.activation);
  k.linear(out, mlp, w.down, false);
}

/// sum += factor * expert(x) in some rows.
void add_expert(const Model& model, const ExpertWeights& w, Tensor x, Tensor rows, Tensor factors,
                const LayerBuffers& b, const ExpertBuffers& e) {
  const Kernels& k = model.kernels();
  int64_t n = rows.cols(), C = model.config.hidden_size;
  Tensor in = e.input.viewed(k.product_dtype(model.compute, n), n, C),
         out = e.output.viewed(DType::F32, n, C), part = e.part.viewed(DType::F32, n, C);
  k.gather(in, x, rows);
  apply(model, w, out, in, b, e);
  k.scale(out, 1, factors);
  k.gather(part, e.sum, rows);
  k.add(part, out);
  k.scatter(e.sum, part, rows);
}

/// sum = the shared expert's output, or 0.
void begin_sum(const Model& model, const LayerWeights& w, Tensor x, const LayerBuffers& b,
               const ExpertBuffers& e) {
  const Kernels& k = model.kernels();
  if (!w.shared_router) return k.fill(e.sum, 0);
  Tensor share = e.share.viewed(DType::F32, x.rows(), 1), input = x;
  k.linear(share, x, w.shared_router, false);
  std::vector<float> factors = model.device->download<float>(share);
  for (float& f : factors) f = 1 / (1 + std::exp(-f));
  Tensor to = e.factors.viewed(DType::F32, x.rows());
  model.device->upload(to, std::span<const float>(factors));
  if (DType dtype = k.product_dtype(model.compute, x.rows()); dtype != x.dtype) {
    input = e.input.viewed(dtype, x.rows(), x.cols());
    k.convert(input, x);
  }
  apply(model, w.shared, e.sum, input, b, e);
  k.scale(e.sum, 1, to);
}

}  // namespace

Routing route(std::span<const float> logits, int64_t experts, int64_t used, bool normalise) {
  auto E = static_cast<size_t>(experts), K = static_cast<size_t>(used), T = logits.size() / E;
  assert(K >= 1 && K <= E && T * E == logits.size());
  std::vector<std::vector<std::pair<int32_t, float>>> of(E);
  std::vector<size_t> order(E);
  for (size_t t = 0; t < T; ++t) {
    std::span<const float> row = logits.subspan(t * E, E);
    std::iota(order.begin(), order.end(), size_t{0});
    std::partial_sort(order.begin(), order.begin() + static_cast<ptrdiff_t>(K), order.end(),
                      [&](size_t a, size_t b) { return row[a] > row[b] || (row[a] == row[b] && a < b); });
    double most = row[order[0]], sum = 0;
    for (size_t i = 0; i < E; ++i)
      sum += i < K || !normalise ? std::exp(static_cast<double>(row[order[i]]) - most) : 0.0;
    for (size_t i = 0; i < K; ++i) {
      double weight = std::exp(static_cast<double>(row[order[i]]) - most) / sum;
      of[order[i]].emplace_back(static_cast<int32_t>(t), static_cast<float>(weight));
    }
  }
  Routing out{{0}, {}, {}};
  for (const auto& list : of) {
    for (auto [row, factor] : list) out.rows.push_back(row), out.factors.push_back(factor);
    out.first.push_back(std::ssize(out.rows));
  }
  return out;
}

void add_experts(const Model& model, int64_t layer, const LayerBuffers& b, const ExpertBuffers& all) {
  const Kernels& k = model.kernels();
  const ModelConfig& c = model.config;
  const LayerWeights& w = model.weights.layers[static_cast<size_t>(layer)];
  int64_t T = b.residual.rows();
  Tensor x = b.branch, routes = all.routes.slice(0, T);  // F32: the choice of experts depends on last bits
  k.rmsnorm(x, b.residual, w.mlp_norm, c.rms_norm_eps);
  k.linear(routes, x, w.router, false);
  ExpertBuffers e = all;
  e.sum = all.sum.slice(0, T);
  begin_sum(model, w, x, b, e);
  Routing r =
      route(model.device->download<float>(routes), c.num_experts, c.num_experts_per_tok, c.norm_topk_prob);
  Tensor rows = e.rows.viewed(DType::I32, std::ssize(r.rows)),
         factors = e.factors.viewed(DType::F32, std::ssize(r.rows));
  model.device->upload(rows, std::span<const int32_t>(r.rows));
  model.device->upload(factors, std::span<const float>(r.factors));
  for (size_t i = 0; i < w.experts.size(); ++i) {
    int64_t end = r.first[i + 1];
    int64_t most = k.packed_bytes(w.experts[i].gate, model.compute) > 0 ? kUnpackedRows : T;
    for (int64_t at = r.first[i]; at < end; at += most) {
      int64_t n = std::min(most, end - at);
      add_expert(model, w.experts[i], x, rows.columns(at, n), factors.columns(at, n), b, e);
    }
  }
  k.add(b.residual, e.sum);
}

}  // namespace longspan
