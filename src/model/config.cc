// Reading a model's config. Sizes are bounded before anything is computed from them, and a field that would
// change the arithmetic in a way that is not implemented is refused, never skipped.
#include "model/config.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <optional>
#include <tuple>

#include "base/error.h"
#include "base/settings.h"
#include "base/text.h"

namespace longspan {

namespace {

const Architecture kArchitectures[] = {
    {.name = "llama", .hf_type = "llama", .gguf_permuted = true},
    {.name = "llama", .hf_type = "mistral", .gguf_permuted = true, .sliding_window = 4096},
    {.name = "llama", .hf_type = "aquila", .gguf_permuted = true},
    {.name = "llama", .hf_type = "index", .chat_template = "index", .gguf_permuted = true, .norm_head = true},
    {.name = "xverse", .hf_type = "xverse", .chat_template = "xverse", .gguf_permuted = true},
    {.name = "internlm2",
     .hf_type = "internlm2",
     .hf_names = &kInternlm2Names,
     .gguf_permuted = true,
     .bias = "bias"},
    {.name = "qwen2",
     .hf_type = "qwen2",
     .qkv_bias = true,
     .max_window_layers = true,
     .sliding_window = 4096},
    {.name = "qwen3",
     .hf_type = "qwen3",
     .qk_norm = true,
     .max_window_layers = true,
     .head_dim = 128,
     .sliding_window = 4096},
    {.name = "gemma2",
     .hf_type = "gemma2",
     .hf_names = &kGemmaNames,
     .post_norms = true,
     .trains = false,
     .gemma = true,
     .soft_caps = true,
     .tied = true,
     .head_dim = 256,
     .sliding_window_pattern = 2,
     .wide_layers = 46,
     .sliding_window = 4096},
    {.name = "gemma3",
     .hf_type = "gemma3_text",
     .hf_names = &kGemmaNames,
     .qk_norm = true,
     .post_norms = true,
     .gemma = true,
     .tied = true,
     .head_dim = 256,
     .sliding_window_pattern = 6,
     .wide_layers = 62,
     .sliding_window = 4096,
     .base = 1e6},
    {.name = "qwen2moe",
     .hf_type = "qwen2_moe",
     .qkv_bias = true,
     .experts = true,
     .trains = false,
     .max_window_layers = true,
     .sliding_window = 4096},
    {.name = "qwen3moe",
     .hf_type = "qwen3_moe",
     .qk_norm = true,
     .experts = true,
     .norm_topk_prob = true,
     .trains = false,
     .max_window_layers = true,
     .sliding_window = 4096},
    {.name = "phi3",
     .hf_type = "phi3",
     .hf_names = &kPhi3Names,
     .gguf_names = &kGgufPhi3Names,
     .trains = false,
     .sliding_window = -1,
     .eps = 1e-5},
    {.name = "smollm3",
     .hf_type = "smollm3",
     .gguf_permuted = true,
     .trains = false,
     .tied = true,
     .base = 2e6,
     .no_rope_layer_interval = 4},
    {.name = "olmo2",
     .hf_type = "olmo2",
     .hf_names = &kOlmo2Names,
     .gguf_names = &kGgufOlmo2Names,
     .qk_norm = true,
     .qk_norm_whole = true,
     .pre_norms = false,
     .post_norms = true,
     .trains = false,
     .eps = 1e-5},
    {.name = "glm4",
     .hf_type = "glm4",
     .hf_names = &kGlm4Names,
     .gguf_names = &kGgufGlm4Names,
     .gguf_permuted = true,
     .hf_permuted = true,
     .post_norms = true,
     .o_unbiased = true,
     .trains = false,
     .head_dim = 128,
     .eps = 1.5625e-7,
     .rotary_fraction = 0.5},
    {.name = "granite", .hf_type = "granite", .gguf_permuted = true, .multipliers = true, .trains = false},
};

const Architecture& find_architecture(const char* Architecture::*field, const std::string& wanted,
                                      const std::string& source, const char* key) {
  std::string known;
  for (const Architecture& row : kArchitectures) {
    if (wanted == row.*field) return row;
    std::string name = row.*field;
    if (known.find(name) == known.npos) known += (known.empty() ? "" : ", ") + name;
  }
  fail("{}: {} {} is not supported; supported are: {}", source, key, in_quotes(wanted), known);
}

constexpr int64_t kMaxWidth = int64_t{1} << 20, kMaxLayers = 4096, kMaxHeads = 4096, kMaxHeadDim = 4096,
                  kMaxExperts = 4096, kMaxVocab = int64_t{1} << 24, kMaxWindow = int64_t{1} << 40;

void check_shapes(const ModelConfig& c, const std::string& source) {
  if (c.num_attention_heads % c.num_key_value_heads != 0)
    fail("{}: {} query heads cannot share {} key/value heads evenly", source, c.num_attention_heads,
         c.num_key_value_heads);
  if (c.rotary_dim < 2 || c.rotary_dim % 2 != 0 || c.rotary_dim > c.head_dim)
    fail("{}: the rotary size must be even and from 2 to the head size, {}, not {}", source, c.head_dim,
         c.rotary_dim);
  bool own_base = c.sliding_window_pattern > 0 && !row_of(c).soft_caps;
  if (own_base && !(c.rope_local_base_freq > 0 && std::isfinite(c.rope_local_base_freq)))
    fail("{}: the rotary base of local layers must be above 0, not {}", source, c.rope_local_base_freq);
  if (c.num_experts > 0 && (c.num_experts_per_tok < 1 || c.num_experts_per_tok > c.num_experts))
    fail("{}: a token cannot be given to {} of {} experts", source, c.num_experts_per_tok, c.num_experts);
  for (double cap : {c.attn_logit_softcapping, c.final_logit_softcapping})
    if (!(std::isfinite(cap) && cap >= 0))
      fail("{}: soft caps (attn_logit_softcapping, final_logit_softcapping) must be above 0, not {}", source,
           cap);
  for (double factor : {c.embedding_scale, c.residual_multiplier, c.logits_scaling})
    if (!(std::isfinite(factor) && factor != 0))
      fail("{}: the multipliers of embedding, residual and logits must be finite and not 0", source);
  if (c.norm_head && c.tie_word_embeddings)
    fail("{}: norm_head with tied word embeddings is not supported", source);
  if (!(c.rms_norm_eps >= 0 && c.rms_norm_eps < 1))
    fail("{}: the epsilon of RMSNorm must be from 0 to 1, not {}", source, c.rms_norm_eps);
}

/// head_dim when the file does not say: hidden / heads, which must then be whole.
int64_t default_head_dim(const ModelConfig& c, const std::string& source) {
  if (c.hidden_size % c.num_attention_heads != 0)
    fail("{}: hidden size {} is not a multiple of {} heads and no head size is given", source, c.hidden_size,
         c.num_attention_heads);
  return c.hidden_size / c.num_attention_heads;
}

/// Mixtures of experts are refused by the number of experts under `key`.
void refuse_experts(Settings& f, const std::string& key) {
  int64_t experts = 0;
  f.read(key, experts, 0, kMaxWidth);
  if (experts > 0) f.refuse(key, "mixtures of experts are not supported");
}

bool flag_of(Settings& f, const char* key, bool otherwise) {
  f.read(key, otherwise);
  return otherwise;
}

// ---- config.json ----

void refuse_unknown_arithmetic(Settings& f, const Architecture& row) {
  const char* key = row.gemma ? "hidden_activation" : "hidden_act";
  std::string supported = row.gemma ? "gelu_pytorch_tanh" : "silu", activation = supported;
  f.read(key, activation);
  if (activation == "swish") activation = "silu";
  if (activation != supported)
    fail("{} {} is not supported for {}", f.where(key), in_quotes(activation), row.hf_type);
  if (f.has("quantization_config"))
    f.refuse("quantization_config",
             "this checkpoint was quantised in a way that is not supported; use F32, F16, BF16 or GGUF");
  for (const char* experts : {"num_experts", "num_local_experts", "n_routed_experts"})
    if (!row.experts) refuse_experts(f, experts);
  for (const char* flag : {"rope_interleaved", "use_bidirectional_attention"})
    if (flag_of(f, flag, false)) fail("{} is not supported", f.where(flag));
  for (const char* cap : {"attn_logit_softcapping", "final_logit_softcapping"})
    if (!row.soft_caps && f.has(cap)) fail("{} is not supported", f.where(cap));
}

/// sliding_window_pattern of a list that says for each layer whether it is local.
int64_t pattern_of(const std::vector<bool>& local, const Settings& f, const std::string& key,
                   const char* others = "layers that see everything") {
  auto first = std::find(local.begin(), local.end(), false);
  auto every = static_cast<int64_t>(first - local.begin()) + 1;
  for (size_t l = 0; l < local.size(); ++l)
    if (local[l] == ((static_cast<int64_t>(l) + 1) % every == 0))
      f.refuse(key, fmt::format("only {} at even intervals are supported", others));
  return every;
}

/// Gemma: every sixth layer, or second in Gemma 2, sees everything unless the file says otherwise.
int64_t window_pattern_from_hf(Settings& f, int64_t layers, int64_t every) {
  f.read("sliding_window_pattern", every, 1, kMaxLayers);
  if (!f.has("layer_types")) return every;
  std::vector<bool> local;
  for (const Json& type : f.any("layer_types")) local.push_back(type == "sliding_attention");
  if (static_cast<int64_t>(local.size()) != layers)
    fail("{} must name {} layers", f.where("layer_types"), layers);
  return pattern_of(local, f, "layer_types");
}

/// The family's window where it has one. Qwen counts layers that keep full attention (max_window_layers);
/// there only a model whose layers are all alike is supported.
int64_t sliding_window_from_hf(Settings& f, const Json& json, const Architecture& row, int64_t layers) {
  if (row.sliding_window == 0) return 0;
  bool null = json.contains("sliding_window") && json["sliding_window"].is_null();
  int64_t window = null || row.sliding_window < 0 ? 0 : row.sliding_window;
  f.read("sliding_window", window, 0, kMaxWindow);
  if (row.gemma) return window;
  if (row.max_window_layers) {
    int64_t full = 28;
    f.read("max_window_layers", full, 0, kMaxLayers);
    if (!flag_of(f, "use_sliding_window", false) || full >= layers) window = 0;
    if (window > 0 && full > 0)
      fail("{} {}: layers with different windows are not supported", f.where("max_window_layers"), full);
  }
  if (const Json& types = f.any("layer_types"); types.is_array())
    for (const Json& type : types)
      if (type != (window > 0 ? "sliding_attention" : "full_attention"))
        f.refuse("layer_types", "layers with different windows are not supported");
  return window;
}

/// Index writes norm_head as 0 or 1.
bool norm_head_from_hf(Settings& f, const Architecture& row) {
  bool asked = false;
  if (f.any("norm_head").is_boolean()) {
    f.read("norm_head", asked);
  } else {
    int64_t number = 0;
    f.read("norm_head", number, 0, 1);
    asked = number == 1;
  }
  if (asked && !row.norm_head) fail("{} is not supported for {}", f.where("norm_head"), row.hf_type);
  return asked;
}

/// What the position room reads. Gemma keeps rotary settings of two kinds of layers (rope_parameters by the
/// name of the kind, or rope_local_base_freq beside rope_theta): those of the local ones go to
/// rope_local_base_freq, the others stay.
Json rotary_fields(Json json, const Settings& f, const Architecture& row) {
  if (row.gemma && f.has("rope_parameters") && json["rope_parameters"].contains("sliding_attention")) {
    Json all = json["rope_parameters"];
    if (!all["sliding_attention"].is_object())
      fail("{} must be an object", f.where("rope_parameters.sliding_attention"));
    for (const auto& [key, value] : all["sliding_attention"].items()) {
      if (key == "rope_theta") {
        json["rope_local_base_freq"] = value;
      } else if (key != "rope_type" || value != "default") {
        fail("{} of local layers is not supported", f.where("rope_parameters.sliding_attention." + key));
      }
    }
    json["rope_parameters"] = all.contains("full_attention") ? all["full_attention"] : Json();
  }
  bool given =
      f.has("rope_theta") || (json.contains("rope_parameters") && json["rope_parameters"].is_object() &&
                              json["rope_parameters"].contains("rope_theta"));
  if (row.base > 0 && !given) json["rope_theta"] = row.base;
  bool partial = f.has("partial_rotary_factor") ||
                 (json.contains("rope_parameters") && json["rope_parameters"].is_object() &&
                  json["rope_parameters"].contains("partial_rotary_factor"));
  if (row.rotary_fraction != 1 && !partial) json["partial_rotary_factor"] = row.rotary_fraction;
  return json;
}

/// Every layer has experts, or the model is refused.
void read_experts_hf(ModelConfig& c, Settings& f) {
  // transformers 5 writes num_local_experts, published files have num_experts.
  const char* count = f.has("num_local_experts") ? "num_local_experts" : "num_experts";
  f.require({count, "num_experts_per_tok", "moe_intermediate_size"});
  f.read(count, c.num_experts, 1, kMaxExperts);
  f.read("num_experts_per_tok", c.num_experts_per_tok, 1, kMaxExperts);
  f.read("moe_intermediate_size", c.moe_intermediate_size, 1, kMaxWidth);
  if (c.architecture == "qwen2moe") {
    f.require({"shared_expert_intermediate_size"});
    f.read("shared_expert_intermediate_size", c.shared_expert_intermediate_size, 1, kMaxWidth);
  }
  f.read("norm_topk_prob", c.norm_topk_prob = false);
  int64_t step = 1;
  f.read("decoder_sparse_step", step, 1, kMaxLayers);
  if (step != 1) f.refuse("decoder_sparse_step", "only experts in every layer are supported");
  if (const Json& dense = f.any("mlp_only_layers"); dense.is_array() && !dense.empty())
    f.refuse("mlp_only_layers", "only experts in every layer are supported");
}

/// Granite: factors of 1 where the file is silent.
void read_multipliers_hf(ModelConfig& c, Settings& f) {
  double attention = 1;
  f.read("embedding_multiplier", c.embedding_scale);
  f.read("residual_multiplier", c.residual_multiplier);
  f.read("logits_scaling", c.logits_scaling);
  f.read("attention_multiplier", attention);
  if (!(attention > 0 && std::isfinite(attention)))
    fail("{} must be above 0, not {}", f.where("attention_multiplier"), attention);
  c.query_pre_attn_scalar = 1 / (attention * attention);
}

/// Layers without rotation (SmolLM 3): a list with 0 for each, or every so many.
int64_t no_rope_interval_from_hf(Settings& f, int64_t layers, int64_t interval) {
  f.read("no_rope_layer_interval", interval, 1, kMaxLayers);
  const Json& list = f.any("no_rope_layers");
  if (!list.is_array()) return interval;
  std::vector<bool> rotated;
  for (const Json& layer : list) rotated.push_back(layer != 0);
  if (std::ssize(rotated) != layers) fail("{} must name {} layers", f.where("no_rope_layers"), layers);
  if (std::find(rotated.begin(), rotated.end(), false) == rotated.end()) return 0;
  return pattern_of(rotated, f, "no_rope_layers", "layers without rotation");
}

/// Where the file does not say: 50 and 30. None where it says null.
void read_soft_caps(ModelConfig& c, Settings& f, const Json& json, const std::string& prefix = {}) {
  for (auto [name, cap, otherwise] :
       {std::tuple<const char*, double*, double>{"attn_logit_softcapping", &c.attn_logit_softcapping, 50},
        {"final_logit_softcapping", &c.final_logit_softcapping, 30}}) {
    std::string key = prefix + name;
    auto found = json.find(key);
    *cap = found != json.end() && found->is_null() ? 0 : otherwise;
    if (f.read(key, *cap) && !(*cap > 0)) fail("{} must be above 0, not {}", f.where(key), *cap);
  }
}

void read_gemma_hf(ModelConfig& c, const Architecture& row, const Json& json, const std::string& source) {
  Settings f(json, {.file = source});
  int64_t every = row.sliding_window_pattern;
  c.sliding_window_pattern = c.sliding_window > 0 ? window_pattern_from_hf(f, c.num_hidden_layers, every) : 0;
  if (row.soft_caps) {
    read_soft_caps(c, f, json);
  } else {
    c.rope_local_base_freq = 1e4;
    f.read("rope_local_base_freq", c.rope_local_base_freq);
  }
  c.query_pre_attn_scalar = 256;
  f.read("query_pre_attn_scalar", c.query_pre_attn_scalar);
  if (!(c.query_pre_attn_scalar > 0))
    fail("{} must be above 0, not {}", f.where("query_pre_attn_scalar"), c.query_pre_attn_scalar);
}

/// What the family itself fixes, in either format.
void apply_row(ModelConfig& c, const Architecture& row) {
  c.architecture = row.name;
  c.qk_norm = row.qk_norm;
  c.qk_norm_whole = row.qk_norm_whole;
  c.pre_norms = row.pre_norms;
  c.post_norms = row.post_norms;
  c.norm_offset = row.gemma;
  c.norm_topk_prob = row.norm_topk_prob;
  c.no_rope_layer_interval = row.no_rope_layer_interval;
  if (!row.gemma) return;
  c.activation = Activation::GeluTanh;
  c.embedding_scale = std::sqrt(static_cast<double>(c.hidden_size));
}

ModelConfig read_hf(const Json& json, const std::string& source) {
  Settings f(json, {.file = source});
  std::string type;
  f.require({"model_type"});
  f.read("model_type", type);
  const Architecture& row = find_architecture(&Architecture::hf_type, type, source, "model_type");
  refuse_unknown_arithmetic(f, row);
  ModelConfig c;
  f.require({"hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size"});
  f.read("hidden_size", c.hidden_size, 1, kMaxWidth);
  f.read("intermediate_size", c.intermediate_size, 1, kMaxWidth);
  f.read("num_hidden_layers", c.num_hidden_layers, 1, kMaxLayers);
  f.read("num_attention_heads", c.num_attention_heads, 1, kMaxHeads);
  c.num_key_value_heads = c.num_attention_heads;
  f.read("num_key_value_heads", c.num_key_value_heads, 1, kMaxHeads);
  f.read("vocab_size", c.vocab_size, 1, kMaxVocab);
  c.head_dim = row.head_dim;
  if (!f.read("head_dim", c.head_dim, 1, kMaxHeadDim) && c.head_dim == 0)
    c.head_dim = default_head_dim(c, source);
  Json rotary = rotary_fields(json, f, row);
  c.rotary_dim = static_cast<int64_t>(static_cast<double>(c.head_dim) * rotary_fraction_from_hf(rotary));
  double eps = row.eps;
  f.read("rms_norm_eps", eps);
  c.rms_norm_eps = static_cast<float>(eps);
  c.sliding_window = sliding_window_from_hf(f, json, row, c.num_hidden_layers);
  c.tie_word_embeddings = flag_of(f, "tie_word_embeddings", row.tied);
  bool biased = !row.qkv_bias && flag_of(f, row.bias, false);
  c.o_bias = biased && !row.o_unbiased;
  c.attention_bias = row.qkv_bias || biased;
  c.mlp_bias = flag_of(f, "mlp_bias", false);
  c.norm_head = norm_head_from_hf(f, row);
  apply_row(c, row);
  if (row.gemma) read_gemma_hf(c, row, rotary, source);
  if (row.experts) read_experts_hf(c, f);
  if (row.multipliers) read_multipliers_hf(c, f);
  if (row.no_rope_layer_interval > 0) {
    c.no_rope_layer_interval = no_rope_interval_from_hf(f, c.num_hidden_layers, row.no_rope_layer_interval);
    if (flag_of(f, "use_sliding_window", false)) fail("{} is not supported", f.where("use_sliding_window"));
  }
  check_shapes(c, source);
  c.position = position_from_hf(rotary, c.head_shape());
  return c;
}

// ---- GGUF ----

std::map<std::string, std::vector<double>> rotary_factors(const Checkpoint& checkpoint,
                                                          const std::string& source) {
  std::map<std::string, std::vector<double>> lists;
  for (auto [tensor, key] : {std::pair{"rope_freqs.weight", "rope_freqs"},
                             {"rope_factors_short.weight", "short_factor"},
                             {"rope_factors_long.weight", "long_factor"}}) {
    Tensor t = checkpoint.find(tensor);
    if (!t) continue;
    if (t.dtype != DType::F32 || t.dims != 1 || t.size[0] > kMaxHeadDim)
      fail("{}: {} must be one row of F32", source, tensor);
    std::vector<float> values(static_cast<size_t>(t.size[0]));
    __builtin_memcpy(values.data(), t.data, values.size() * sizeof(float));
    lists[key] = {values.begin(), values.end()};
  }
  return lists;
}

int64_t window_pattern_from_gguf(Settings& f, const std::string& key, int64_t every) {
  const Json& layers = f.any(key);
  if (!layers.is_array()) {
    f.read(key, every, 1, kMaxLayers);
    return every;
  }
  std::vector<bool> local;
  for (const Json& layer : layers) local.push_back(layer != false && layer != 0);
  return pattern_of(local, f, key);
}

/// The files do not say query_pre_attn_scalar: of the published sizes only the largest has not head_dim.
void read_gemma_gguf(ModelConfig& c, const Architecture& row, Settings& f, const Json& metadata) {
  std::string arch = std::string(row.name) + ".";
  if (row.soft_caps && !f.has(arch + "attention.sliding_window")) c.sliding_window = row.sliding_window;
  if (c.sliding_window > 0)
    c.sliding_window_pattern =
        window_pattern_from_gguf(f, arch + "attention.sliding_window_pattern", row.sliding_window_pattern);
  if (row.soft_caps) {
    read_soft_caps(c, f, metadata, arch);
  } else {
    c.rope_local_base_freq = 1e4;
    f.read(arch + "rope.freq_base_swa", c.rope_local_base_freq);
  }
  if (c.num_hidden_layers == row.wide_layers)
    c.query_pre_attn_scalar = static_cast<double>(c.hidden_size / c.num_attention_heads);
}

/// The sizes of experts are those of their tensors, where the file does not say them.
void read_experts_gguf(ModelConfig& c, Settings& f, const std::string& arch, const Checkpoint& checkpoint) {
  f.require({arch + ".expert_count", arch + ".expert_used_count"});
  f.read(arch + ".expert_count", c.num_experts, 1, kMaxExperts);
  f.read(arch + ".expert_used_count", c.num_experts_per_tok, 1, kMaxExperts);
  Tensor gate = checkpoint.find("blk.0.ffn_gate_exps.weight"),
         shared = checkpoint.find("blk.0.ffn_gate_shexp.weight");
  if (gate && gate.dims == 3) c.moe_intermediate_size = gate.size[1];
  if (shared && shared.dims == 2) c.shared_expert_intermediate_size = shared.size[0];
  f.read(arch + ".expert_feed_forward_length", c.moe_intermediate_size, 1, kMaxWidth);
  f.read(arch + ".expert_shared_feed_forward_length", c.shared_expert_intermediate_size, 0, kMaxWidth);
}

void read_multipliers_gguf(ModelConfig& c, Settings& f, const std::string& arch) {
  double attention = 0;
  f.read(arch + ".embedding_scale", c.embedding_scale);
  f.read(arch + ".residual_scale", c.residual_multiplier);
  f.read(arch + ".logit_scale", c.logits_scaling);
  f.read(arch + ".attention.scale", attention);
  if (attention > 0) c.query_pre_attn_scalar = 1 / (attention * attention);
}

/// What the position room reads of a Gemma file: not the base of local layers, which has been read.
Json without_local_base(const Json& metadata, const std::string& arch) {
  Json own = Json::object();
  for (const auto& [key, value] : metadata.items())
    if (key.starts_with(arch + ".") && key != arch + ".rope.freq_base_swa") own[key] = value;
  return own;
}

ModelConfig read_gguf(const Checkpoint& checkpoint, const std::string& source) {
  Settings f(checkpoint.metadata, {.file = source});
  std::string arch;
  f.require({"general.architecture"});
  f.read("general.architecture", arch);
  const Architecture& row = find_architecture(&Architecture::name, arch, source, "general.architecture");
  auto key = [&](const char* name) { return arch + "." + name; };
  if (!row.experts) refuse_experts(f, key("expert_count"));
  for (const char* cap : {"attn_logit_softcapping", "final_logit_softcapping"})
    if (!row.soft_caps && f.has(key(cap))) fail("{} is not supported", f.where(key(cap)));

  ModelConfig c;
  f.require({key("embedding_length"), key("feed_forward_length"), key("block_count"),
             key("attention.head_count"), key("attention.layer_norm_rms_epsilon")});
  f.read(key("embedding_length"), c.hidden_size, 1, kMaxWidth);
  f.read(key("feed_forward_length"), c.intermediate_size, 1, kMaxWidth);
  f.read(key("block_count"), c.num_hidden_layers, 1, kMaxLayers);
  f.read(key("attention.head_count"), c.num_attention_heads, 1, kMaxHeads);
  c.num_key_value_heads = c.num_attention_heads;
  f.read(key("attention.head_count_kv"), c.num_key_value_heads, 1, kMaxHeads);
  if (!f.read(key("attention.key_length"), c.head_dim, 1, kMaxHeadDim))
    c.head_dim = default_head_dim(c, source);
  int64_t value_length = c.head_dim;
  f.read(key("attention.value_length"), value_length, 1, kMaxHeadDim);
  if (value_length != c.head_dim)
    fail("{} differs from the key length {}, which is not supported", f.where(key("attention.value_length")),
         c.head_dim);
  c.rotary_dim = c.head_dim;
  f.read(key("rope.dimension_count"), c.rotary_dim, 1, kMaxHeadDim);
  double eps = 0;
  f.read(key("attention.layer_norm_rms_epsilon"), eps);
  c.rms_norm_eps = static_cast<float>(eps);
  f.read(key("attention.sliding_window"), c.sliding_window, 0, kMaxWindow);
  c.attention_bias = row.qkv_bias || checkpoint.find("blk.0.attn_q.bias");
  c.o_bias = static_cast<bool>(checkpoint.find("blk.0.attn_output.bias"));
  c.mlp_bias = static_cast<bool>(checkpoint.find("blk.0.ffn_gate.bias"));
  c.tie_word_embeddings = !checkpoint.find("output.weight");
  c.vocab_size = checkpoint.require("token_embd.weight").rows();
  f.read(key("vocab_size"), c.vocab_size, 1, kMaxVocab);
  apply_row(c, row);
  if (row.gemma) read_gemma_gguf(c, row, f, checkpoint.metadata);
  if (row.experts) read_experts_gguf(c, f, arch, checkpoint);
  if (row.multipliers) read_multipliers_gguf(c, f, arch);
  check_shapes(c, source);
  Json own = row.gemma ? without_local_base(checkpoint.metadata, arch) : Json();
  c.position = position_from_gguf(row.gemma ? own : checkpoint.metadata, arch, c.head_shape(),
                                  rotary_factors(checkpoint, source));
  return c;
}

}  // namespace

std::span<const Architecture> architectures() { return kArchitectures; }

const Architecture& row_of(const ModelConfig& config) {
  auto at = std::find_if(std::begin(kArchitectures), std::end(kArchitectures),
                         [&](const Architecture& row) { return config.architecture == row.name; });
  assert(at != std::end(kArchitectures));
  return *at;
}

const Architecture* architecture_of(const Checkpoint& checkpoint) {
  bool gguf = checkpoint.format == CheckpointFormat::Gguf;
  auto at = checkpoint.metadata.find(gguf ? "general.architecture" : "model_type");
  if (at == checkpoint.metadata.end() || !at->is_string()) return nullptr;
  for (const Architecture& row : kArchitectures)
    if (at->get<std::string>() == (gguf ? row.name : row.hf_type)) return &row;
  return nullptr;
}

namespace {

/// With so many experts in each layer.
int64_t parameters_with(const ModelConfig& c, int64_t experts) {
  int64_t C = c.hidden_size, F = c.intermediate_size, q = c.num_attention_heads * c.head_dim,
          kv = c.num_key_value_heads * c.head_dim;
  int64_t mlp = 3 * C * F;
  if (c.num_experts > 0) {
    int64_t shared = c.shared_expert_intermediate_size;
    mlp =
        c.num_experts * C + experts * 3 * C * c.moe_intermediate_size + 3 * C * shared + (shared > 0 ? C : 0);
  }
  int64_t norms = (c.pre_norms ? 2 : 0) + (c.post_norms ? 2 : 0);
  int64_t layer = C * (2 * q + 2 * kv) + mlp + norms * C;
  if (c.attention_bias) layer += q + 2 * kv;
  if (c.o_bias) layer += C;
  if (c.mlp_bias) layer += 2 * F + C;
  if (c.qk_norm) layer += c.qk_norm_whole ? q + kv : 2 * c.head_dim;
  return c.num_hidden_layers * layer + C + (c.tie_word_embeddings ? 1 : 2) * c.vocab_size * C;
}

}  // namespace

int64_t parameter_count(const ModelConfig& c) { return parameters_with(c, c.num_experts); }
int64_t active_parameter_count(const ModelConfig& c) { return parameters_with(c, c.num_experts_per_tok); }

ModelConfig read_config(const Checkpoint& checkpoint) {
  std::string path = checkpoint.path.string();
  try {
    return checkpoint.format == CheckpointFormat::Gguf ? read_gguf(checkpoint, path)
                                                       : read_hf(checkpoint.metadata, path + "/config.json");
  } catch (const Error& e) {
    // The position room does not know which file it reads: its sentences get the path in front.
    std::string text = e.what();
    if (text.starts_with(path)) throw;
    fail("{}: {}", path, text);
  }
}

}  // namespace longspan
