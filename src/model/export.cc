#include "model/export.h"

#include <cmath>
#include <cstring>

#include "base/error.h"
#include "base/text.h"

namespace longspan {

namespace {

/// Families that transformers has and that weights.cc loads as they are.
struct Family {
  const char* architecture;
  const char *model_type, *model_class;
  bool sliding;  // the row for models with a sliding window
};
constexpr Family kFamilies[] = {
    {"llama", "llama", "LlamaForCausalLM", false}, {"llama", "mistral", "MistralForCausalLM", true},
    {"qwen2", "qwen2", "Qwen2ForCausalLM", false}, {"qwen2", "qwen2", "Qwen2ForCausalLM", true},
    {"qwen3", "qwen3", "Qwen3ForCausalLM", false}, {"qwen3", "qwen3", "Qwen3ForCausalLM", true}};

const Family& family(const ModelConfig& c) {
  if (!c.norm_head)
    for (const Family& row : kFamilies)
      if (c.architecture == row.architecture && row.sliding == (c.sliding_window > 0)) return row;
  fail(
      "a {} model{} cannot be written as a Hugging Face directory from GGUF; llama, mistral, qwen2 and qwen3 "
      "can: extend the model's own directory instead",
      c.architecture, c.norm_head ? " with NormHead" : "");
}

/// Rounds n floats to `dtype`. False when a finite value became infinite.
bool round_to(std::byte* out, const std::vector<float>& values, DType dtype) {
  bool fits = true;
  for (size_t i = 0; i < values.size(); ++i) {
    uint16_t bits = dtype == DType::F16 ? f32_to_f16(values[i]) : f32_to_bf16(values[i]);
    if (dtype == DType::F16) fits &= (bits & 0x7fff) != 0x7c00;
    std::memcpy(out + 2 * i, &bits, 2);
  }
  return fits;
}

}  // namespace

TensorSource converted(const NamedTensor& named, DType dtype) {
  if (named.tensor.dtype == dtype) return as_it_lies(named);
  const Tensor t = named.tensor;
  auto fill = [t, dtype, name = named.name](std::byte* out, int64_t row, int64_t rows) {
    auto bytes = static_cast<size_t>(dtype_bytes(t.dtype, t.cols()));
    std::vector<std::byte> raw(bytes);  // aligned, which the file's bytes need not be
    std::vector<float> values(static_cast<size_t>(t.cols()));
    for (int64_t r = row; r < row + rows; ++r) {
      std::memcpy(raw.data(), t.row<std::byte>(r), bytes);
      dequantise(values.data(), raw.data(), t.dtype, t.cols());
      if (dtype == DType::F32) {
        std::memcpy(out, values.data(), values.size() * sizeof(float));
      } else if (!round_to(out, values, dtype)) {
        fail("tensor {} holds values above 65504, the largest of F16; use --type bf16", excerpt(name));
      }
      out += dtype_bytes(dtype, t.cols());
    }
  };
  return {named.name, dtype, {t.size, t.size + t.dims}, fill};
}

std::vector<NamedTensor> named_weights(const Weights& weights, const ModelConfig& config) {
  family(config);
  const TensorNames& names = kHuggingFaceNames;
  std::vector<NamedTensor> out;
  auto add = [&](const std::string& name, const Tensor& t) {
    if (t) out.push_back({name, t});
  };
  add(std::string(names.embedding) + ".weight", weights.embedding);
  for (size_t l = 0; l < weights.layers.size(); ++l) {
    const LayerWeights& w = weights.layers[l];
    std::string layer = fmt::format(fmt::runtime(names.layer), l);
    auto norm = [&](const char* stem, const Tensor& t) { add(layer + stem + ".weight", t); };
    auto linear = [&](const char* stem, const Linear& m) {
      add(layer + stem + ".weight", m.weight);
      add(layer + stem + ".bias", m.bias);
    };
    norm(names.attn_norm, w.attn_norm);
    linear(names.q, w.q), linear(names.k, w.k), linear(names.v, w.v);
    if (w.q_norm) norm(names.q_norm, w.q_norm), norm(names.k_norm, w.k_norm);
    linear(names.o, w.o);
    norm(names.mlp_norm, w.mlp_norm);
    linear(names.gate, w.gate), linear(names.up, w.up), linear(names.down, w.down);
  }
  add(std::string(names.final_norm) + ".weight", weights.final_norm);
  if (!config.tie_word_embeddings) add(std::string(names.head) + ".weight", weights.head.weight);
  return out;
}

Json config_to_hf(const ModelConfig& c, const Weights& weights, const Tokenizer& tokenizer, DType dtype) {
  const Family& row = family(c);
  const LayerWeights& first = weights.layers.at(0);
  std::string type = dtype == DType::F32 ? "float32" : dtype == DType::F16 ? "float16" : "bfloat16";
  Json json = {{"architectures", Json::array({row.model_class})},
               {"model_type", row.model_type},
               {"torch_dtype", type},
               {"hidden_act", "silu"},
               {"hidden_size", c.hidden_size},
               {"intermediate_size", c.intermediate_size},
               {"num_hidden_layers", c.num_hidden_layers},
               {"num_attention_heads", c.num_attention_heads},
               {"num_key_value_heads", c.num_key_value_heads},
               {"head_dim", c.head_dim},
               {"vocab_size", c.vocab_size},
               // The shortest decimals that give the float: 1e-05, not 9.999999747378752e-06.
               {"rms_norm_eps", std::stod(fmt::format("{}", c.rms_norm_eps))},
               {"tie_word_embeddings", c.tie_word_embeddings},
               {"use_cache", true}};
  if (c.rotary_dim != c.head_dim)
    json["partial_rotary_factor"] = static_cast<double>(c.rotary_dim) / static_cast<double>(c.head_dim);
  bool qwen = c.architecture != "llama";
  if (c.architecture != "qwen2") json["attention_bias"] = static_cast<bool>(first.q.bias);
  if (!qwen) json["mlp_bias"] = static_cast<bool>(first.gate.bias);
  if (row.sliding) json["sliding_window"] = c.sliding_window;
  if (qwen) {
    json["use_sliding_window"] = row.sliding;
    json["max_window_layers"] = row.sliding ? 0 : c.num_hidden_layers;
  }
  if (tokenizer.bos_id() >= 0) json["bos_token_id"] = tokenizer.bos_id();
  if (tokenizer.eos_id() >= 0) json["eos_token_id"] = tokenizer.eos_id();
  return json;
}

Json generation_config(const Tokenizer& tokenizer) {
  Json json = Json::object();
  if (tokenizer.bos_id() >= 0) json["bos_token_id"] = tokenizer.bos_id();
  if (!tokenizer.stop_ids().empty()) json["eos_token_id"] = tokenizer.stop_ids();
  return json;
}

}  // namespace longspan
