// Tensor names, shapes and what is copied at load. One walk over the roles (gather) serves loading and
// planning: they differ only in `place`, which either copies a tensor or counts the copy.
#include "model/weights.h"

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
  const TensorNames& names = gguf ? kGgufNames : *row.hf_names;
  std::set<std::string> used = {};

  static const Architecture& row_of(const ModelConfig& config) {
    auto rows = architectures();
    auto at = std::find_if(rows.begin(), rows.end(),
                           [&](const Architecture& row) { return config.architecture == row.name; });
    assert(at != rows.end());
    return *at;
  }

  std::string name(int64_t layer, const char* stem) const {
    return fmt::format(fmt::runtime(names.layer), layer) + stem;
  }

  Tensor take(const std::string& name, int64_t rows, int64_t cols) {
    Tensor t = checkpoint.require(name);
    bool right =
        rows == 0 ? t.dims == 1 && t.size[0] == cols : t.dims == 2 && t.size[0] == rows && t.size[1] == cols;
    if (!right) {
      std::string shape;
      for (int i = 0; i < t.dims; ++i) shape += (i ? " x " : "") + std::to_string(t.size[i]);
      fail("{}: tensor {} is {}; the config asks for {}{}", checkpoint.path.string(), excerpt(name), shape,
           rows ? std::to_string(rows) + " x " : "", cols);
    }
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
    Tensor t = take(name, 0, copy.run ? n / copy.run * copy.stride : n);
    if (is_quantised(t.dtype))
      fail("{}: tensor {} is quantised; F32, F16 or BF16 was expected", checkpoint.path.string(),
           excerpt(name));
    copy.needed |= t.dtype != DType::F32 || !aligned(t);
    return place(t, copy);
  }

  Tensor matrix(const std::string& name, int64_t rows, int64_t cols, Copy copy = {}) {
    Tensor t = take(name, copy.run ? rows / copy.run * copy.stride : rows, cols);
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
    if (names.qkv) {
      auto rows = [&](int64_t first, int64_t run) {
        return Copy{true, "q, k and v taken apart", 0, first, run, group + 2 * D};
      };
      std::string stem = name(l, names.qkv);
      w.q = linear(stem, K * group, C, bias, rows(0, group));
      w.k = linear(stem, K * D, C, bias, rows(group, D));
      w.v = linear(stem, K * D, C, bias, rows(group + D, D));
    } else {
      auto rotary = [&](int64_t heads) {
        return gguf && row.gguf_permuted ? Copy{true, "q and k in rotary order", heads} : Copy{};
      };
      w.q = linear(name(l, names.q), K * group, C, bias, rotary(config.num_attention_heads));
      w.k = linear(name(l, names.k), K * D, C, bias, rotary(K));
      w.v = linear(name(l, names.v), K * D, C, bias);
    }
    if (config.qk_norm) {
      w.q_norm = norm(name(l, names.q_norm), D);
      w.k_norm = norm(name(l, names.k_norm), D);
    }
  }

  LayerWeights layer(int64_t l) {
    const ModelConfig& c = config;
    int64_t C = c.hidden_size, F = c.intermediate_size;
    LayerWeights w;
    w.attn_norm = norm(name(l, names.attn_norm), C);
    query_key_value(w, l);
    w.o = linear(name(l, names.o), C, c.num_attention_heads * c.head_dim, c.o_bias);
    w.mlp_norm = norm(name(l, names.mlp_norm), C);
    w.gate = linear(name(l, names.gate), F, C, c.mlp_bias);
    w.up = linear(name(l, names.up), F, C, c.mlp_bias);
    w.down = linear(name(l, names.down), C, F, c.mlp_bias);
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
    for (Linear* l : {&w.q, &w.k, &w.v, &w.o, &w.gate, &w.up, &w.down}) upload_linear(*l);
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

WeightsPlan plan_weights(const Checkpoint& checkpoint, const ModelConfig& config, const Kernels& k,
                         Compute compute) {
  WeightsPlan plan;
  Place place = [&](const Tensor& t, const Copy& copy) {
    plan.copied += copied_bytes(t, copy);
    plan.uploaded += copy.needed ? copied_bytes(t, copy) : t.bytes();
    return t;
  };
  Weights weights = Gather{.checkpoint = checkpoint, .config = config, .place = place}.all();
  plan.mapped = checkpoint.tensor_bytes();
  for (const LayerWeights& w : weights.layers)
    for (const Linear* l : {&w.q, &w.k, &w.v, &w.o, &w.gate, &w.up, &w.down})
      plan.packed += k.packed_bytes(*l, compute);
  plan.packed_head = k.packed_bytes(weights.head, compute);
  return plan;
}

}  // namespace longspan
