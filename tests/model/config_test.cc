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
  c.tensors.push_back({"token_embd.weight", host_matrix(embedding, DType::F32, 32, 64)});
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
  qwen["attention_bias"] = true;
  EXPECT_FALSE(read_config(hf(qwen)).o_bias);
  qwen["use_sliding_window"] = true;
  EXPECT_EQ(read_config(hf(qwen)).sliding_window, 0);  // only layers from 28 on have it
  qwen["max_window_layers"] = 0;
  EXPECT_EQ(read_config(hf(qwen)).sliding_window, 100);
  qwen["max_window_layers"] = 1;
  EXPECT_TRUE(says(hf(qwen), "max_window_layers 1"));
  EXPECT_TRUE(says(hf({{"model_type", "mistral"}, {"layer_types", {"full_attention", "sliding_attention"}}}),
                   "layer_types"));
}

TEST(Config, WhatAFamilySaysBySilence) {
  Json xverse{{"model_type", "xverse"}, {"num_key_value_heads", nullptr}};
  EXPECT_EQ(read_config(hf(xverse)).num_key_value_heads, 8);
  EXPECT_EQ(read_config(hf(xverse)).architecture, "xverse");
  // The class default of Aquila is 1e-6, its files say 1e-5.
  EXPECT_EQ(read_config(hf({{"model_type", "aquila"}})).rms_norm_eps, 1e-6f);
  EXPECT_EQ(read_config(hf({{"model_type", "aquila"}, {"rms_norm_eps", 1e-5}})).rms_norm_eps, 1e-5f);
  EXPECT_EQ(read_config(hf({{"model_type", "aquila"}})).architecture, "llama");
  ModelConfig qwen3 = read_config(hf({{"model_type", "qwen3"}}));
  EXPECT_EQ(qwen3.head_dim, 128);
  EXPECT_TRUE(qwen3.qk_norm);
  EXPECT_FALSE(qwen3.attention_bias);
  EXPECT_EQ(qwen3.sliding_window, 0);
  EXPECT_TRUE(read_config(hf({{"model_type", "internlm2"}, {"bias", true}})).o_bias);
  EXPECT_FALSE(read_config(hf({{"model_type", "internlm2"}, {"bias", false}})).attention_bias);
}

TEST(Config, NormHead) {
  Json index{{"model_type", "index"}};
  EXPECT_FALSE(read_config(hf(index)).norm_head);
  index["norm_head"] = 0;
  EXPECT_FALSE(read_config(hf(index)).norm_head);
  for (const Json& on : {Json(1), Json(true)}) {
    index["norm_head"] = on;
    EXPECT_TRUE(read_config(hf(index)).norm_head);
    EXPECT_TRUE(says(hf({{"norm_head", on}}), "norm_head is not supported for llama"));
  }
  EXPECT_FALSE(read_config(hf({{"norm_head", 0}})).norm_head);
  index["tie_word_embeddings"] = true;
  EXPECT_TRUE(says(hf(index), "norm_head with tied"));
  index["norm_head"] = 2;
  EXPECT_TRUE(says(hf(index), "norm_head must be a whole number from 0 to 1"));
}

/// gemma-3-1b-it as it was published, cut to the fields that are read.
const Json kGemma1b{{"model_type", "gemma3_text"},
                    {"hidden_size", 1152},
                    {"intermediate_size", 6912},
                    {"num_hidden_layers", 26},
                    {"num_attention_heads", 4},
                    {"num_key_value_heads", 1},
                    {"vocab_size", 262144},
                    {"rope_theta", 1000000},
                    {"head_dim", 256},
                    {"sliding_window", 512},
                    {"sliding_window_pattern", 6},
                    {"rope_local_base_freq", 10000},
                    {"rope_scaling", nullptr},
                    {"query_pre_attn_scalar", 256},
                    {"max_position_embeddings", 32768},
                    {"hidden_activation", "gelu_pytorch_tanh"}};

TEST(Config, GemmaAsPublished) {
  ModelConfig c = read_config(hf(kGemma1b));
  EXPECT_TRUE(c.tie_word_embeddings);
  EXPECT_TRUE(c.qk_norm && c.post_norms);
  EXPECT_EQ(c.activation, Activation::GeluTanh);
  EXPECT_NEAR(c.embedding_scale, 33.9411, 1e-4);
  EXPECT_EQ(c.position.base, 1e6);
  EXPECT_EQ(c.rope_local_base_freq, 1e4);
  std::string kinds;
  for (int64_t l = 0; l < 26; ++l) kinds += c.local_layer(l) ? 'l' : 'G';
  EXPECT_EQ(kinds, "lllllGlllllGlllllGlllllGll");
  EXPECT_EQ(parameter_count(c), 999'885'952);
}

TEST(Config, GemmaInTheNewerWay) {
  Json json = kGemma1b;
  for (const char* key : {"rope_theta", "rope_local_base_freq", "sliding_window_pattern"}) json.erase(key);
  json["num_hidden_layers"] = 3;
  json["layer_types"] = {"sliding_attention", "sliding_attention", "full_attention"};
  json["rope_parameters"] = {{"sliding_attention", {{"rope_type", "default"}, {"rope_theta", 5000.0}}},
                             {"full_attention", {{"rope_type", "linear"}, {"factor", 8.0}}}};
  ModelConfig c = read_config(hf(json));
  EXPECT_EQ(c.sliding_window_pattern, 3);
  EXPECT_EQ(c.rope_local_base_freq, 5000);
  EXPECT_EQ(c.position.method, "linear");
  EXPECT_EQ(c.position.base, 10000);  // hf() has rope_theta
  json["rope_theta"] = nullptr;
  EXPECT_EQ(read_config(hf(json)).position.base, 1e6);

  json["layer_types"] = {"sliding_attention", "sliding_attention", "sliding_attention"};
  EXPECT_TRUE(read_config(hf(json)).local_layer(2));
  json["layer_types"] = {"full_attention", "full_attention", "full_attention"};
  EXPECT_FALSE(read_config(hf(json)).local_layer(0));
  json["layer_types"] = {"sliding_attention", "full_attention", "full_attention"};
  EXPECT_TRUE(says(hf(json), "layer_types: only layers that see everything at even intervals"));
  json["layer_types"] = {"full_attention"};
  EXPECT_TRUE(says(hf(json), "layer_types must name 3 layers"));
  json["layer_types"] = 7;
  EXPECT_TRUE(says(hf(json), "layer_types"));
  json.erase("layer_types");
  json["rope_parameters"]["sliding_attention"]["rope_type"] = "linear";
  EXPECT_TRUE(says(hf(json), "rope_type of local layers is not supported"));
  json["rope_parameters"]["sliding_attention"] = 7;
  EXPECT_TRUE(says(hf(json), "rope_parameters.sliding_attention must be an object"));
}

TEST(Config, GemmaRefusals) {
  auto with = [](const char* key, const Json& value) {
    Json json = kGemma1b;
    json[key] = value;
    return hf(json);
  };
  EXPECT_TRUE(says(with("hidden_activation", "silu"), "hidden_activation \"silu\""));
  EXPECT_TRUE(says(with("final_logit_softcapping", 30.0), "final_logit_softcapping"));
  EXPECT_TRUE(says(with("attn_logit_softcapping", 50.0), "attn_logit_softcapping"));
  EXPECT_TRUE(says(with("use_bidirectional_attention", true), "use_bidirectional_attention"));
  EXPECT_TRUE(says(with("query_pre_attn_scalar", 0), "query_pre_attn_scalar"));
  EXPECT_TRUE(says(with("rope_local_base_freq", -1), "rotary base of local layers"));
  EXPECT_TRUE(says(with("sliding_window_pattern", 0), "sliding_window_pattern"));
  EXPECT_EQ(read_config(with("sliding_window", nullptr)).sliding_window_pattern, 0);
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
  EXPECT_TRUE(says(
      hf({{"model_type", "gpt2"}}),
      "supported are: llama, mistral, aquila, index, xverse, internlm2, qwen2, qwen3, gemma2, gemma3_text"));
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
  EXPECT_TRUE(says(hf({{"model_type", "xverse"}, {"num_experts", 64}}), "mixtures of experts"));
  EXPECT_TRUE(says(hf({{"num_local_experts", 8}}), "mixtures of experts"));
}

/// What ggml's files of another family look like: the keys of gguf() under its name.
Checkpoint gguf_of(const std::string& arch, const Json& changes = Json::object()) {
  Checkpoint c = gguf();
  Json own = Json::object();
  for (const auto& [key, value] : c.metadata.items())
    own[key.starts_with("llama.") ? arch + key.substr(5) : key] = value;
  own["general.architecture"] = arch;
  c.metadata = own;
  c.metadata.update(changes);
  return c;
}

TEST(Config, Experts) {
  Json moe{{"model_type", "qwen3_moe"},
           {"num_experts", 8},
           {"num_experts_per_tok", 2},
           {"moe_intermediate_size", 48}};
  ModelConfig c = read_config(hf(moe));
  EXPECT_EQ(c.architecture, "qwen3moe");
  EXPECT_EQ(c.num_experts, 8);
  EXPECT_FALSE(c.norm_topk_prob);
  EXPECT_EQ(c.mlp_width(), 48);
  // Each layer: 64 x (2 x 64 + 2 x 32) of attention, 8 x 64 of the router, two norms, two of heads of 8; and
  // 3 x 64 x 48 of each expert.
  int64_t rest = 2 * (64 * 192 + 512 + 128 + 16) + 64 + 2 * 64 * 1000, expert = 3 * 64 * 48;
  EXPECT_EQ(parameter_count(c), rest + 2 * 8 * expert);
  EXPECT_EQ(active_parameter_count(c), rest + 2 * 2 * expert);
  moe["num_experts_per_tok"] = 9;
  EXPECT_TRUE(says(hf(moe), "9 of 8 experts"));
  moe["num_experts_per_tok"] = 2, moe["mlp_only_layers"] = {0};
  EXPECT_TRUE(says(hf(moe), "mlp_only_layers"));
  moe["mlp_only_layers"] = Json::array(), moe["decoder_sparse_step"] = 2;
  EXPECT_TRUE(says(hf(moe), "decoder_sparse_step"));
  moe["model_type"] = "qwen2_moe", moe["decoder_sparse_step"] = 1;
  EXPECT_TRUE(says(hf(moe), "shared_expert_intermediate_size"));
  moe["shared_expert_intermediate_size"] = 80;
  EXPECT_EQ(read_config(hf(moe)).mlp_width(), 80);
  Json keys{{"qwen3moe.expert_count", 8},
            {"qwen3moe.expert_used_count", 2},
            {"qwen3moe.expert_feed_forward_length", 48}};
  EXPECT_TRUE(read_config(gguf_of("qwen3moe", keys)).norm_topk_prob);
  EXPECT_FALSE(
      read_config(gguf_of("qwen2moe", {{"qwen2moe.expert_count", 8}, {"qwen2moe.expert_used_count", 2}}))
          .norm_topk_prob);
}

TEST(Config, WhatNewerFamiliesSayBySilence) {
  ModelConfig smollm3 = read_config(hf({{"model_type", "smollm3"}}));
  EXPECT_EQ(smollm3.no_rope_layer_interval, 4);
  EXPECT_TRUE(smollm3.tie_word_embeddings);
  EXPECT_TRUE(smollm3.unrotated_layer(3));
  EXPECT_FALSE(smollm3.unrotated_layer(4));
  EXPECT_EQ(read_config(hf({{"model_type", "smollm3"}, {"no_rope_layers", {1, 0}}})).no_rope_layer_interval,
            2);
  EXPECT_EQ(read_config(hf({{"model_type", "smollm3"}, {"no_rope_layers", {1, 1}}})).no_rope_layer_interval,
            0);
  EXPECT_TRUE(says(hf({{"model_type", "smollm3"}, {"no_rope_layers", {0, 1}}}), "layers without rotation"));
  EXPECT_TRUE(says(hf({{"model_type", "smollm3"}, {"use_sliding_window", true}}), "use_sliding_window"));
  ModelConfig glm4 = read_config(hf({{"model_type", "glm4"}, {"attention_bias", true}}));
  EXPECT_EQ(glm4.head_dim, 128);
  EXPECT_EQ(glm4.rotary_dim, 64);
  EXPECT_TRUE(glm4.attention_bias);
  EXPECT_FALSE(glm4.o_bias);
  ModelConfig phi3 = read_config(hf({{"model_type", "phi3"}}));
  EXPECT_EQ(phi3.sliding_window, 0);
  EXPECT_EQ(phi3.rms_norm_eps, 1e-5f);
  EXPECT_EQ(read_config(hf({{"model_type", "phi3"}, {"sliding_window", 2047}})).sliding_window, 2047);
  ModelConfig olmo2 = read_config(hf({{"model_type", "olmo2"}}));
  EXPECT_TRUE(olmo2.post_norms && olmo2.qk_norm_whole);
  EXPECT_FALSE(olmo2.pre_norms);
  ModelConfig granite =
      read_config(hf({{"model_type", "granite"}, {"attention_multiplier", 0.25}, {"logits_scaling", 8.0}}));
  EXPECT_EQ(granite.query_pre_attn_scalar, 16);  // 1 / sqrt(16) = 0.25
  EXPECT_EQ(granite.logits_scaling, 8);
  EXPECT_EQ(granite.residual_multiplier, 1);
  EXPECT_TRUE(says(hf({{"model_type", "granite"}, {"logits_scaling", 0.0}}), "multipliers"));
}

TEST(Config, GgufOfTheFamilies) {
  for (const char* arch :
       {"xverse", "internlm2", "qwen2", "qwen3", "gemma3", "phi3", "smollm3", "olmo2", "glm4", "granite"})
    EXPECT_EQ(read_config(gguf_of(arch)).architecture, arch);
  EXPECT_TRUE(read_config(gguf_of("qwen3")).qk_norm);
  EXPECT_EQ(read_config(gguf_of("gemma3")).sliding_window_pattern, 0);
  Json window{{"gemma3.attention.sliding_window", 512}};
  EXPECT_EQ(read_config(gguf_of("gemma3", window)).sliding_window_pattern, 6);
  EXPECT_EQ(read_config(gguf_of("gemma3", window)).rope_local_base_freq, 1e4);
  window["gemma3.attention.sliding_window_pattern"] = {true, false};
  window["gemma3.rope.freq_base_swa"] = 20000.0;
  EXPECT_EQ(read_config(gguf_of("gemma3", window)).sliding_window_pattern, 2);
  EXPECT_EQ(read_config(gguf_of("gemma3", window)).rope_local_base_freq, 2e4);
  // The 27B model, of 62 layers, divides scores by the square root of hidden / heads.
  EXPECT_EQ(read_config(gguf_of("gemma3", {{"gemma3.block_count", 62},
                                           {"gemma3.attention.key_length", 16},
                                           {"gemma3.attention.value_length", 16}}))
                .query_pre_attn_scalar,
            8);
  EXPECT_TRUE(says(gguf_of("gemma3", {{"gemma3.final_logit_softcapping", 30.0}}), "softcapping"));
}

/// gemma-2-27b-it as it was published, cut to the fields that are read.
const Json kGemma2{{"model_type", "gemma2"},
                   {"hidden_size", 4608},
                   {"intermediate_size", 36864},
                   {"num_hidden_layers", 46},
                   {"num_attention_heads", 32},
                   {"num_key_value_heads", 16},
                   {"vocab_size", 256000},
                   {"rope_theta", 10000.0},
                   {"head_dim", 128},
                   {"hidden_act", "gelu_pytorch_tanh"},
                   {"hidden_activation", "gelu_pytorch_tanh"},
                   {"sliding_window", 4096},
                   {"query_pre_attn_scalar", 144},
                   {"attn_logit_softcapping", 50.0},
                   {"final_logit_softcapping", 30.0},
                   {"max_position_embeddings", 8192},
                   {"rms_norm_eps", 1e-6}};

TEST(Config, Gemma2) {
  Checkpoint published;
  published.path = "some/model", published.format = CheckpointFormat::HuggingFace,
  published.metadata = kGemma2;
  ModelConfig c = read_config(published);
  EXPECT_EQ(c.architecture, "gemma2");
  EXPECT_EQ(c.attn_logit_softcapping, 50);
  EXPECT_EQ(c.final_logit_softcapping, 30);
  EXPECT_EQ(c.query_pre_attn_scalar, 144);
  EXPECT_TRUE(c.tie_word_embeddings);
  EXPECT_TRUE(c.norm_offset);
  EXPECT_FALSE(c.qk_norm);
  EXPECT_NEAR(c.embedding_scale, 67.8823, 1e-4);
  EXPECT_TRUE(c.local_layer(0));
  EXPECT_FALSE(c.local_layer(1));
  EXPECT_EQ(c.rope_local_base_freq, 0);  // local layers turn as the others
  // What transformers' class has where the file is silent.
  for (const char* key : {"attn_logit_softcapping", "final_logit_softcapping", "query_pre_attn_scalar"})
    published.metadata.erase(key);
  EXPECT_EQ(read_config(published).attn_logit_softcapping, 50);
  EXPECT_EQ(read_config(published).final_logit_softcapping, 30);
  EXPECT_EQ(read_config(published).query_pre_attn_scalar, 256);
  published.metadata["attn_logit_softcapping"] = nullptr;
  EXPECT_EQ(read_config(published).attn_logit_softcapping, 0);
  published.metadata["final_logit_softcapping"] = -1;
  EXPECT_TRUE(says(published, "final_logit_softcapping"));

  ModelConfig gguf = read_config(gguf_of("gemma2", {{"gemma2.attn_logit_softcapping", 40.0}}));
  EXPECT_EQ(gguf.attn_logit_softcapping, 40);
  EXPECT_EQ(gguf.final_logit_softcapping, 30);
  EXPECT_EQ(gguf.sliding_window, 4096);
  EXPECT_EQ(gguf.sliding_window_pattern, 2);
  EXPECT_EQ(gguf.query_pre_attn_scalar, 0);  // head_dim's
  EXPECT_EQ(read_config(gguf_of("gemma2", {{"gemma2.block_count", 46}})).query_pre_attn_scalar, 8);
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
  EXPECT_TRUE(
      says(gguf({{"general.architecture", "mamba"}}),
           "supported are: llama, xverse, internlm2, qwen2, qwen3, gemma2, gemma3, qwen2moe, qwen3moe, phi3, "
           "smollm3, olmo2, "
           "glm4, granite"));
  EXPECT_TRUE(
      says(gguf({{"llama.attention.head_count_kv", {4, 4}}}), "head_count_kv must be a whole number"));
  EXPECT_TRUE(says(gguf({{"llama.attention.value_length", 16}}), "value_length"));
  EXPECT_TRUE(says(gguf({{"llama.expert_count", 8}}), "mixtures of experts"));
  EXPECT_TRUE(says(gguf({{"llama.rope.dimension_count", 16}}), "rotary size"));
  EXPECT_TRUE(says(gguf({{"llama.rope.scaling.type", "spiral"}}), "spiral"));
}

}  // namespace
}  // namespace longspan
