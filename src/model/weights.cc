// Tensor names, shapes and what is copied at load. One walk over the roles (gather) serves loading and
// planning: they differ only in `place`, which either copies a tensor or counts the copy.
#include "model/weights.h"

#include <cstring>
#include <functional>
#include <set>

#include "base/error.h"
#include "base/threads.h"

namespace longspan {

namespace {

/// A role of a layer and its name stem in both formats; ".weight" or ".bias" follows.
struct Role {
  const char* hf;    // after model.layers.N.
  const char* gguf;  // after blk.N.
};
constexpr Role kAttnNorm{"input_layernorm", "attn_norm"}, kQ{"self_attn.q_proj", "attn_q"},
    kK{"self_attn.k_proj", "attn_k"}, kV{"self_attn.v_proj", "attn_v"}, kO{"self_attn.o_proj", "attn_output"},
    kMlpNorm{"post_attention_layernorm", "ffn_norm"}, kGate{"mlp.gate_proj", "ffn_gate"},
    kUp{"mlp.up_proj", "ffn_up"}, kDown{"mlp.down_proj", "ffn_down"};

/// Tensors that files carry and the forward pass does not read: the config already said what they hold.
bool ignorable(const std::string& name) {
  return name.ends_with("rotary_emb.inv_freq") || name == "rope_freqs.weight" ||
         name.starts_with("rope_factors_");
}

enum class Copy { None, ToF32, Unpermute, Align };

/// Makes a tensor usable: returns it where it lies, or a copy. `heads` counts the heads of an unpermuted one.
using Place = std::function<Tensor(const Tensor& tensor, Copy copy, int64_t heads)>;

/// The walk over a checkpoint: names, presence, shapes.
struct Gather {
  const Checkpoint& checkpoint;
  const ModelConfig& config;
  const Place& place;
  bool gguf = checkpoint.format == CheckpointFormat::Gguf;
  bool permuted = false;
  std::set<std::string> used;

  std::string name(int64_t layer, const Role& role, const char* suffix) const {
    return gguf ? fmt::format("blk.{}.{}.{}", layer, role.gguf, suffix)
                : fmt::format("model.layers.{}.{}.{}", layer, role.hf, suffix);
  }

  Tensor take(const std::string& name, int64_t rows, int64_t cols) {
    Tensor t = checkpoint.require(name);
    bool right =
        rows == 0 ? t.dims == 1 && t.size[0] == cols : t.dims == 2 && t.size[0] == rows && t.size[1] == cols;
    if (!right) {
      std::string shape;
      for (int i = 0; i < t.dims; ++i) shape += (i ? " x " : "") + std::to_string(t.size[i]);
      fail("{}: tensor {} is {}; the config asks for {}{}", checkpoint.path.string(), name, shape,
           rows ? std::to_string(rows) + " x " : "", cols);
    }
    if (t.dtype == DType::I32) fail("{}: tensor {} holds integers", checkpoint.path.string(), name);
    used.insert(name);
    return t;
  }

  static bool aligned(const Tensor& t) {
    return reinterpret_cast<uintptr_t>(t.data) %
               (t.dtype == DType::F32 ? alignof(float) : alignof(uint16_t)) ==
           0;
  }

  /// Norms and biases: [n] F32 whatever the file holds.
  Tensor vector(const std::string& name, int64_t n, int64_t permuted_heads = 0) {
    Tensor t = take(name, 0, n);
    if (is_quantised(t.dtype))
      fail("{}: tensor {} is quantised; F32, F16 or BF16 was expected", checkpoint.path.string(), name);
    Copy copy = permuted_heads                        ? Copy::Unpermute
                : t.dtype == DType::F32 && aligned(t) ? Copy::None
                                                      : Copy::ToF32;
    return place(t, copy, permuted_heads);
  }

  Tensor matrix(const std::string& name, int64_t rows, int64_t cols, int64_t permuted_heads = 0) {
    Tensor t = take(name, rows, cols);
    return place(t, permuted_heads ? Copy::Unpermute : aligned(t) ? Copy::None : Copy::Align, permuted_heads);
  }

  /// GGUF says nothing about biases: there they are what the file holds. A config.json that is silent says
  /// no.
  bool has_bias(const std::string& name, bool declared, bool optional) const {
    bool present = static_cast<bool>(checkpoint.find(name));
    if (present && !gguf && !declared)
      fail("{}: tensor {} exists, but config.json does not declare biases", checkpoint.path.string(), name);
    return present || (declared && !optional);
  }

  Linear linear(int64_t layer, const Role& role, int64_t rows, int64_t cols, bool bias,
                int64_t permuted_heads = 0) {
    Linear w;
    w.weight = matrix(name(layer, role, "weight"), rows, cols, permuted_heads);
    std::string bias_name = name(layer, role, "bias");
    if (has_bias(bias_name, bias, role.hf == kO.hf)) w.bias = vector(bias_name, rows, permuted_heads);
    return w;
  }

  LayerWeights layer(int64_t l) {
    const ModelConfig& c = config;
    int64_t C = c.hidden_size, F = c.intermediate_size, H = c.num_attention_heads, K = c.num_key_value_heads,
            D = c.head_dim;
    LayerWeights w;
    w.attn_norm = vector(name(l, kAttnNorm, "weight"), C);
    w.q = linear(l, kQ, H * D, C, c.attention_bias, permuted ? H : 0);
    w.k = linear(l, kK, K * D, C, c.attention_bias, permuted ? K : 0);
    w.v = linear(l, kV, K * D, C, c.attention_bias);
    w.o = linear(l, kO, C, H * D, c.attention_bias);
    w.mlp_norm = vector(name(l, kMlpNorm, "weight"), C);
    w.gate = linear(l, kGate, F, C, c.mlp_bias);
    w.up = linear(l, kUp, F, C, c.mlp_bias);
    w.down = linear(l, kDown, C, F, c.mlp_bias);
    return w;
  }

  Weights all() {
    for (const Architecture& row : architectures())
      if (config.architecture == row.name) permuted = gguf && row.gguf_permuted;
    Weights w;
    int64_t V = config.vocab_size, C = config.hidden_size;
    w.embedding = matrix(gguf ? "token_embd.weight" : "model.embed_tokens.weight", V, C);
    for (int64_t l = 0; l < config.num_hidden_layers; ++l) w.layers.push_back(layer(l));
    w.final_norm = vector(gguf ? "output_norm.weight" : "model.norm.weight", C);
    std::string head = gguf ? "output.weight" : "lm_head.weight";
    w.head.weight = config.tie_word_embeddings ? w.embedding : matrix(head, V, C);
    if (config.tie_word_embeddings) used.insert(head);
    for (const NamedTensor& t : checkpoint.tensors)
      if (!used.contains(t.name) && !ignorable(t.name))
        fail(
            "{}: tensor {} has no place in a {} model of {} layers; reading the model without it would be "
            "wrong",
            checkpoint.path.string(), t.name, config.architecture, config.num_hidden_layers);
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

int64_t copied_bytes(const Tensor& t, Copy copy) {
  if (copy == Copy::None) return 0;
  return t.dims == 1 ? t.size[0] * static_cast<int64_t>(sizeof(float))
                     : t.rows() * dtype_bytes(t.dtype, t.cols());
}

struct CopyJob {
  Tensor to, from;
  Copy copy;
  int64_t heads;
};

/// The empty tensor that a copy will fill.
Tensor allocate_copy(Arena& arena, const Tensor& t, Copy copy) {
  if (t.dims == 1)
    return vector_view(arena.allocate("norms and biases", copied_bytes(t, copy)), DType::F32, t.size[0]);
  const char* label = copy == Copy::Unpermute ? "q and k in rotary order" : "weights moved to aligned memory";
  return arena.matrix(label, t.dtype, t.rows(), t.cols());
}

void fill_copy(const CopyJob& job, const ModelConfig& config) {
  auto bytes = static_cast<size_t>(dtype_bytes(job.from.dtype, job.from.rows() * job.from.cols()));
  const void* from = job.from.data;
  std::vector<std::byte> raw;
  std::vector<float> values;
  if (job.from.dims == 1) {
    raw.resize(bytes);  // aligned, which the file's bytes need not be
    std::memcpy(raw.data(), from, bytes);
    values.resize(static_cast<size_t>(job.from.size[0]));
    dequantise(values.data(), raw.data(), job.from.dtype, job.from.size[0]);
    from = values.data(), bytes = values.size() * sizeof(float);
  }
  auto* to = static_cast<std::byte*>(job.to.data);
  int64_t row_bytes = job.to.dims == 1 ? static_cast<int64_t>(sizeof(float)) : job.to.row_stride;
  if (job.copy == Copy::Unpermute) {
    unpermute(to, static_cast<const std::byte*>(from), row_bytes, job.heads, config);
  } else {
    std::memcpy(to, from, bytes);
  }
}

}  // namespace

Weights load_weights(const Checkpoint& checkpoint, const ModelConfig& config) {
  Arena arena;
  std::vector<CopyJob> jobs;
  Place place = [&](const Tensor& t, Copy copy, int64_t heads) {
    if (copy == Copy::None) return t;
    jobs.push_back({allocate_copy(arena, t, copy), t, copy, heads});
    return jobs.back().to;
  };
  Weights weights = Gather{.checkpoint = checkpoint, .config = config, .place = place, .used = {}}.all();
  // One parallel region for everything: entering hundreds costs more than the work of a small model.
  auto copies = static_cast<int64_t>(jobs.size()), tensors = static_cast<int64_t>(checkpoint.tensors.size());
  parallel_for(copies + tensors, [&](int64_t i) {
    if (i < copies) return fill_copy(jobs[static_cast<size_t>(i)], config);
    check_finite(checkpoint.tensors[static_cast<size_t>(i - copies)], checkpoint.path.string());
  });
  weights.copies = std::move(arena);
  return weights;
}

WeightsPlan plan_weights(const Checkpoint& checkpoint, const ModelConfig& config, const Kernels& k,
                         Compute compute) {
  WeightsPlan plan;
  Place place = [&](const Tensor& t, Copy copy, int64_t) {
    plan.copied += copied_bytes(t, copy);
    return t;
  };
  Weights weights = Gather{.checkpoint = checkpoint, .config = config, .place = place, .used = {}}.all();
  plan.mapped = checkpoint.tensor_bytes();
  for (const LayerWeights& w : weights.layers)
    for (const Linear* l : {&w.q, &w.k, &w.v, &w.o, &w.gate, &w.up, &w.down})
      plan.packed += k.packed_bytes(*l, compute);
  plan.packed_head = k.packed_bytes(weights.head, compute);
  return plan;
}

}  // namespace longspan
