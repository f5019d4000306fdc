// The published sizes of the models that the table of architectures is made for, from their config.json
// alone: parameters and what a token costs in a BF16 cache.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <set>

#include "base/json.h"
#include "model/golden.h"

namespace longspan {
namespace {

struct Size {
  const char* model;
  const char* config;
  const char* billions;  // of parameters, as published
  int64_t cache_kib;     // a token, BF16
};

const Size kSizes[] = {
    {"XVERSE-7B",
     R"({"model_type": "xverse", "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32,
         "intermediate_size": 11008, "vocab_size": 100534, "max_position_embeddings": 8192})",
     "7.300", 512},
    {"XVERSE-13B-256K",
     R"({"model_type": "xverse", "hidden_size": 5120, "num_hidden_layers": 40, "num_attention_heads": 40,
         "intermediate_size": 13824, "vocab_size": 100534, "max_position_embeddings": 32768,
         "max_tokenizer_truncation": 262144})",
     "13.718", 800},
    {"XVERSE-65B",
     R"({"model_type": "xverse", "hidden_size": 8192, "num_hidden_layers": 80, "num_attention_heads": 64,
         "intermediate_size": 22016, "vocab_size": 100534, "max_position_embeddings": 16384})",
     "66.41", 2560},
    {"Aquila2-7B",
     R"({"model_type": "aquila", "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32,
         "num_key_value_heads": 32, "intermediate_size": 11008, "vocab_size": 100008,
         "max_position_embeddings": 2048, "rms_norm_eps": 1e-5})",
     "7.296", 512},
    {"Aquila2-34B",
     R"({"model_type": "aquila", "hidden_size": 6144, "num_hidden_layers": 60, "num_attention_heads": 48,
         "num_key_value_heads": 8, "intermediate_size": 24576, "vocab_size": 100008,
         "max_position_embeddings": 4096, "rms_norm_eps": 1e-5})",
     "33.69", 240},
    {"Aquila2-34B v1.2",
     R"({"model_type": "aquila", "hidden_size": 6144, "num_hidden_layers": 60, "num_attention_heads": 48,
         "num_key_value_heads": 8, "intermediate_size": 24576, "vocab_size": 143973,
         "max_position_embeddings": 8192, "rms_norm_eps": 1e-5, "rope_theta": 1000000})",
     "34.23", 240},
    {"Aquila2-70B-Expr",
     R"({"model_type": "aquila", "hidden_size": 8192, "num_hidden_layers": 80, "num_attention_heads": 64,
         "num_key_value_heads": 8, "intermediate_size": 28672, "vocab_size": 100008,
         "max_position_embeddings": 4096, "rms_norm_eps": 1e-5})",
     "70.1", 320},
    {"Index-1.9B",
     R"({"model_type": "index", "hidden_size": 2048, "num_hidden_layers": 36, "num_attention_heads": 16,
         "num_key_value_heads": 16, "intermediate_size": 5888, "vocab_size": 65029,
         "max_position_embeddings": 4096, "norm_head": 1})",
     "2.173", 288},
    {"Index-1.9B-32K",
     R"({"model_type": "index", "hidden_size": 2048, "num_hidden_layers": 36, "num_attention_heads": 16,
         "num_key_value_heads": 16, "intermediate_size": 5888, "vocab_size": 65029,
         "max_position_embeddings": 32768, "norm_head": 1, "rope_ratio": 32})",
     "2.173", 288},
    {"Giraffe-13b-32k-v3",
     R"({"model_type": "llama", "hidden_size": 5120, "num_hidden_layers": 40, "num_attention_heads": 40,
         "num_key_value_heads": 40, "intermediate_size": 13824, "vocab_size": 32000,
         "max_position_embeddings": 32768, "rope_theta": 10000,
         "rope_scaling": {"type": "linear", "factor": 8.0}, "rms_norm_eps": 1e-5})",
     "13.016", 800},
    {"Giraffe-v2-70b-32k",
     R"({"model_type": "llama", "hidden_size": 8192, "num_hidden_layers": 80, "num_attention_heads": 64,
         "num_key_value_heads": 8, "intermediate_size": 28672, "vocab_size": 32000,
         "max_position_embeddings": 32768, "rope_scaling": {"type": "linear", "factor": 8.0},
         "rms_norm_eps": 1e-5})",
     "68.98", 320},
    {"Llama-3-8B",
     R"({"model_type": "llama", "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32,
         "num_key_value_heads": 8, "intermediate_size": 14336, "vocab_size": 128256,
         "max_position_embeddings": 8192, "rope_theta": 500000, "rms_norm_eps": 1e-5})",
     "8.030261248", 128},
    {"Llama-3-70B",
     R"({"model_type": "llama", "hidden_size": 8192, "num_hidden_layers": 80, "num_attention_heads": 64,
         "num_key_value_heads": 8, "intermediate_size": 28672, "vocab_size": 128256,
         "max_position_embeddings": 8192, "rope_theta": 500000, "rms_norm_eps": 1e-5})",
     "70.553706496", 320},
};

ModelConfig config_of(const char* text) {
  Checkpoint checkpoint;
  checkpoint.path = "published";
  checkpoint.format = CheckpointFormat::HuggingFace;
  checkpoint.metadata = parse_json(text, "published");
  return read_config(checkpoint);
}

/// Billions with as many digits as `like` has.
std::string billions(int64_t n, const std::string& like) {
  return fmt::format("{:.{}f}", static_cast<double>(n) / 1e9, like.size() - like.find('.') - 1);
}

TEST(Sizes, ParametersAndCacheOfThePublishedModels) {
  for (const Size& size : kSizes) {
    ModelConfig c = config_of(size.config);
    EXPECT_EQ(billions(parameter_count(c), size.billions), size.billions) << size.model;
    EXPECT_EQ(kv_bytes_per_token(c, {DType::BF16, DType::BF16}), size.cache_kib << 10) << size.model;
  }
  ModelConfig index = config_of(kSizes[7].config);
  EXPECT_EQ(billions(parameter_count(index) - 2 * index.vocab_size * index.hidden_size, "1.906"), "1.906");
}

TEST(Sizes, CachesOfLongTexts) {
  int64_t gib = int64_t{1} << 30;
  auto cache = [](const Size& size, int64_t tokens) {
    return kv_bytes(config_of(size.config), {DType::BF16, DType::BF16}, tokens);
  };
  EXPECT_EQ(cache(kSizes[1], 256 << 10), 200 * gib);
  EXPECT_EQ(cache(kSizes[2], 256 << 10), 640 * gib);
  EXPECT_EQ(cache(kSizes[4], 256 << 10), 60 * gib);
  EXPECT_EQ(cache(kSizes[8], 32 << 10), 9 * gib);
  EXPECT_EQ(cache(kSizes[10], 256 << 10), 80 * gib);
}

TEST(Sizes, CountedParametersAreThoseOfTheFiles) {
  std::set<std::string> seen;
  for (const GoldenCase& c : golden_cases()) {
    if (!seen.insert(c.checkpoint).second) continue;
    Checkpoint checkpoint = open_golden(c);
    int64_t held = checkpoint.parameters();
    for (const NamedTensor& t : checkpoint.tensors)
      if (t.name.ends_with("inv_freq") || t.name.starts_with("rope_factors_")) held -= t.tensor.size[0];
    EXPECT_EQ(parameter_count(read_config(checkpoint)), held) << c.checkpoint;
  }
  EXPECT_EQ(seen.size(), 35u);
}

}  // namespace
}  // namespace longspan
