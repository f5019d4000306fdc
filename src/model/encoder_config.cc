#include "model/encoder_config.h"

#include "base/error.h"
#include "base/settings.h"
#include "base/text.h"

namespace longspan {

namespace {

constexpr int64_t kMaxWidth = 1 << 16, kMaxLayers = 1024, kMaxVocab = 1 << 24, kMaxPositions = 1 << 20;

/// The value must be the one that this arithmetic has; absent is fine.
void require_text(Settings& f, const std::string& key, const char* wanted) {
  std::string value = wanted;
  f.read(key, value);
  if (value != wanted)
    fail("{} is {}; only {} is supported in encoders", f.where(key), in_quotes(value), wanted);
}

void check(const EncoderConfig& c, const std::string& source) {
  if (c.hidden_size % c.num_attention_heads != 0)
    fail("{}: hidden size {} is not a multiple of {} heads", source, c.hidden_size, c.num_attention_heads);
}

EncoderConfig read_hf(const Json& json, const std::string& source) {
  Settings f(json, {.file = source});
  f.require({"hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size",
             "max_position_embeddings"});
  EncoderConfig c;
  f.read("hidden_size", c.hidden_size, 1, kMaxWidth);
  f.read("intermediate_size", c.intermediate_size, 1, kMaxWidth);
  f.read("num_hidden_layers", c.num_hidden_layers, 1, kMaxLayers);
  f.read("num_attention_heads", c.num_attention_heads, 1, kMaxWidth);
  f.read("vocab_size", c.vocab_size, 1, kMaxVocab);
  f.read("max_position_embeddings", c.max_position_embeddings, 1, kMaxPositions);
  c.type_vocab_size = 2;
  f.read("type_vocab_size", c.type_vocab_size, 1, kMaxWidth);
  double eps = 1e-12;
  f.read("layer_norm_eps", eps, 0, 1);
  c.layer_norm_eps = static_cast<float>(eps);
  require_text(f, "hidden_act", "gelu");
  require_text(f, "position_embedding_type", "absolute");
  for (const char* flag : {"is_decoder", "add_cross_attention"}) {
    bool on = false;
    f.read(flag, on);
    if (on) f.refuse(flag, "decoders with this architecture are not supported");
  }
  if (f.has("quantization_config"))
    f.refuse("quantization_config", "this checkpoint was quantised in a way that is not supported");
  check(c, source);
  return c;
}

EncoderConfig read_gguf(const Checkpoint& checkpoint, const std::string& source) {
  Settings f(checkpoint.metadata, {.file = source});
  f.require({"bert.embedding_length", "bert.feed_forward_length", "bert.block_count",
             "bert.attention.head_count", "bert.context_length"});
  EncoderConfig c;
  f.read("bert.embedding_length", c.hidden_size, 1, kMaxWidth);
  f.read("bert.feed_forward_length", c.intermediate_size, 1, kMaxWidth);
  f.read("bert.block_count", c.num_hidden_layers, 1, kMaxLayers);
  f.read("bert.attention.head_count", c.num_attention_heads, 1, kMaxWidth);
  f.read("bert.context_length", c.max_position_embeddings, 1, kMaxPositions);
  double eps = 1e-12;
  f.read("bert.attention.layer_norm_epsilon", eps, 0, 1);
  c.layer_norm_eps = static_cast<float>(eps);
  bool causal = false;
  f.read("bert.attention.causal", causal);
  if (causal) f.refuse("bert.attention.causal", "encoders see the whole text");
  c.vocab_size = checkpoint.require("token_embd.weight").rows();
  c.type_vocab_size = checkpoint.require("token_types.weight").rows();
  check(c, source);
  return c;
}

}  // namespace

bool is_encoder(const Checkpoint& checkpoint) {
  bool gguf = checkpoint.format == CheckpointFormat::Gguf;
  auto at = checkpoint.metadata.find(gguf ? "general.architecture" : "model_type");
  return at != checkpoint.metadata.end() && at->is_string() && at->get<std::string>() == "bert";
}

EncoderConfig read_encoder_config(const Checkpoint& checkpoint) {
  std::string path = checkpoint.path.string();
  return checkpoint.format == CheckpointFormat::Gguf ? read_gguf(checkpoint, path)
                                                     : read_hf(checkpoint.metadata, path + "/config.json");
}

}  // namespace longspan
