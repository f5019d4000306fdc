// read_config: what real files say, and one sentence naming the field for everything that cannot be right.
#include "model/config.h"

#include <gtest/gtest.h>

#include <functional>

#include "base/error.h"

namespace longspan {
namespace {

Checkpoint hf(const Json& changes = Json::object()) {
  Checkpoint c;
  c.path = "some/model";
  c.format = CheckpointFormat::HuggingFace;
  c.metadata = Json{{"model_type", "llama"},  {"hidden_size", 64},        {"intermediate_size", 128},
                    {"num_hidden_layers", 2}, {"num_attention_heads", 8}, {"num_key_value_heads", 4},
                    {"vocab_size", 1000},     {"rope_theta", 10000.0},    {"max_position_embeddings", 64}};
  c.metadata.update(changes);
  return c;
}

/// A GGUF checkpoint with the one tensor that read_config looks at.
Checkpoint gguf(const Json& changes = Json::object()) {
  static float embedding[32 * 64];
  Checkpoint c;
  c.path = "some/model.gguf";
  c.format = CheckpointFormat::Gguf;
  c.metadata = Json{{"general.architecture", "llama"},
                    {"llama.embedding_length", 64},
                    {"llama.feed_forward_length", 128},
                    {"llama.block_count", 2},
                    {"llama.attention.head_count", 8},
                    {"llama.attention.head_count_kv", 4},
                    {"llama.attention.layer_norm_rms_epsilon", 1e-5},
                    {"llama.context_length", 2048}};
  c.metadata.update(changes);
  c.tensors.push_back({"token_embd.weight", matrix_view(embedding, DType::F32, 32, 64)});
  c.index["token_embd.weight"] = 0;
  return c;
}

std::string refusal(const Checkpoint& c) {
  try {
    read_config(c);
  } catch (const Error& e) {
    return e.what();
  }
  return "accepted";
}

testing::AssertionResult says(const Checkpoint& c, const char* part) {
  std::string text = refusal(c);
  if (text.find(part) != text.npos && text.starts_with("some/model")) return testing::AssertionSuccess();
  return testing::AssertionFailure() << text;
}

TEST(Config, HuggingFaceDefaultsAreThoseOfTransformers) {
  ModelConfig c = read_config(hf());
  EXPECT_EQ(c.architecture, "llama");
  EXPECT_EQ(c.head_dim, 8);
  EXPECT_EQ(c.rotary_dim, 8);
  EXPECT_EQ(c.rms_norm_eps, 1e-6f);
  EXPECT_FALSE(c.tie_word_embeddings);
  EXPECT_FALSE(c.attention_bias);
  EXPECT_EQ(c.sliding_window, 0);
  EXPECT_EQ(read_config(hf({{"num_key_value_heads", nullptr}})).num_key_value_heads, 8);
  EXPECT_EQ(read_config(hf({{"head_dim", 32}})).head_dim, 32);
  EXPECT_EQ(read_config(hf({{"head_dim", nullptr}})).head_dim, 8);
  EXPECT_EQ(read_config(hf({{"head_dim", 32}, {"partial_rotary_factor", 0.5}})).rotary_dim, 16);
}

TEST(Config, SlidingWindowsOfTheFamilies) {
  EXPECT_EQ(read_config(hf({{"sliding_window", 100}})).sliding_window, 0);  // transformers' Llama has none
  Json mistral{{"model_type", "mistral"}};
  EXPECT_EQ(read_config(hf(mistral)).sliding_window, 4096);
  mistral["sliding_window"] = 100;
  EXPECT_EQ(read_config(hf(mistral)).sliding_window, 100);
  mistral["sliding_window"] = nullptr;
  EXPECT_EQ(read_config(hf(mistral)).sliding_window, 0);
  Json qwen{{"model_type", "qwen2"}, {"sliding_window", 100}, {"use_sliding_window", false}};
  EXPECT_EQ(read_config(hf(qwen)).sliding_window, 0);
  EXPECT_TRUE(read_config(hf(qwen)).attention_bias);
  qwen["use_sliding_window"] = true;
  EXPECT_EQ(read_config(hf(qwen)).sliding_window, 0);  // only layers from 28 on have it
  qwen["max_window_layers"] = 0;
  EXPECT_EQ(read_config(hf(qwen)).sliding_window, 100);
  qwen["max_window_layers"] = 1;
  EXPECT_TRUE(says(hf(qwen), "max_window_layers 1"));
  EXPECT_TRUE(says(hf({{"model_type", "mistral"}, {"layer_types", {"full_attention", "sliding_attention"}}}),
                   "layer_types"));
}

TEST(Config, HuggingFaceRefusals) {
  for (const char* key : {"model_type", "hidden_size", "intermediate_size", "num_hidden_layers",
                          "num_attention_heads", "vocab_size"}) {
    Checkpoint c = hf();
    c.metadata.erase(key);
    EXPECT_TRUE(says(c, (std::string(key) + " is missing").c_str()));
    c = hf({{key, -3}});
    EXPECT_TRUE(says(c, key));
    c = hf({{key, "many"}});
    EXPECT_TRUE(says(c, key));
  }
  EXPECT_TRUE(says(hf({{"model_type", "gpt2"}}), "supported are: llama, mistral, qwen2"));
  EXPECT_TRUE(says(hf({{"hidden_size", 1e18}}), "hidden_size must be a whole number"));
  EXPECT_TRUE(says(hf({{"hidden_size", 18446744073709551615u}}), "hidden_size must be a whole number"));
  EXPECT_TRUE(says(hf({{"hidden_size", 65}}), "not a multiple of 8 heads"));
  EXPECT_TRUE(says(hf({{"num_key_value_heads", 3}}), "cannot share 3"));
  EXPECT_TRUE(says(hf({{"num_key_value_heads", 16}}), "cannot share 16"));
  EXPECT_TRUE(says(hf({{"head_dim", 7}}), "rotary size must be even"));
  EXPECT_TRUE(says(hf({{"head_dim", 0}}), "head_dim must be"));
  EXPECT_TRUE(says(hf({{"rms_norm_eps", -1}}), "epsilon"));
  EXPECT_TRUE(says(hf({{"rms_norm_eps", "small"}}), "rms_norm_eps must be a number"));
  EXPECT_TRUE(says(hf({{"hidden_act", "gelu"}}), "hidden_act \"gelu\""));
  EXPECT_TRUE(says(hf({{"tie_word_embeddings", 1}}), "tie_word_embeddings must be true or false"));
  EXPECT_TRUE(says(hf({{"quantization_config", {{"bits", 4}}}}), "quantization_config"));
  EXPECT_TRUE(says(hf({{"rope_scaling", {{"type", "linear"}}}}), "needs factor"));
  EXPECT_TRUE(says(hf({{"partial_rotary_factor", 1e-9}}), "rotary size"));
}

TEST(Config, Gguf) {
  ModelConfig c = read_config(gguf());
  EXPECT_EQ(c.vocab_size, 32);
  EXPECT_EQ(c.head_dim, 8);
  EXPECT_TRUE(c.tie_word_embeddings);
  EXPECT_EQ(c.position.trained_context, 2048);
  EXPECT_EQ(
      read_config(gguf({{"llama.attention.key_length", 16}, {"llama.rope.dimension_count", 4}})).rotary_dim,
      4);
  for (const char* key : {"embedding_length", "feed_forward_length", "block_count", "attention.head_count",
                          "attention.layer_norm_rms_epsilon", "context_length"}) {
    Checkpoint missing = gguf();
    missing.metadata.erase(std::string("llama.") + key);
    EXPECT_TRUE(says(missing, key));
  }
  EXPECT_TRUE(says(gguf({{"general.architecture", "mamba"}}), "supported are: llama, qwen2"));
  EXPECT_TRUE(
      says(gguf({{"llama.attention.head_count_kv", {4, 4}}}), "head_count_kv must be a whole number"));
  EXPECT_TRUE(says(gguf({{"llama.attention.value_length", 16}}), "value_length"));
  EXPECT_TRUE(says(gguf({{"llama.expert_count", 8}}), "mixtures of experts"));
  EXPECT_TRUE(says(gguf({{"llama.rope.dimension_count", 16}}), "rotary size"));
  EXPECT_TRUE(says(gguf({{"llama.rope.scaling.type", "spiral"}}), "spiral"));
}

}  // namespace
}  // namespace longspan
