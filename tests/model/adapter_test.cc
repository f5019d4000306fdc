// Adapters of PEFT: what peft 0.21 computes with them (tools/make_adapter_golden.py), before and after
// merging, and keys of adapter_config.json that must not be overlooked.
#include <gtest/gtest.h>

#include "base/file.h"
#include "checkpoint/build_files.h"
#include "checkpoint/expect_error.h"
#include "checkpoint/write_safetensors.h"
#include "model/adapter_config.h"
#include "model/adapter_files.h"
#include "model/golden.h"
#include "model/initial_part.h"
#include "model/write_model.h"

namespace longspan {
namespace {

namespace fs = std::filesystem;

fs::path adapters() { return fs::path(LONGSPAN_GOLDEN) / "adapter"; }

struct Loaded {
  Checkpoint checkpoint;
  Model model;
};

Loaded load(const fs::path& path) {
  Loaded loaded{open_checkpoint(path), {}};
  loaded.model.config = read_config(loaded.checkpoint);
  loaded.model.weights = load_weights(loaded.checkpoint, loaded.model.config);
  loaded.model.device = host_device(kernels());
  loaded.model.compute = Compute::F32;
  return loaded;
}

std::vector<float> log_probs(const Model& model, const std::vector<int32_t>& ids) {
  PositionSpec spec = position_spec(model.config.position, model.config.head_shape(), 0);
  KvCache cache = make_cache(model, spec, std::ssize(ids));
  Activations a = make_activations(model, spec, std::ssize(ids));
  std::vector<float> out;
  Reading reading{.from = 0, .to = ids.size() - 1};
  reading.on_hidden = [&](Tensor hidden, size_t first) {
    append_log_probs(model, hidden, std::span(ids).subspan(first + 1, static_cast<size_t>(hidden.rows())), a,
                     out);
  };
  read(model, cache, spec, ids, a, reading);
  return out;
}

double worst(const std::vector<float>& got, const Json& expected) {
  double most = got.size() == expected.size() ? 0 : 1e9;
  for (size_t i = 0; i < got.size() && i < expected.size(); ++i)
    most = std::max(most, std::abs(got[i] - expected[i].get<double>()));
  return most;
}

TEST(PeftAdapters, ComputeWhatPeftComputes) {
  for (const Json& c : parse_json_file(adapters() / "cases.json")) {
    std::string name = c["adapter"];
    auto ids = c["ids"].get<std::vector<int32_t>>();
    Loaded base = load(golden_dir() / c["model"].get<std::string>());
    EXPECT_LT(worst(log_probs(base.model, ids), c["base"]), 1e-4) << name;
    Loaded adapted = load(golden_dir() / c["model"].get<std::string>());
    ModelConfig config = adapted.model.config;
    std::vector<NamedTensor> replaced = load_adapter(adapters() / name, adapted.model);
    EXPECT_LT(worst(log_probs(adapted.model, ids), c["log_probs"]), 2e-4) << name;

    TemporaryDirectory dir;
    Arena memory;
    ModelWish wish{.directory = dir.path / "merged", .position = {}, .replaced = replaced};
    for (NamedTensor& t : merged_weights(adapted.model, memory)) wish.replaced.push_back(std::move(t));
    write_model(adapted.checkpoint, config, wish);
    EXPECT_LT(worst(log_probs(load(wish.directory).model, ids), c["log_probs"]), 2e-4) << name << " merged";
  }
}

TEST(PeftAdapters, SharedEmbeddingsStaySharedOnlyWhereBothAreTheSame) {
  auto tied = [](const char* adapter) {
    Loaded loaded = load(golden_dir() / "tied");
    load_adapter(adapters() / adapter, loaded.model);
    bool same = loaded.model.weights.head.weight.data == loaded.model.weights.embedding.data;
    EXPECT_EQ(same, loaded.model.config.tie_word_embeddings);
    return same;
  };
  EXPECT_TRUE(tied("tied_saved_both"));
  EXPECT_FALSE(tied("tied_saved_embedding"));
  EXPECT_FALSE(tied("tied_head"));
}

TEST(PeftAdapters, ASharedEmbeddingThatTrainedIsWrittenForTheHeadToo) {
  Checkpoint checkpoint = open_checkpoint(golden_dir() / "tied");
  Trained trained{.lora_rank = 2, .projections = {"q_proj"}, .embeddings = true};
  TrainingModel trained_model = make_training_model(checkpoint, read_config(checkpoint),
                                                    host_device(kernels()), Compute::F32, trained, 1);
  TemporaryDirectory dir;
  write_adapter(dir.path, trained_model, trained, "base", "rope");
  Json config = parse_json_file(dir.path / "adapter_config.json");
  EXPECT_EQ(config["modules_to_save"], Json({"embed_tokens", "lm_head"}));
  Loaded adapted = load(golden_dir() / "tied");
  load_adapter(dir.path, adapted.model);
  EXPECT_EQ(adapted.model.weights.head.weight.data, adapted.model.weights.embedding.data);
}

TEST(PeftAdapters, Bf16HalvesTheFileAndRoundsToTheNearest) {
  Checkpoint checkpoint = open_checkpoint(golden_dir() / "gqa");
  Trained trained{.lora_rank = 2, .projections = {"q_proj"}};
  TrainingModel model = make_training_model(checkpoint, read_config(checkpoint), host_device(kernels()),
                                            Compute::F32, trained, 1);
  TemporaryDirectory dir;
  write_adapter(dir.path, model, trained, "base", "rope", DType::BF16);
  MappedFile file(dir.path / "adapter_model.safetensors");
  ParsedTensors parsed = parse_safetensors(file.bytes(), "adapter");
  ASSERT_EQ(parsed.tensors.size(), model.parameters.size());
  for (const NamedTensor& t : parsed.tensors) {
    EXPECT_EQ(t.tensor.dtype, DType::BF16) << t.name;
    auto same = [&](const Parameter& p) { return p.name == t.name; };
    auto p = std::find_if(model.parameters.begin(), model.parameters.end(), same);
    ASSERT_NE(p, model.parameters.end()) << t.name;
    std::vector<float> got(static_cast<size_t>(p->value.cols()));
    dequantise(got.data(), t.tensor.data, DType::BF16, p->value.cols());
    for (int64_t i = 0; i < p->value.cols(); ++i) {
      float x = p->value.row(0)[i];
      EXPECT_LE(std::abs(got[static_cast<size_t>(i)] - x), std::abs(x) / 256) << t.name;
    }
  }
}

class AdapterDirectory : public testing::Test {
 protected:
  TemporaryDirectory dir_;
  Json config_ = parse_json_file(adapters() / "plain" / "adapter_config.json");

  void SetUp() override {
    fs::copy_file(adapters() / "plain" / "adapter_model.safetensors",
                  dir_.path / "adapter_model.safetensors");
  }
  std::string load_error() {
    write_file_atomic(dir_.path / "adapter_config.json", config_.dump());
    return error_of([&] {
      Loaded loaded = load(golden_dir() / "gqa");
      load_adapter(dir_.path, loaded.model);
    });
  }
  std::string error_with(const char* key, const Json& value) {
    Json before = config_;
    config_[key] = value;
    std::string error = load_error();
    config_ = before;
    return error;
  }
};

TEST_F(AdapterDirectory, KeysThatChangeTheMeaningAreRefusedByName) {
  EXPECT_EQ(load_error(), "no error");
  for (const char* init : {"pissa_niter_16", "loftq", "corda", "lora_ga", "of_tomorrow"})
    expect_says(error_with("init_lora_weights", init), "init_lora_weights is \"" + std::string(init) + "\"");
  for (auto [key, value] : {std::pair<const char*, Json>{"alora_invocation_tokens", {1, 2}},
                            {"layer_replication", Json::array({Json::array({0, 1})})},
                            {"kasa_config", {{"beta", 0.1}}},
                            {"lora_bias", true},
                            {"target_parameters", {"x.y"}},
                            {"trainable_token_indices", {5}},
                            {"use_qalora", true},
                            {"use_something_new", true},
                            {"scale_of_tomorrow", 0.5}})
    expect_says(error_with(key, value), key);
  for (auto [key, value] : {std::pair<const char*, Json>{"lora_dropout", 0.3},
                            {"init_lora_weights", "eva"},
                            {"loftq_config", {{"loftq_bits", 4}}},
                            {"something_new", nullptr},
                            {"something_new", false},
                            {"fan_in_fan_out", true}})
    EXPECT_EQ(error_with(key, value), "no error") << key;
  expect_says(error_with("peft_type", "IA3"), "only LoRA");
  expect_says(error_with("r", 0), "r is missing or no positive number");
}

// Equal singular values have no single decomposition: theirs are found all the same, and what is not asked
// for is left.
TEST(InitialParts, OfAMatrixWhosePartsAreKnown) {
  constexpr int64_t n = 6;
  const double sizes[n] = {3, 3, 3, 2, 0, 0};
  std::vector<float> values(n * n);
  for (int64_t i = 0; i < n; ++i)
    values[static_cast<size_t>(i * n + (i + 1) % n)] = static_cast<float>(sizes[i]);
  Tensor w = host_matrix(values.data(), DType::F32, n, n);
  auto at = [&](const InitialPart& part, int64_t row, int64_t col) {
    double sum = 0;
    for (int64_t r = 0; r < part.rank; ++r)
      sum += part.b[static_cast<size_t>(row * part.rank + r)] * part.a[static_cast<size_t>(r * n + col)];
    return sum;
  };
  for (int64_t rank : {3, 4, 5}) {
    InitialPart part = principal_part(w, rank);
    for (int64_t row = 0; row < n; ++row)
      for (int64_t col = 0; col < n; ++col)
        EXPECT_NEAR(at(part, row, col),
                    rank == 3 && row == 3 ? 0 : values[static_cast<size_t>(row * n + col)], 1e-9)
            << rank << ": " << row << ", " << col;
  }
  // The first column is that of a row without size.
  EXPECT_EQ(orthogonal_part(w, 1).rank, 0);
  values[5 * n] = 4;
  InitialPart part = orthogonal_part(w, 2);
  for (int64_t row = 0; row < n; ++row)
    for (int64_t col = 0; col < n; ++col)
      EXPECT_NEAR(at(part, row, col), row == 5 || row == 0 ? values[static_cast<size_t>(row * n + col)] : 0,
                  1e-9);
}

TEST_F(AdapterDirectory, PissaOfAHeadThatSharesTheEmbeddingIsRefused) {
  Json config = parse_json_file(adapters() / "tied_head" / "adapter_config.json");
  config["init_lora_weights"] = "pissa";
  // PEFT writes the base's head, too, from which the part is gone already; a file without it needs the part.
  MappedFile file(adapters() / "tied_head" / "adapter_model.safetensors");
  std::vector<TensorSource> pairs;
  for (const NamedTensor& t : parse_safetensors(file.bytes(), "tied_head").tensors)
    if (t.name.find("base_layer") == t.name.npos) pairs.push_back(as_it_lies(t));
  write_safetensors(dir_.path / "adapter_model.safetensors", pairs, {});
  write_file_atomic(dir_.path / "adapter_config.json", config.dump());
  expect_says(error_of([&] {
                Loaded loaded = load(golden_dir() / "tied");
                load_adapter(dir_.path, loaded.model);
              }),
              "lm_head shares the embedding");
}

TEST_F(AdapterDirectory, TensorsThatDisagreeWithTheConfigAreRefused) {
  expect_says(error_with("target_modules", {"q_proj"}), "leave that module out");
  expect_says(error_with("layers_to_transform", {0}), "leave that module out");
  expect_says(error_with("exclude_modules", {"o_proj"}), "leave that module out");
  expect_says(error_with("target_modules", ".*mlp.*"), "leave that module out");
  expect_says(error_with("rank_pattern", {{"q_proj", 7}}), "have rank 2, but adapter_config.json says 7");
  expect_says(error_with("use_dora", true), "lora_magnitude_vector");
  expect_says(error_with("target_modules", "(.*"), "target_modules");
}

TEST_F(AdapterDirectory, FilesThatAreMissingAreNamed) {
  load_error();
  fs::rename(dir_.path / "adapter_model.safetensors", dir_.path / "other");
  expect_says(load_error(), "neither adapter_model.safetensors nor adapter_model.bin");
  write_file_atomic(dir_.path / "adapter_model.bin", "no torch file");
  expect_says(load_error(), "adapter_model.bin");
  Loaded base = load(golden_dir() / "gqa");
  expect_says(error_of([&] { load_adapter(dir_.path / "nowhere", base.model); }), "adapter_config.json");
}

TEST(AdapterConfig, PatternsAndTargetsMatchAsInPeft) {
  Json json = {{"peft_type", "LORA"},
               {"r", 8},
               {"lora_alpha", 16},
               {"target_modules", {"q_proj", "mlp.up_proj"}},
               {"layers_to_transform", 3},
               {"layers_pattern", "layers"},
               {"rank_pattern", {{"up_proj", 4}, {R"(layers\.3\.self_attn\.q_proj)", 2}}},
               {"alpha_pattern", {{"^model.layers.3.*", 10}}},
               {"use_rslora", true}};
  AdapterConfig config = read_adapter_config(json, "c");
  const std::string q = "model.layers.3.self_attn.q_proj", up = "model.layers.3.mlp.up_proj";
  EXPECT_TRUE(is_target(config, q));
  EXPECT_TRUE(is_target(config, up));
  EXPECT_FALSE(is_target(config, "model.layers.13.mlp.up_proj"));
  EXPECT_FALSE(is_target(config, "model.layers.3.self_attn.xq_proj"));
  EXPECT_EQ(rank_of(config, q), 2);
  EXPECT_EQ(rank_of(config, up), 4);
  EXPECT_EQ(rank_of(config, "model.layers.3.mlp.xup_proj"), 8);  // patterns begin at a part of the name
  EXPECT_FLOAT_EQ(scale_of(config, up), 10 / std::sqrt(4.0f));
  json["target_modules"] = "all-linear", json["use_rslora"] = false;
  json.erase("alpha_pattern");
  config = read_adapter_config(json, "c");
  EXPECT_TRUE(is_target(config, "model.layers.3.mlp.down_proj"));
  EXPECT_FLOAT_EQ(scale_of(config, q), 16 / 2.0f);
}

}  // namespace
}  // namespace longspan
