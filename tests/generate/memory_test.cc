// The memory plan against what the system says is resident, on models of some hundred megabytes.
#include "model/memory.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "base/file.h"
#include "base/random.h"
#include "checkpoint/write_safetensors.h"
#include "generate/sequence.h"

namespace longspan {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kContext = 2048;

int64_t resident_bytes() {
  std::ifstream in("/proc/self/status");
  for (std::string key; in >> key;)
    if (int64_t kib = 0; key == "VmRSS:" && in >> kib) return kib * 1024;
  return 0;
}

// Each in a process of its own (ctest runs each test so): what other tests allocated would be counted too.
class MemoryPlanSlow : public testing::Test {
 protected:
  void SetUp() override {
#ifdef __SANITIZE_ADDRESS__
    GTEST_SKIP() << "the sanitizer's own memory would be counted";
#endif
  }
  void TearDown() override {
    if (!made_.empty()) fs::remove_all(made_);
  }

  static fs::path smollm2() { return cache_dir() / "smollm2" / "SmolLM2-135M-Instruct.Q4_1.gguf"; }

  /// A LLaMA of 53 million random weights, F32, whose vocabulary is a twenty-fourth of SmolLM2's.
  fs::path made_model() {
    made_ = fs::temp_directory_path() / ("longspan-memory-" + std::to_string(::getpid()));
    fs::create_directories(made_);
    fs::path golden(LONGSPAN_GOLDEN);
    fs::copy_file(golden / "tokenizer" / "byte_level.json", made_ / "tokenizer.json");
    Json config = parse_json_file(golden / "model" / "gqa" / "config.json");
    constexpr int64_t kHidden = 768, kFeedForward = 2048, kLayers = 8, kHeads = 12, kKvHeads = 4,
                      kHeadSize = 64;
    config["hidden_size"] = kHidden, config["intermediate_size"] = kFeedForward;
    config["num_hidden_layers"] = kLayers, config["head_dim"] = kHeadSize;
    config["num_attention_heads"] = kHeads, config["num_key_value_heads"] = kKvHeads;
    config["max_position_embeddings"] = kContext, config["vocab_size"] = kVocabulary;
    write_file_atomic(made_ / "config.json", dump_json(config));
    std::vector<TensorSource> tensors;
    auto add = [&](const std::string& name, std::vector<int64_t> sizes) {
      int64_t columns = sizes.back();
      auto fill = [columns](std::byte* out, int64_t row, int64_t rows) {
        Random random(static_cast<uint64_t>(row));
        auto* values = reinterpret_cast<float*>(out);
        for (int64_t i = 0; i < rows * columns; ++i)
          values[i] = static_cast<float>(random.uniform() - 0.5) / 16;
      };
      tensors.push_back({name, DType::F32, std::move(sizes), fill});
    };
    add("model.embed_tokens.weight", {kVocabulary, kHidden});
    for (int64_t l = 0; l < kLayers; ++l) {
      std::string layer = "model.layers." + std::to_string(l) + ".";
      for (const char* norm : {"input_layernorm", "post_attention_layernorm"})
        add(layer + norm + ".weight", {kHidden});
      add(layer + "self_attn.q_proj.weight", {kHeads * kHeadSize, kHidden});
      add(layer + "self_attn.k_proj.weight", {kKvHeads * kHeadSize, kHidden});
      add(layer + "self_attn.v_proj.weight", {kKvHeads * kHeadSize, kHidden});
      add(layer + "self_attn.o_proj.weight", {kHidden, kHeads * kHeadSize});
      add(layer + "mlp.gate_proj.weight", {kFeedForward, kHidden});
      add(layer + "mlp.up_proj.weight", {kFeedForward, kHidden});
      add(layer + "mlp.down_proj.weight", {kHidden, kFeedForward});
    }
    add("model.norm.weight", {kHidden});
    add("lm_head.weight", {kVocabulary, kHidden});
    write_safetensors(made_ / "model.safetensors", tensors, {});
    return made_;
  }

  /// Reads a text of kContext tokens but 8 and writes these, or scores all of it.
  void expect_plan(const fs::path& path, const EngineOptions& options, bool score = false) {
    if (!fs::exists(path)) GTEST_SKIP() << "needs the model: build/longspan fetch smollm2";
    MemoryPlan plan;
    {
      Checkpoint checkpoint = open_checkpoint(path);
      ModelConfig config = read_config(checkpoint);
      if (!options.position.empty()) config.position = parse_position(options.position, config.position);
      Compute compute = kernels().preferred;
      WeightReading reading =
          settled_reading(options.weights, checkpoint, config, kernels(), compute, options.free_memory);
      plan = plan_memory(checkpoint, config, kernels(), compute, reading, options.cache_types, options.chunk,
                         kContext);
    }
    Engine engine(path, options);
    Sequence sequence(engine, kContext);
    std::vector<int32_t> ids(kContext - 8);
    int64_t most = engine.config().vocab_size - 1;
    for (size_t i = 0; i < ids.size(); ++i)
      ids[i] = static_cast<int32_t>(1 + static_cast<int64_t>(i) * 37 % most);
    int64_t planned = plan.total();
    if (score) {
      std::vector<float> out;
      sequence.score(ids, out);
      planned += plan.scoring;
    } else {
      sequence.feed(ids);
      generate(sequence, engine, 8, {});
    }
    EXPECT_NEAR(static_cast<double>(resident_bytes()) / static_cast<double>(planned), 1, 0.05);
  }

  static constexpr int64_t kVocabulary = 2048;

 private:
  fs::path made_;
};

TEST_F(MemoryPlanSlow, OfAModelThatReadsAndWrites) { expect_plan(smollm2(), {}); }

TEST_F(MemoryPlanSlow, OfAMethodWithTwoSetsOfKeys) {
  expect_plan(smollm2(), {.position = "rerope:window=512", .cache_types = {DType::F32, DType::F32}});
}

TEST_F(MemoryPlanSlow, OfScoring) { expect_plan(smollm2(), {}, true); }

TEST_F(MemoryPlanSlow, OfAnotherModel) { expect_plan(made_model(), {}); }

}  // namespace
}  // namespace longspan
