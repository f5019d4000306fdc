// Tensor names, shapes and what is copied at load. One walk over the roles (gather) serves loading and
// planning: they differ only in `place`, which either copies a tensor or counts the copy.
#include "model/weights.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>
#include <functional>
#include <map>
#include <set>

#include "base/error.h"
#include "base/text.h"
#include "base/threads.h"

namespace longspan {

namespace {

/// Tensors in files that the forward pass does not read: the config already gives what they hold.
bool ignorable(const std::string& name) {
  return name.ends_with("rotary_emb.inv_freq") || name == "rope_freqs.weight" ||
         name.starts_with("rope_factors_");
}

/// How a tensor becomes usable: as stored, or as a copy in which ...
struct Copy {
  bool needed = false;
  const char* label = "weights moved to aligned memory";
  int64_t permuted_heads = 0;              // ... the rows of this many heads are put in rotary order
  int64_t first = 0, run = 0, stride = 0;  // ... only `run` of every `stride` rows stay, from `first` on
  bool unit_rows = false;                  // ... rows have length 1
  float add = 0;                           // ... this is added to every element
};
using Place = std::function<Tensor(const Tensor& tensor, const Copy& copy)>;

/// The walk over a checkpoint: names, presence, shapes.
struct Gather {
  const Checkpoint& checkpoint;
  const ModelConfig& config;
  const Place& place;
  const Architecture& row = row_of(config);
  bool gguf = checkpoint.format == CheckpointFormat::Gguf;
  const TensorNames& names = gguf ? *row.gguf_names : *row.hf_names;
  std::set<std::string> used = {};

  std::string name(int64_t layer, const char* stem) const {
    return fmt::format(fmt::runtime(names.layer), layer) + stem;
  }

  /// The tensor of these sizes, outermost first.
  Tensor take(const std::string& name, std::initializer_list<int64_t> sizes) {
    Tensor t = checkpoint.require(name);
    if (!std::equal(sizes.begin(), sizes.end(), t.size, t.size + t.dims))
      fail("{}: tensor {} is {}; the config asks for {}", checkpoint.path.string(), excerpt(name),
           fmt::join(t.size, t.size + t.dims, " x "), fmt::join(sizes, " x "));
    if (t.dtype == DType::I32) fail("{}: tensor {} holds integers", checkpoint.path.string(), excerpt(name));
    used.insert(name);
    return t;
  }

  static bool aligned(const Tensor& t) {
    return reinterpret_cast<uintptr_t>(t.data) %
               (t.dtype == DType::F32 ? alignof(float) : alignof(uint16_t)) ==
           0;
  }

  /// Norms and biases: [n] F32 whatever the file holds. A copy that selects rows is given the size of the
  /// whole.
  Tensor vector(const std::string& name, int64_t n, Copy copy = {}) {
    Tensor t = take(name, {copy.run ? n / copy.run * copy.stride : n});
    if (is_quantised(t.dtype))
      fail("{}: tensor {} is quantised; F32, F16 or BF16 was expected", checkpoint.path.string(),
           excerpt(name));
    copy.needed |= t.dtype != DType::F32 || !aligned(t);
    return place(t, copy);
  }

  Tensor matrix(const std::string& name, int64_t rows, int64_t cols, Copy copy = {}) {
    return placed(take(name, {copy.run ? rows / copy.run * copy.stride : rows, cols}), copy);
  }

  Tensor placed(const Tensor& t, Copy copy = {}) {
    copy.needed |= !aligned(t);
    return place(t, copy);
  }

  /// Gemma's Hugging Face files hold the norm minus 1.
  Tensor norm(const std::string& stem, int64_t n) {
    bool add = row.gemma && !gguf;
    return vector(stem + ".weight", n, {.needed = add, .add = add ? 1.0f : 0.0f});
  }

  /// GGUF metadata does not mention biases: the tensors in the file decide. A config.json without the key
  /// means no.
  bool has_bias(const std::string& name, bool declared) const {
    bool present = static_cast<bool>(checkpoint.find(name));
    if (present && !gguf && !declared)
      fail("{}: tensor {} exists, but config.json does not declare biases", checkpoint.path.string(),
           excerpt(name));
    return present || declared;
  }

  /// Several products that lie one below the other in one tensor: views of its rows, in the order of `to`.
  void stacked(const std::string& stem, int64_t cols, std::initializer_list<std::pair<Linear*, int64_t>> to) {
    int64_t all = 0, first = 0;
    for (const auto& [w, rows] : to) all += rows;
    Tensor whole = take(stem + ".weight", {all, cols});
    for (const auto& [w, rows] : to) {
      w->weight = placed(whole.slice(first, rows));
      first += rows;
    }
  }

  /// One product of each expert.
  void experts(LayerWeights& w, const std::string& stem, Linear ExpertWeights::*part, int64_t rows,
               int64_t cols) {
    bool one = stem.find("{}") == stem.npos;
    Tensor whole = one ? take(stem + ".weight", {config.num_experts, rows, cols}) : Tensor{};
    for (int64_t e = 0; e < config.num_experts; ++e) {
      Linear& to = w.experts[static_cast<size_t>(e)].*part;
      to.weight = one ? placed(whole.slice(e * rows, rows))
                      : matrix(fmt::format(fmt::runtime(stem), e) + ".weight", rows, cols);
    }
  }

  void mixture(LayerWeights& w, int64_t l) {
    const ModelConfig& c = config;
    int64_t C = c.hidden_size, F = c.moe_intermediate_size, S = c.shared_expert_intermediate_size;
    w.router.weight = matrix(name(l, names.router) + ".weight", c.num_experts, C);
    w.experts.resize(static_cast<size_t>(c.num_experts));
    experts(w, name(l, names.expert_gate), &ExpertWeights::gate, F, C);
    experts(w, name(l, names.expert_up), &ExpertWeights::up, F, C);
    experts(w, name(l, names.expert_down), &ExpertWeights::down, C, F);
    if (S == 0) return;
    std::string router = name(l, names.shared_router) + ".weight";
    Tensor given = checkpoint.require(router);
    Tensor row = given.dims == 1 ? take(router, {C}) : take(router, {1, C});  // GGUF files have a vector
    row.dims = 2, row.size[0] = 1, row.size[1] = C, row.row_stride = dtype_bytes(row.dtype, C);
    w.shared_router.weight = placed(row);
    w.shared.gate = linear(name(l, names.shared_gate), S, C, false);
    w.shared.up = linear(name(l, names.shared_up), S, C, false);
    w.shared.down = linear(name(l, names.shared_down), C, S, false);
  }

  Linear linear(const std::string& stem, int64_t rows, int64_t cols, bool bias, const Copy& copy = {}) {
    Linear w;
    w.weight = matrix(stem + ".weight", rows, cols, copy);
    if (has_bias(stem + ".bias", bias)) w.bias = vector(stem + ".bias", rows, copy);
    return w;
  }

  void query_key_value(LayerWeights& w, int64_t l) {
    int64_t C = config.hidden_size, D = config.head_dim, K = config.num_key_value_heads,
            group = config.num_attention_heads / K * D;
    bool bias = config.attention_bias;
    if (names.q_k_v) {
      stacked(name(l, names.q_k_v), C, {{&w.q, K * group}, {&w.k, K * D}, {&w.v, K * D}});
    } else if (names.qkv) {
      auto rows = [&](int64_t first, int64_t run) {
        return Copy{true, "q, k and v taken apart", 0, first, run, group + 2 * D};
      };
      std::string stem = name(l, names.qkv);
      w.q = linear(stem, K * group, C, bias, rows(0, group));
      w.k = linear(stem, K * D, C, bias, rows(group, D));
      w.v = linear(stem, K * D, C, bias, rows(group + D, D));
    } else {
      auto rotary = [&](int64_t heads) {
        bool permuted = gguf ? row.gguf_permuted : row.hf_permuted;
        return permuted ? Copy{true, "q and k in rotary order", heads} : Copy{};
      };
      w.q = linear(name(l, names.q), K * group, C, bias, rotary(config.num_attention_heads));
      w.k = linear(name(l, names.k), K * D, C, bias, rotary(K));
      w.v = linear(name(l, names.v), K * D, C, bias);
    }
    if (config.qk_norm) {
      bool whole = config.qk_norm_whole;
      w.q_norm = norm(name(l, names.q_norm), whole ? K * group : D);
      w.k_norm = norm(name(l, names.k_norm), whole ? K * D : D);
    }
  }

  LayerWeights layer(int64_t l) {
    const ModelConfig& c = config;
    int64_t C = c.hidden_size, F = c.intermediate_size;
    LayerWeights w;
    if (c.pre_norms) w.attn_norm = norm(name(l, names.attn_norm), C);
    query_key_value(w, l);
    w.o = linear(name(l, names.o), C, c.num_attention_heads * c.head_dim, c.o_bias);
    if (c.pre_norms) w.mlp_norm = norm(name(l, names.mlp_norm), C);
    if (c.num_experts > 0) {
      mixture(w, l);
    } else if (names.gate_up) {
      stacked(name(l, names.gate_up), C, {{&w.gate, F}, {&w.up, F}});
    } else {
      w.gate = linear(name(l, names.gate), F, C, c.mlp_bias);
      w.up = linear(name(l, names.up), F, C, c.mlp_bias);
    }
    if (c.num_experts == 0) w.down = linear(name(l, names.down), C, F, c.mlp_bias);
    if (c.post_norms) {
      w.attn_post_norm = norm(name(l, names.attn_post_norm), C);
      w.mlp_post_norm = norm(name(l, names.mlp_post_norm), C);
    }
    return w;
  }

  Weights all() {
    Weights w;
    int64_t V = config.vocab_size, C = config.hidden_size;
    w.embedding = matrix(std::string(names.embedding) + ".weight", V, C);
    for (int64_t l = 0; l < config.num_hidden_layers; ++l) w.layers.push_back(layer(l));
    w.final_norm = norm(names.final_norm, C);
    std::string head = std::string(names.head) + ".weight";
    Copy unit = config.norm_head
                    ? Copy{.needed = true, .label = "head with rows of length 1", .unit_rows = true}
                    : Copy{};
    if (config.tie_word_embeddings) used.insert(head);
    w.head.weight = config.tie_word_embeddings ? w.embedding : matrix(head, V, C, unit);
    for (const NamedTensor& t : checkpoint.tensors)
      if (!used.contains(t.name) && !ignorable(t.name))
        fail(
            "{}: tensor {} has no place in a {} model of {} layers; reading the model without it would be "
            "wrong",
            checkpoint.path.string(), excerpt(t.name), config.architecture, config.num_hidden_layers);
    return w;
  }
};

/// GGUF stores the rotary pairs of a head in adjacent rows 2i, 2i + 1; rotate-half wants them at i and i +
/// r/2. Whole rows (or elements of a bias) move, so quantised rows stay as they are.
void unpermute(std::byte* out, const std::byte* in, int64_t row_bytes, int64_t heads,
               const ModelConfig& config) {
  int64_t half = config.rotary_dim / 2;
  auto move = [&](int64_t to, int64_t from, int64_t rows) {
    std::memcpy(out + to * row_bytes, in + from * row_bytes, static_cast<size_t>(rows * row_bytes));
  };
  for (int64_t h = 0; h < heads; ++h) {
    int64_t first = h * config.head_dim;
    for (int64_t i = 0; i < half; ++i) {
      move(first + i, first + 2 * i, 1);
      move(first + half + i, first + 2 * i + 1, 1);
    }
    move(first + config.rotary_dim, first + config.rotary_dim, config.head_dim - config.rotary_dim);
  }
}

int64_t copied_rows(const Tensor& t, const Copy& copy) {
  int64_t rows = t.dims == 1 ? t.size[0] : t.rows();
  return copy.run ? rows / copy.stride * copy.run : rows;
}

int64_t copied_bytes(const Tensor& t, const Copy& copy) {
  if (!copy.needed) return 0;
  int64_t row = t.dims == 1 ? static_cast<int64_t>(sizeof(float)) : dtype_bytes(t.dtype, t.cols());
  return copied_rows(t, copy) * row;
}

struct CopyJob {
  Tensor to, from;
  Copy copy;
};

/// The empty tensor that a copy will fill.
Tensor allocate_copy(Arena& arena, const Tensor& t, const Copy& copy) {
  if (t.dims == 1)
    return host_vector(arena.allocate("norms and biases", copied_bytes(t, copy)), DType::F32,
                       copied_rows(t, copy));
  return arena.matrix(copy.label, t.dtype, copied_rows(t, copy), t.cols());
}

void take_rows(std::byte* to, const std::byte* from, int64_t row_bytes, int64_t rows, const Copy& copy) {
  for (int64_t row = 0; row < rows; row += copy.run)
    std::memcpy(to + row * row_bytes, from + (row / copy.run * copy.stride + copy.first) * row_bytes,
                static_cast<size_t>(copy.run * row_bytes));
}

/// Rows divided by their L2 norm, in the dtype they have.
void unit_rows(const Tensor& to, const Tensor& from) {
  auto cols = static_cast<size_t>(from.cols());
  auto bytes = static_cast<size_t>(dtype_bytes(from.dtype, from.cols()));
  std::vector<std::byte> raw(bytes);  // aligned, which the file's bytes need not be
  std::vector<float> x(cols);
  for (int64_t r = 0; r < from.rows(); ++r) {
    std::memcpy(raw.data(), from.row<std::byte>(r), bytes);
    dequantise(x.data(), raw.data(), from.dtype, from.cols());
    double squares = 0;
    for (float v : x) squares += static_cast<double>(v) * v;
    auto scale = static_cast<float>(1 / std::max(std::sqrt(squares), 1e-12));
    for (size_t i = 0; i < cols; ++i) {
      if (from.dtype == DType::F32) to.row(r)[i] = x[i] * scale;
      if (from.dtype == DType::F16) to.row<uint16_t>(r)[i] = f32_to_f16(x[i] * scale);
      if (from.dtype == DType::BF16) to.row<uint16_t>(r)[i] = f32_to_bf16(x[i] * scale);
    }
  }
}

void fill_copy(const CopyJob& job, const ModelConfig& config) {
  const Copy& copy = job.copy;
  if (copy.unit_rows) return unit_rows(job.to, job.from);
  auto bytes = static_cast<size_t>(dtype_bytes(job.from.dtype, job.from.rows() * job.from.cols()));
  const void* from = job.from.data;
  std::vector<std::byte> raw;
  std::vector<float> values;
  if (job.from.dims == 1) {
    raw.resize(bytes);  // aligned, which the file's bytes need not be
    std::memcpy(raw.data(), from, bytes);
    values.resize(static_cast<size_t>(job.from.size[0]));
    dequantise(values.data(), raw.data(), job.from.dtype, job.from.size[0]);
    for (float& v : values) v += copy.add;
    from = values.data(), bytes = values.size() * sizeof(float);
  }
  auto* to = static_cast<std::byte*>(job.to.data);
  const auto* rows = static_cast<const std::byte*>(from);
  int64_t row_bytes = job.to.dims == 1 ? static_cast<int64_t>(sizeof(float)) : job.to.row_stride;
  if (copy.permuted_heads) {
    unpermute(to, rows, row_bytes, copy.permuted_heads, config);
  } else if (copy.run) {
    take_rows(to, rows, row_bytes, copied_rows(job.from, copy), copy);
  } else {
    std::memcpy(to, from, bytes);
  }
}

}  // namespace

std::vector<Linear*> linears(LayerWeights& w) {
  std::vector<Linear*> all{&w.q, &w.k, &w.v, &w.o, &w.gate, &w.up, &w.down, &w.router, &w.shared_router};
  for (Linear ExpertWeights::*part : {&ExpertWeights::gate, &ExpertWeights::up, &ExpertWeights::down}) {
    all.push_back(&(w.shared.*part));
    for (ExpertWeights& expert : w.experts) all.push_back(&(expert.*part));
  }
  return all;
}

Weights load_weights(const Checkpoint& checkpoint, const ModelConfig& config) {
  Arena arena;
  std::vector<CopyJob> jobs;
  Place place = [&](const Tensor& t, const Copy& copy) {
    if (!copy.needed) return t;
    jobs.push_back({allocate_copy(arena, t, copy), t, copy});
    return jobs.back().to;
  };
  Weights weights = Gather{.checkpoint = checkpoint, .config = config, .place = place}.all();
  // One parallel region for everything: entering hundreds costs more than the work of a small model.
  auto copies = static_cast<int64_t>(jobs.size()), tensors = static_cast<int64_t>(checkpoint.tensors.size());
  parallel_for(copies + tensors, [&](int64_t i) {
    if (i < copies) return fill_copy(jobs[static_cast<size_t>(i)], config);
    check_finite(checkpoint.tensors[static_cast<size_t>(i - copies)], checkpoint.path.string());
  });
  weights.copies = std::move(arena);
  return weights;
}

namespace {

/// The same weights on the device; a tensor that two roles share stays shared.
Weights uploaded(Weights&& host, Device& device) {
  Weights weights = std::move(host);
  Arena arena(device);
  std::map<const void*, Tensor> known;
  auto upload = [&](Tensor& t) {
    if (!t) return;
    auto [at, first] = known.try_emplace(t.data, t);
    if (first) {
      at->second.data = arena.allocate("weights", t.bytes());
      at->second.device = &device;
      device.upload(at->second.data, t.data, t.bytes());
    }
    t = at->second;
  };
  auto upload_linear = [&](Linear& w) { upload(w.weight), upload(w.bias); };
  upload(weights.embedding);
  for (LayerWeights& w : weights.layers) {
    for (Tensor* t : {&w.attn_norm, &w.q_norm, &w.k_norm, &w.attn_post_norm, &w.mlp_norm, &w.mlp_post_norm})
      upload(*t);
    for (Linear* l : linears(w)) upload_linear(*l);
  }
  upload(weights.final_norm);
  upload_linear(weights.head);
  device.synchronise();
  weights.copies = std::move(arena);
  return weights;
}

}  // namespace

Weights load_weights(const Checkpoint& checkpoint, const ModelConfig& config, Device& device) {
  Weights weights = load_weights(checkpoint, config);
  return device.is_host() ? std::move(weights) : uploaded(std::move(weights), device);
}

std::optional<WeightReading> weight_reading(std::string_view name) {
  if (name == "auto") return WeightReading::Auto;
  if (name == "lean") return WeightReading::Lean;
  if (name == "packed") return WeightReading::Packed;
  return std::nullopt;
}

void set_reading(Weights& weights, WeightReading reading, Compute compute) {
  auto set = [&](Linear& w) {
    // With rows of 576 weights a chunk of 512 tokens takes a tenth longer than on copies, from 2,048 on it
    // does not.
    constexpr int64_t kLongRow = 2048;
    w.as_stored =
        reading == WeightReading::Lean ||
        (reading == WeightReading::Auto && w && is_quantised(w.weight.dtype) && w.weight.cols() >= kLongRow);
    w.eight_bits = compute == Compute::Int8;
  };
  for (LayerWeights& layer : weights.layers)
    for (Linear* w : linears(layer)) set(*w);
  set(weights.head);
}

WeightReading settled_reading(WeightReading reading, const Checkpoint& checkpoint, const ModelConfig& config,
                              const Kernels& k, Compute compute, std::optional<int64_t> free_memory) {
  if (reading != WeightReading::Auto || !free_memory) return reading;
  WeightsPlan plan = plan_weights(checkpoint, config, k, compute, reading);
  return plan.packed + plan.packed_head > *free_memory / 4 ? WeightReading::Lean : reading;
}

WeightsPlan plan_weights(const Checkpoint& checkpoint, const ModelConfig& config, const Kernels& k,
                         Compute compute, WeightReading reading) {
  WeightsPlan plan{.reading = reading};
  Place place = [&](const Tensor& t, const Copy& copy) {
    plan.copied += copied_bytes(t, copy);
    plan.uploaded += copy.needed ? copied_bytes(t, copy) : t.bytes();
    return t;
  };
  Weights weights = Gather{.checkpoint = checkpoint, .config = config, .place = place}.all();
  set_reading(weights, plan.reading, compute);
  plan.mapped = checkpoint.tensor_bytes();
  // Experts get few rows each and are read as they lie (experts.cc).
  for (const LayerWeights& w : weights.layers)
    for (const Linear* l : {&w.q, &w.k, &w.v, &w.o, &w.gate, &w.up, &w.down, &w.router, &w.shared_router,
                            &w.shared.gate, &w.shared.up, &w.shared.down})
      if (*l) plan.packed += k.packed_bytes(*l, compute);
  plan.packed_head = k.packed_bytes(weights.head, compute);
  return plan;
}

}  // namespace longspan
