// Vectors against sentence-transformers' (tools/make_embed_golden.py), and what must not change them.
#include "embed/embedder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <thread>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "checkpoint/build_files.h"
#include "embed/instructions.h"
#include "kernels/gpu.h"

namespace longspan {
namespace {

namespace fs = std::filesystem;

fs::path golden(const std::string& name) { return fs::path(LONGSPAN_GOLDEN) / "embed" / name; }

std::span<const float> row(const std::vector<float>& all, size_t i, int64_t width) {
  return {all.data() + i * static_cast<size_t>(width), static_cast<size_t>(width)};
}

double largest_difference(std::span<const float> a, std::span<const float> b) {
  double worst = 0;
  for (size_t i = 0; i < a.size(); ++i) worst = std::max(worst, std::fabs(double{a[i]} - b[i]));
  return worst;
}

double cosine(std::span<const float> a, std::span<const float> b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += double{a[i]} * b[i];
  return sum;
}

void expect_case(const Embedder& embedder, const Json& one, double tolerance) {
  auto texts = one["texts"].get<std::vector<std::string>>();
  EmbedSide side = one["side"] == "query" ? EmbedSide::Query : EmbedSide::Key;
  std::vector<float> got = embedder.embed(texts, side);
  ASSERT_EQ(got.size(), texts.size() * static_cast<size_t>(embedder.dimensions()));
  for (size_t i = 0; i < texts.size(); ++i) {
    auto want = one["vectors"][i].get<std::vector<float>>();
    ASSERT_EQ(std::ssize(want), embedder.dimensions());
    EXPECT_LE(largest_difference(row(got, i, embedder.dimensions()), want), tolerance)
        << one["model"] << " " << one["task"] << " " << one["side"] << " text " << i;
  }
}

void expect_golden(const std::string& model, const fs::path& path, const EmbedderOptions& base,
                   double tolerance) {
  int seen = 0;
  for (const Json& one : parse_json_file(golden("cases.json"))) {
    if (one["model"] != model) continue;
    EmbedderOptions options = base;
    options.task = one["task"];
    expect_case(Embedder(path, options), one, tolerance);
    ++seen;
  }
  EXPECT_GT(seen, 0);
}

std::vector<std::string> implementations() {
  std::vector<std::string> names;
  for (const Kernels* k : all_kernels())
    if (k->supported()) names.push_back(k->name);
  return names;
}

TEST(Embedder, ClsMeanAndLastTokenAreThoseOfSentenceTransformers) {
  for (const std::string& kernels : implementations()) {
    SCOPED_TRACE(kernels);
    for (const char* model : {"bge", "mean", "qwen3"})
      expect_golden(model, golden(model), {.kernels = kernels}, 1e-5);
    expect_golden("bge", golden("bge.gguf"), {.kernels = kernels}, 1e-5);
  }
}

TEST(Embedder, AGpuGivesTheSame) {
  if (!gpu::device()) GTEST_SKIP();
  for (const char* model : {"bge", "mean", "qwen3"})
    expect_golden(model, golden(model), {.device = "cuda"}, 1e-5);
}

TEST(Embedder, Bf16IsNear) {
  for (const char* model : {"bge", "mean"})
    expect_golden(model, golden(model), {.compute = Compute::BF16}, 5e-2);
}

class RealEmbedder : public testing::Test {
 protected:
  static fs::path minilm() { return cache_dir() / "minilm"; }
  void SetUp() override {
    if (!fs::exists(minilm() / "model.safetensors"))
      GTEST_SKIP() << "needs the model: build/longspan fetch minilm";
  }
};

TEST_F(RealEmbedder, MiniLmIsThatOfSentenceTransformers) { expect_golden("minilm", minilm(), {}, 1e-5); }

TEST_F(RealEmbedder, MeaningsAreNear) {
  Embedder embedder(minilm(), {});
  EXPECT_EQ(embedder.dimensions(), 384);
  EXPECT_EQ(embedder.max_tokens(), 256);
  std::vector<float> v =
      embedder.embed(std::vector<std::string>{"A cat sits on the mat.", "Felines rest on a rug.",
                                              "Stock prices fell sharply."},
                     EmbedSide::Key);
  EXPECT_GT(cosine(row(v, 0, 384), row(v, 1, 384)), 0.4);
  EXPECT_LT(cosine(row(v, 0, 384), row(v, 2, 384)), 0.2);
}

std::vector<std::string> many_texts() {
  std::vector<std::string> texts;
  for (int i = 0; i < 150; ++i) {
    std::string text = "text " + std::to_string(i);
    for (int k = 0; k < i * 7 % 90; ++k) text += k % 3 == 0 ? " window" : " cat of";
    texts.push_back(text);
  }
  return texts;
}

TEST(Embedder, CompanyAndOrderDoNotChangeAVector) {
  std::vector<std::string> texts = many_texts();
  for (const char* model : {"bge", "mean", "qwen3"}) {
    Embedder whole(golden(model), {}), small(golden(model), {.batch_tokens = 100});
    std::vector<float> all = whole.embed(texts, EmbedSide::Key), parts = small.embed(texts, EmbedSide::Key);
    EXPECT_LE(largest_difference(all, parts), 2e-6) << model;
    std::vector<std::string> reversed(texts.rbegin(), texts.rend());
    std::vector<float> back = whole.embed(reversed, EmbedSide::Key);
    int64_t width = whole.dimensions();
    for (size_t i = 0; i < texts.size(); ++i)
      EXPECT_LE(largest_difference(row(all, i, width), row(back, texts.size() - 1 - i, width)), 2e-6);
    for (size_t i = 0; i < texts.size(); i += 37) {
      std::vector<float> alone = whole.embed(std::span(&texts[i], 1), EmbedSide::Key);
      EXPECT_LE(largest_difference(row(all, i, width), alone), 2e-6) << model << " " << i;
      EXPECT_NEAR(cosine(alone, alone), 1, 1e-6);
    }
    EXPECT_TRUE(whole.embed({}, EmbedSide::Key).empty());
  }
}

TEST(Embedder, ThreadsWaitForEachOther) {
  Embedder embedder(golden("mean"), {});
  std::vector<std::string> texts = many_texts();
  std::vector<float> want = embedder.embed(texts, EmbedSide::Key);
  std::vector<std::vector<float>> got(4);
  std::vector<std::thread> threads;
  for (auto& to : got) threads.emplace_back([&] { to = embedder.embed(texts, EmbedSide::Key); });
  for (std::thread& t : threads) t.join();
  for (const auto& v : got) EXPECT_LE(largest_difference(v, want), 2e-6);
}

TEST(Embedder, WhatIsTooLongIsCutAtItsEnd) {
  Embedder embedder(golden("mean"), {});
  EXPECT_EQ(embedder.max_tokens(), 64);
  std::string long_text, start;
  for (int i = 0; i < 200; ++i) long_text += "cat ";
  for (int i = 0; i < 62; ++i) start += "cat ";
  EXPECT_EQ(embedder.count_tokens(long_text), 200);
  int64_t cut = 0;
  EXPECT_EQ(embedder.encode(long_text, EmbedSide::Key, &cut).size(), 64u);
  EXPECT_EQ(cut, 138);
  EXPECT_EQ(embedder.encode(start, EmbedSide::Key, &cut).size(), 64u);
  EXPECT_EQ(cut, 0);
  std::vector<float> v = embedder.embed(std::vector<std::string>{long_text, start}, EmbedSide::Key);
  EXPECT_EQ(largest_difference(row(v, 0, 32), row(v, 1, 32)), 0);
}

TEST(Embedder, IdsAreTextsWithoutTheirSpelling) {
  Embedder embedder(golden("bge"), {.task = "qa"});
  Embedder plain(golden("bge"), {.task = "none"});
  std::string text = "what is the capital";
  std::vector<int32_t> framed = plain.encode(text, EmbedSide::Query);
  std::vector<int32_t> ids(framed.begin() + 1, framed.end() - 1);  // without [CLS] and [SEP]
  EXPECT_EQ(plain.encode_ids(ids, EmbedSide::Query), framed);
  EXPECT_EQ(embedder.encode_ids(ids, EmbedSide::Query), embedder.encode(text, EmbedSide::Query));
  EXPECT_GT(embedder.encode(text, EmbedSide::Query).size(), framed.size());
  EXPECT_THROW(plain.encode_ids(std::vector<int32_t>{1 << 20}, EmbedSide::Key), Error);
  EXPECT_THROW(plain.encode_ids(std::vector<int32_t>{-1}, EmbedSide::Key), Error);
}

TEST(Embedder, IdentityTellsModelPoolingAndTaskApart) {
  auto identity = [](const char* model, const EmbedderOptions& options) {
    return Embedder(golden(model), options).identity();
  };
  EXPECT_EQ(identity("bge", {}), identity("bge", {.batch_tokens = 7}));
  EXPECT_EQ(identity("bge", {}), identity("bge", {.task = "none"}));
  std::vector<std::string> different = {identity("bge", {}),
                                        identity("mean", {}),
                                        identity("qwen3", {}),
                                        identity("bge", {.task = "qa"}),
                                        identity("bge", {.task = "tool"}),
                                        identity("bge", {.pooling = "mean"})};
  std::sort(different.begin(), different.end());
  EXPECT_EQ(std::unique(different.begin(), different.end()), different.end());
  EXPECT_EQ(different[0].size(), 32u);
}

TEST(Instructions, AreThoseOfThePapers) {
  const std::vector<std::array<std::string, 3>> llm_embedder = {
      {"qa",
       "Represent this query for retrieving relevant documents: ", "Represent this document for retrieval: "},
      {"convsearch", "Encode this query and context for searching relevant passages: ",
       "Encode this passage for retrieval: "},
      {"chat", "Embed this dialogue to find useful historical dialogues: ",
       "Embed this historical dialogue for retrieval: "},
      {"lrlm", "Embed this text chunk for finding useful historical chunks: ",
       "Embed this historical text chunk for retrieval: "},
      {"icl", "Convert this example into vector to look for useful examples: ",
       "Convert this example into vector for retrieval: "},
      {"tool", "Transform this user request for fetching helpful tool descriptions: ",
       "Transform this tool description for retrieval: "}};
  Embedder plain(golden("bge"), {.task = "none"});
  for (const auto& [task, query, key] : llm_embedder) {
    EXPECT_EQ(instructions_for(task).query, query);
    EXPECT_EQ(instructions_for(task).key, key);
    EXPECT_TRUE(instructions_for(task).about.starts_with("LLM-Embedder"));
    Embedder embedder(golden("bge"), {.task = task});
    std::string text = "what is the capital";
    EXPECT_EQ(embedder.encode(text, EmbedSide::Query), plain.encode(query + text, EmbedSide::Query));
    EXPECT_EQ(embedder.encode(text, EmbedSide::Key), plain.encode(key + text, EmbedSide::Key));
  }
  EXPECT_EQ(instructions_for("none").query, "");
  try {
    instructions_for("convsaerch");
    FAIL();
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("did you mean convsearch"), std::string::npos) << e.what();
  }
}

/// A copy of the golden model in which one file has been changed.
class FaultyEmbedder : public testing::Test {
 protected:
  void copy(const char* model) {
    fs::remove_all(directory_.path);
    fs::copy(golden(model), directory_.path, fs::copy_options::recursive);
  }
  void change(const std::string& file, const std::string& pointer, const Json& value) {
    Json json = parse_json_file(directory_.path / file);
    json[Json::json_pointer(pointer)] = value;
    write_file_atomic(directory_.path / file, dump_json(json));
  }
  std::string fault(const EmbedderOptions& options = {}) {
    try {
      Embedder(directory_.path, options).embed(std::vector<std::string>{"a cat"}, EmbedSide::Key);
      return "";
    } catch (const Error& e) {
      return e.what();
    }
  }
  void expect_fault(const std::string& file, const std::string& pointer, const Json& value,
                    const char* word) {
    copy("mean");
    change(file, pointer, value);
    std::string sentence = fault();
    EXPECT_NE(sentence.find(word), std::string::npos) << pointer << ": " << sentence;
    EXPECT_TRUE(sentence.starts_with(directory_.path.string())) << sentence;
  }
  TemporaryDirectory directory_;
};

TEST_F(FaultyEmbedder, WhatWouldChangeTheVectorsIsRefused) {
  copy("mean");
  EXPECT_EQ(fault(), "");
  expect_fault("config.json", "/hidden_act", "relu", "relu");
  expect_fault("config.json", "/position_embedding_type", "relative_key", "relative_key");
  expect_fault("config.json", "/is_decoder", true, "is_decoder");
  expect_fault("config.json", "/num_attention_heads", 5, "not a multiple of 5 heads");
  expect_fault("config.json", "/num_attention_heads", 0, "num_attention_heads");
  expect_fault("config.json", "/hidden_size", 64, "64");
  expect_fault("config.json", "/hidden_size", int64_t{1} << 40, "hidden_size");
  expect_fault("config.json", "/num_hidden_layers", 3, "encoder.layer.2");
  expect_fault("config.json", "/num_hidden_layers", 1, "has no place");
  expect_fault("config.json", "/vocab_size", 10, "the model only 10");
  expect_fault("config.json", "/max_position_embeddings", 1 << 19, "position_embeddings");
  expect_fault("modules.json", "/1/type", "sentence_transformers.models.Dense", "Dense");
  expect_fault("modules.json", "/1/path", "../x", "leaves the directory");
  expect_fault("modules.json", "/1", "text", "not an object");
  expect_fault("1_Pooling/config.json", "/pooling_mode_cls_token", true, "several");
  expect_fault("1_Pooling/config.json", "/pooling_mode_mean_tokens", false, "none");
  expect_fault("1_Pooling/config.json", "/include_prompt", false, "include_prompt");
  expect_fault("sentence_bert_config.json", "/max_seq_length", 2, "leave no room");
  expect_fault("sentence_bert_config.json", "/max_seq_length", "x", "max_seq_length");
  expect_fault("sentence_bert_config.json", "/do_lower_case", true, "do_lower_case");
}

TEST_F(FaultyEmbedder, DamagedWeightsAreRefused) {
  copy("mean");
  std::string bytes = read_file(directory_.path / "model.safetensors");
  write_file_atomic(directory_.path / "model.safetensors", bytes.substr(0, bytes.size() / 2));
  EXPECT_NE(fault().find("model.safetensors"), std::string::npos) << fault();
  // The bias of the first norm is the first tensor behind the header.
  uint64_t header = 0;
  std::memcpy(&header, bytes.data(), sizeof header);
  bytes.replace(sizeof header + header, 4, raw(NAN));
  write_file_atomic(directory_.path / "model.safetensors", bytes);
  EXPECT_NE(fault().find("embeddings.LayerNorm.bias"), std::string::npos) << fault();
}

TEST_F(FaultyEmbedder, ChoicesThatCannotBeAreRefused) {
  copy("mean");
  EXPECT_NE(fault({.task = "nothing"}).find("nothing"), std::string::npos);
  EXPECT_NE(fault({.pooling = "max"}).find("max"), std::string::npos);
  EXPECT_NE(fault({.kernels = "abacus"}).find("abacus"), std::string::npos);
  EXPECT_NE(fault({.device = "abacus"}).find("abacus"), std::string::npos);
  copy("qwen3");
  EXPECT_NE(fault({.pooling = "mean"}).find("last token"), std::string::npos);
}

TEST_F(FaultyEmbedder, APlainVocabularyIsEnough) {
  copy("bge");
  for (const char* file : {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"})
    fs::remove(directory_.path / file);
  for (const Json& one : parse_json_file(golden("cases.json")))
    if (one["model"] == "bge" && one["task"] == "") expect_case(Embedder(directory_.path, {}), one, 1e-5);
}

}  // namespace
}  // namespace longspan
