// Reading a model's config. Sizes are bounded before anything is computed from them, and a field that would
// change the arithmetic in a way we do not implement is refused, never skipped.
#include "model/config.h"

#include <cmath>
#include <optional>

#include "base/error.h"

namespace longspan {

namespace {

const Architecture kArchitectures[] = {
    {.name = "llama", .hf_type = "llama", .gguf_permuted = true},
    {.name = "llama", .hf_type = "mistral", .gguf_permuted = true, .sliding_window = 4096},
    {.name = "qwen2", .hf_type = "qwen2", .qkv_bias = true, .sliding_window = 4096},
};

const Architecture& find_architecture(const char* Architecture::*field, const std::string& wanted,
                                      const std::string& source, const char* key) {
  std::string known;
  for (const Architecture& row : kArchitectures) {
    if (wanted == row.*field) return row;
    std::string name = row.*field;
    if (known.find(name) == known.npos) known += (known.empty() ? "" : ", ") + name;
  }
  fail("{}: {} \"{}\" is not supported; supported are: {}", source, key, wanted, known);
}

/// One flat JSON object and the name that opens error sentences.
struct Fields {
  const Json& json;
  std::string source;

  bool has(const std::string& key) const { return json.contains(key) && !json[key].is_null(); }

  int64_t integer(const std::string& key, std::optional<int64_t> otherwise, int64_t low, int64_t high) const {
    if (!has(key)) {
      if (otherwise) return *otherwise;
      fail("{}: {} is missing", source, key);
    }
    const Json& value = json[key];
    bool fits = value.is_number_unsigned() ? value.get<uint64_t>() <= static_cast<uint64_t>(high)
                                           : value.is_number_integer() && value.get<int64_t>() <= high;
    if (!fits || value.get<int64_t>() < low)
      fail("{}: {} must be a whole number from {} to {}, not {}", source, key, low, high,
           dump_json(value).substr(0, 80));
    return value.get<int64_t>();
  }

  bool boolean(const std::string& key, bool otherwise) const {
    if (!has(key)) return otherwise;
    if (!json[key].is_boolean())
      fail("{}: {} must be true or false, not {}", source, key, dump_json(json[key]).substr(0, 80));
    return json[key].get<bool>();
  }

  double number(const std::string& key, std::optional<double> otherwise) const {
    if (!has(key) && otherwise) return *otherwise;
    if (!has(key)) fail("{}: {} is missing", source, key);
    if (!json[key].is_number())
      fail("{}: {} must be a number, not {}", source, key, dump_json(json[key]).substr(0, 80));
    return json[key].get<double>();
  }

  std::string text(const std::string& key, std::optional<std::string> otherwise) const {
    if (!has(key) && otherwise) return *otherwise;
    if (!has(key)) fail("{}: {} is missing", source, key);
    if (!json[key].is_string())
      fail("{}: {} must be a string, not {}", source, key, dump_json(json[key]).substr(0, 80));
    return json[key].get<std::string>();
  }
};

constexpr int64_t kMaxWidth = int64_t{1} << 20, kMaxLayers = 4096, kMaxHeads = 4096, kMaxHeadDim = 4096,
                  kMaxVocab = int64_t{1} << 24, kMaxWindow = int64_t{1} << 40;

void check_shapes(const ModelConfig& c, const std::string& source) {
  if (c.num_attention_heads % c.num_key_value_heads != 0)
    fail("{}: {} query heads cannot share {} key/value heads evenly", source, c.num_attention_heads,
         c.num_key_value_heads);
  if (c.rotary_dim < 2 || c.rotary_dim % 2 != 0 || c.rotary_dim > c.head_dim)
    fail("{}: the rotary size must be even and from 2 to the head size, {}, not {}", source, c.head_dim,
         c.rotary_dim);
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

// ---- config.json ----

void refuse_unknown_arithmetic(const Fields& f) {
  std::string activation = f.text("hidden_act", "silu");
  if (activation != "silu" && activation != "swish")
    fail("{}: hidden_act \"{}\" is not supported, only silu", f.source, activation);
  if (f.has("quantization_config"))
    fail(
        "{}: quantization_config: this checkpoint was quantised in a way that is not supported; use F32, "
        "F16, BF16 or GGUF",
        f.source);
  if (f.boolean("rope_interleaved", false)) fail("{}: rope_interleaved is not supported", f.source);
}

/// The family's window where it has one. Qwen2 counts layers that keep full attention (max_window_layers);
/// only a model whose layers are all alike is supported.
int64_t sliding_window_from_hf(const Fields& f, const Architecture& row, int64_t layers) {
  if (row.sliding_window == 0) return 0;
  bool null = f.json.contains("sliding_window") && f.json["sliding_window"].is_null();
  int64_t window = null ? 0 : f.integer("sliding_window", row.sliding_window, 0, kMaxWindow);
  if (row.qkv_bias) {
    int64_t full = f.integer("max_window_layers", 28, 0, kMaxLayers);
    if (!f.boolean("use_sliding_window", false) || full >= layers) window = 0;
    if (window > 0 && full > 0)
      fail("{}: max_window_layers {}: layers with different windows are not supported", f.source, full);
  }
  if (f.has("layer_types") && f.json["layer_types"].is_array())
    for (const Json& type : f.json["layer_types"])
      if (type != (window > 0 ? "sliding_attention" : "full_attention"))
        fail("{}: layer_types: layers with different windows are not supported", f.source);
  return window;
}

ModelConfig read_hf(const Json& json, const std::string& source) {
  Fields f{json, source};
  const Architecture& row =
      find_architecture(&Architecture::hf_type, f.text("model_type", {}), source, "model_type");
  refuse_unknown_arithmetic(f);
  ModelConfig c;
  c.architecture = row.name;
  c.hidden_size = f.integer("hidden_size", {}, 1, kMaxWidth);
  c.intermediate_size = f.integer("intermediate_size", {}, 1, kMaxWidth);
  c.num_hidden_layers = f.integer("num_hidden_layers", {}, 1, kMaxLayers);
  c.num_attention_heads = f.integer("num_attention_heads", {}, 1, kMaxHeads);
  c.num_key_value_heads = f.integer("num_key_value_heads", c.num_attention_heads, 1, kMaxHeads);
  c.vocab_size = f.integer("vocab_size", {}, 1, kMaxVocab);
  c.head_dim = f.has("head_dim") ? f.integer("head_dim", {}, 1, kMaxHeadDim) : default_head_dim(c, source);
  c.rotary_dim = static_cast<int64_t>(static_cast<double>(c.head_dim) * rotary_fraction_from_hf(json));
  c.rms_norm_eps = static_cast<float>(f.number("rms_norm_eps", 1e-6));
  c.sliding_window = sliding_window_from_hf(f, row, c.num_hidden_layers);
  c.tie_word_embeddings = f.boolean("tie_word_embeddings", false);
  c.attention_bias = row.qkv_bias || f.boolean("attention_bias", false);
  c.mlp_bias = f.boolean("mlp_bias", false);
  check_shapes(c, source);
  c.position = position_from_hf(json, c.head_shape());
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

ModelConfig read_gguf(const Checkpoint& checkpoint, const std::string& source) {
  Fields f{checkpoint.metadata, source};
  std::string arch = f.text("general.architecture", {});
  const Architecture& row = find_architecture(&Architecture::name, arch, source, "general.architecture");
  auto key = [&](const char* name) { return arch + "." + name; };
  if (f.integer(key("expert_count"), 0, 0, kMaxWidth) > 0)
    fail("{}: {}: mixtures of experts are not supported", source, key("expert_count"));

  ModelConfig c;
  c.architecture = row.name;
  c.hidden_size = f.integer(key("embedding_length"), {}, 1, kMaxWidth);
  c.intermediate_size = f.integer(key("feed_forward_length"), {}, 1, kMaxWidth);
  c.num_hidden_layers = f.integer(key("block_count"), {}, 1, kMaxLayers);
  c.num_attention_heads = f.integer(key("attention.head_count"), {}, 1, kMaxHeads);
  c.num_key_value_heads = f.integer(key("attention.head_count_kv"), c.num_attention_heads, 1, kMaxHeads);
  bool head_dim = f.has(key("attention.key_length"));
  c.head_dim =
      head_dim ? f.integer(key("attention.key_length"), {}, 1, kMaxHeadDim) : default_head_dim(c, source);
  if (f.integer(key("attention.value_length"), c.head_dim, 1, kMaxHeadDim) != c.head_dim)
    fail("{}: {} differs from the key length {}, which is not supported", source,
         key("attention.value_length"), c.head_dim);
  c.rotary_dim = f.integer(key("rope.dimension_count"), c.head_dim, 1, kMaxHeadDim);
  c.rms_norm_eps = static_cast<float>(f.number(key("attention.layer_norm_rms_epsilon"), {}));
  c.sliding_window = f.integer(key("attention.sliding_window"), 0, 0, kMaxWindow);
  c.attention_bias = row.qkv_bias;
  c.tie_word_embeddings = !checkpoint.find("output.weight");

  Tensor embedding = checkpoint.require("token_embd.weight");
  c.vocab_size = f.integer(key("vocab_size"), embedding.rows(), 1, kMaxVocab);
  check_shapes(c, source);
  c.position =
      position_from_gguf(checkpoint.metadata, arch, c.head_shape(), rotary_factors(checkpoint, source));
  return c;
}

}  // namespace

std::span<const Architecture> architectures() { return kArchitectures; }

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
