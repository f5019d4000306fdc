#include "model/flops.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <initializer_list>

#include "base/random.h"
#include "kernels/quantise.h"
#include "model/gradients.h"
#include "model/roles.h"

namespace longspan {

namespace {

constexpr int64_t kPeakRows = 512, kPeakSize = 1024, kGpuPeakSize = 8192;
constexpr double kPeakSeconds = 0.2, kBandwidthSeconds = 0.3;

/// sum over t = 1 .. n of min(t, window); window 0: none.
double causal_pairs(int64_t n, int64_t window) {
  int64_t growing = window > 0 ? std::min(n, window) : n;
  return static_cast<double>(growing) * static_cast<double>(growing + 1) / 2 +
         static_cast<double>(n - growing) * static_cast<double>(growing);
}

/// Over the documents of a row.
double attended_pairs_of(const ModelConfig& c, const TrainingRow& row) {
  double pairs = 0;
  for (int64_t begin = 0, t = 1; begin < row.tokens(); begin = t++) {
    while (t < row.tokens() && row.starts[static_cast<size_t>(t)] != t) ++t;
    pairs += attended_pairs(c, t - begin);
  }
  return pairs;
}

double head_width(const ModelConfig& c) { return static_cast<double>(c.num_attention_heads * c.head_dim); }

/// Forward of the frozen context of a row, and what its keys cost the row: 4 H D a pair forward, 6 backward
/// (gradients of queries only).
double context_flops(const ModelConfig& c, const TrainingRow& row) {
  auto context = static_cast<double>(row.context.size());
  double layers = static_cast<double>(c.num_hidden_layers);
  return 2 * static_cast<double>(multiplied_parameters(c)) * context +
         4 * head_width(c) * attended_pairs(c, static_cast<int64_t>(row.context.size())) +
         10 * head_width(c) * layers * context * static_cast<double>(row.tokens());
}

struct Shape {
  int64_t outputs, inputs;
};
Shape shape_of(const ModelConfig& c, const Role& role) {
  int64_t q = c.num_attention_heads * c.head_dim, kv = c.num_key_value_heads * c.head_dim;
  if (role.linear == &LayerWeights::q) return {q, c.hidden_size};
  if (role.linear == &LayerWeights::k || role.linear == &LayerWeights::v) return {kv, c.hidden_size};
  if (role.linear == &LayerWeights::o) return {c.hidden_size, q};
  if (role.linear == &LayerWeights::down) return {c.hidden_size, c.intermediate_size};
  return {c.intermediate_size, c.hidden_size};
}

/// Of one `work`, the best of those that begin within `seconds` after a first one.
double best_seconds(Device& device, double seconds, const std::function<void()>& work) {
  using Clock = std::chrono::steady_clock;
  auto since = [](Clock::time_point t) { return std::chrono::duration<double>(Clock::now() - t).count(); };
  work();
  device.synchronise();
  double best = HUGE_VAL;
  for (auto begin = Clock::now(); since(begin) < seconds;) {
    auto start = Clock::now();
    work();
    device.synchronise();
    best = std::min(best, since(start));
  }
  return best;
}

}  // namespace

int64_t multiplied_parameters(const ModelConfig& c) {
  return active_parameter_count(c) - (c.tie_word_embeddings ? 0 : c.vocab_size * c.hidden_size);
}

int64_t trained_elements(const ModelConfig& c, const Trained& t) {
  int64_t table = c.vocab_size * c.hidden_size, tables = c.tie_word_embeddings ? 1 : 2;
  int64_t norms =
      (2 * c.num_hidden_layers + 1) * c.hidden_size + (c.qk_norm ? 2 * c.num_hidden_layers * c.head_dim : 0);
  int64_t n = t.embeddings ? tables * table : 0;
  if (t.all) return n + parameter_count(c) - tables * table;
  if (t.norms) n += norms;
  for (const std::string& name : t.projections)
    for (const Role& role : kRoles)
      if (name == role.name && t.lora_rank > 0) {
        Shape shape = shape_of(c, role);
        n += c.num_hidden_layers * t.lora_rank * (shape.outputs + shape.inputs);
      }
  return n;
}

double attended_pairs(const ModelConfig& c, int64_t n) {
  int64_t local = 0;
  for (int64_t l = 0; l < c.num_hidden_layers; ++l)
    local += c.sliding_window > 0 && (c.sliding_window_pattern == 0 || c.local_layer(l));
  return static_cast<double>(local) * causal_pairs(n, c.sliding_window) +
         static_cast<double>(c.num_hidden_layers - local) * causal_pairs(n, 0);
}

double forward_flops(const ModelConfig& c, const TrainingRow& row) {
  return 2 * static_cast<double>(multiplied_parameters(c)) * static_cast<double>(row.tokens()) +
         4 * head_width(c) * attended_pairs_of(c, row);
}

double reading_flops(const ModelConfig& c, int64_t past, int64_t n) {
  double weights = static_cast<double>(multiplied_parameters(c) - c.vocab_size * c.hidden_size);
  return 2 * weights * static_cast<double>(n) +
         4 * head_width(c) * (attended_pairs(c, past + n) - attended_pairs(c, past));
}

double token_weight_bytes(const Model& model) {
  auto bytes = [](std::initializer_list<const Linear*> products) {
    double sum = 0;
    for (const Linear* w : products)
      if (*w) sum += static_cast<double>(w->weight.bytes());
    return sum;
  };
  const ModelConfig& c = model.config;
  double sum = bytes({&model.weights.head});
  for (const LayerWeights& l : model.weights.layers) {
    sum += bytes({&l.q, &l.k, &l.v, &l.o, &l.gate, &l.up, &l.down, &l.router, &l.shared_router,
                  &l.shared.gate, &l.shared.up, &l.shared.down});
    for (const ExpertWeights& e : l.experts)
      sum += bytes({&e.gate, &e.up, &e.down}) * static_cast<double>(c.num_experts_per_tok) /
             static_cast<double>(c.num_experts);
  }
  return sum;
}

double read_cache_bytes(const ModelConfig& c, CacheTypes types, int64_t past, int64_t n) {
  KvLayout layout = kv_layout(c, types);
  return (attended_pairs(c, past + n) - attended_pairs(c, past)) *
         static_cast<double>(layout.key_bytes() + layout.value_bytes()) / static_cast<double>(kPageTokens);
}

double row_flops(const ModelConfig& c, const Trained& t, const TrainingRow& row) {
  auto weights = static_cast<double>(multiplied_parameters(c));
  double a_token = t.all ? 6 * weights : 4 * weights + 6 * static_cast<double>(trained_elements(c, t));
  double flops = a_token * static_cast<double>(row.tokens()) + 12 * head_width(c) * attended_pairs_of(c, row);
  return row.context.empty() ? flops : flops + context_flops(c, row);
}

double training_flops_per_token(const ModelConfig& c, int64_t n) {
  return 6 * static_cast<double>(multiplied_parameters(c)) +
         12 * head_width(c) * attended_pairs(c, n) / static_cast<double>(n);
}

double measured_peak(Device& device, Compute compute) {
  const Kernels& k = device.kernels();
  int64_t rows = device.is_host() ? kPeakRows : kGpuPeakSize,
          size = device.is_host() ? kPeakSize : kGpuPeakSize;
  DType dtype = k.product_dtype(compute, rows);
  bool eight_bits = compute == Compute::Int8;
  Arena memory(device);
  Linear w{.weight = memory.matrix("peak", eight_bits ? DType::Q8_0 : dtype, size, size),
           .bias = {},
           .eight_bits = eight_bits};
  Tensor x = memory.matrix("peak", dtype, rows, size), out = memory.matrix("peak", DType::F32, rows, size);
  Random random(1);
  std::vector<float> values(static_cast<size_t>(size * size));
  for (Tensor t : {w.weight, x}) {
    for (float& value : values) value = static_cast<float>(random.uniform() - 0.5);
    if (is_quantised(t.dtype)) {
      std::vector<std::byte> codes(static_cast<size_t>(t.bytes()));
      quantise(codes.data(), values.data(), t.dtype, size * size);
      device.upload(t, std::span<const std::byte>(codes));
      continue;
    }
    Tensor plain = memory.matrix("peak", DType::F32, t.rows(), size);
    device.upload(plain, std::span<const float>(values).first(static_cast<size_t>(t.rows() * size)));
    k.convert(t, plain);
  }
  double best =
      best_seconds(device, kPeakSeconds, [&] { k.linear(out, x, w, false); });  // the first one packs
  return 2.0 * static_cast<double>(rows * size * size) / best;
}

double measured_bandwidth(Device& device, int64_t bytes) {
  constexpr int64_t kCols = 4096;
  int64_t rows = std::max<int64_t>(1, bytes / (kCols * int64_t{sizeof(float)}));
  Arena memory(device);
  Tensor x = memory.matrix("bandwidth", DType::F32, rows, kCols),
         y = memory.matrix("bandwidth", DType::F32, rows, kCols);
  const Kernels& k = device.kernels();
  for (Tensor t : {x, y}) k.fill(t, 1);  // pages exist
  double best = best_seconds(device, kBandwidthSeconds, [&] { k.axpby(x, 0.5f, y, 0.5f); });
  return 3 * static_cast<double>(x.bytes()) / best;
}

}  // namespace longspan
