// Models written as GGUF: each golden family gives the logits of its directory again, types are those of the
// mix, and what a file cannot say is refused or told.
#include "model/write_gguf_model.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "checkpoint/build_files.h"
#include "checkpoint/expect_error.h"
#include "model/gguf_mix.h"
#include "model/golden.h"
#include "model/model_files.h"

namespace longspan {
namespace {

namespace fs = std::filesystem;

/// A copy of a golden directory with a byte-level tokenizer of 64 tokens, of which the last are special.
fs::path family_with_tokenizer(const fs::path& folder, const std::string& family) {
  fs::path from = golden_dir() / family, to = folder / from.filename();
  fs::create_directories(to);
  for (const auto& entry : fs::directory_iterator(from))
    fs::copy_file(entry.path(), to / entry.path().filename());
  Json vocab = Json::object(), added = Json::array();
  for (int id = 0; id < 60; ++id) vocab[std::string(1, static_cast<char>('A' + id))] = id;
  for (auto [id, text] : {std::pair{60, "<s>"}, {61, "</s>"}, {62, "<turn>"}, {63, "<pad>"}}) {
    vocab[text] = id;
    added.push_back({{"id", id}, {"content", text}, {"special", true}, {"normalized", false}});
  }
  Json byte_level = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}};
  Json tokenizer = {{"added_tokens", added},
                    {"pre_tokenizer", byte_level},
                    {"decoder", byte_level},
                    {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", {"A B", "AB C"}}}}};
  tokenizer["model"]["vocab"]["AB"] = 58, tokenizer["model"]["vocab"]["ABC"] = 59;
  for (int id : {58, 59}) tokenizer["model"]["vocab"].erase(std::string(1, static_cast<char>('A' + id)));
  write_file_atomic(to / "tokenizer.json", dump_json(tokenizer));
  Json config = {{"bos_token", "<s>"},
                 {"eos_token", "</s>"},
                 {"pad_token", "<pad>"},
                 {"add_bos_token", true},
                 {"chat_template", "{{ messages[0].content }}<turn>"}};
  write_file_atomic(to / "tokenizer_config.json", dump_json(config));
  write_file_atomic(to / "generation_config.json", R"({"eos_token_id": [61, 62]})");
  return to;
}

std::vector<std::string> write(const fs::path& from, const GgufWish& wish) {
  Checkpoint checkpoint = open_checkpoint(from);
  return write_gguf_model(checkpoint, read_config(checkpoint), wish);
}

std::vector<float> logits_of(const fs::path& path, const std::vector<int32_t>& ids) {
  LoadedModel m{open_checkpoint(path), {}};
  m.model.config = read_config(m.checkpoint);
  m.model.device = host_device(*all_kernels()[0]);
  m.model.weights = load_weights(m.checkpoint, m.model.config, *m.model.device);
  PositionSpec spec = position_spec(m.model.config.position, m.model.config.head_shape(), std::ssize(ids));
  return run(m.model, spec, ids, {std::ssize(ids)});
}

double worst_difference(const std::vector<float>& a, const std::vector<float>& b) {
  double worst = 0;
  for (size_t i = 0; i < a.size(); ++i) worst = std::max<double>(worst, std::abs(a[i] - b[i]));
  return worst;
}

TEST(WriteGgufModel, EveryFamilyGivesItsLogitsAgain) {
  TemporaryDirectory dir;
  for (const char* family :
       {"gqa", "qwen2", "qwen3", "biased", "tied", "xverse", "index", "internlm2", "../family/qwen2moe",
        "../family/qwen3moe", "../family/phi3", "../family/smollm3", "../family/olmo2", "../family/glm4",
        "../family/granite", "../family/gemma2"}) {
    SCOPED_TRACE(family);
    fs::path from = family_with_tokenizer(dir.path, family),
             file = dir.path / (from.filename().string() + ".gguf");
    write(from, {.file = file, .type = DType::F32});
    std::vector<int32_t> ids(40);
    for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int32_t>((i * 7 + 3) % 64);
    // Base, epsilon and multipliers are F32 in the file.
    EXPECT_LT(worst_difference(logits_of(from, ids), logits_of(file, ids)), 2e-4);
  }
}

TEST(WriteGgufModel, VocabularyAndTemplateGoAlong) {
  TemporaryDirectory dir;
  fs::path from = family_with_tokenizer(dir.path, "gqa"), file = dir.path / "x.gguf";
  EXPECT_EQ(write(from, {.file = file, .type = DType::Q8_0}), std::vector<std::string>{});
  Checkpoint read = open_checkpoint(file);
  Tokenizer tokenizer = load_tokenizer(read);
  EXPECT_EQ(tokenizer.encode("ABCA"), (std::vector<int32_t>{60, 59, 0}));
  EXPECT_EQ(tokenizer.bos_id(), 60);
  EXPECT_EQ(tokenizer.eos_id(), 61);
  EXPECT_EQ(tokenizer.stop_ids(), (std::vector<int32_t>{61, 62}));
  EXPECT_EQ(read.metadata["tokenizer.ggml.pre"], "gpt-2");
  EXPECT_EQ(read.metadata["tokenizer.ggml.padding_token_id"], 63);
  EXPECT_EQ(read.metadata["tokenizer.chat_template"], "{{ messages[0].content }}<turn>");
  EXPECT_EQ(read.metadata["general.file_type"], 7);
  EXPECT_EQ(read.require("blk.0.attn_q.weight").dtype, DType::Q8_0);
  EXPECT_EQ(read.require("blk.0.attn_norm.weight").dtype, DType::F32);
}

TEST(WriteGgufModel, AnotherFileIsRequantised) {
  TemporaryDirectory dir;
  fs::path from = golden_dir() / "gqa-f32.gguf", file = dir.path / "x.gguf", same = dir.path / "same.gguf";
  write(from, {.file = file, .type = DType::Q5_1});
  Checkpoint before = open_checkpoint(from), after = open_checkpoint(file);
  EXPECT_EQ(after.metadata["llama.block_count"], before.metadata["llama.block_count"]);
  EXPECT_EQ(after.tensors.size(), before.tensors.size());
  EXPECT_EQ(after.require("blk.1.ffn_up.weight").dtype, DType::Q5_1);
  write(from, {.file = same});
  Checkpoint kept = open_checkpoint(same);
  for (const NamedTensor& t : before.tensors) {
    Tensor other = kept.require(t.name);
    ASSERT_EQ(other.dtype, t.tensor.dtype);
    EXPECT_EQ(std::memcmp(other.data, t.tensor.data, static_cast<size_t>(t.tensor.bytes())), 0) << t.name;
  }
}

TEST(WriteGgufModel, PositionsThatGgufKnows) {
  TemporaryDirectory dir;
  fs::path from = family_with_tokenizer(dir.path, "gqa");
  Checkpoint checkpoint = open_checkpoint(from);
  ModelConfig config = read_config(checkpoint);
  int n = 0;
  for (const char* text : {"linear:factor=4", "yarn:factor=4", "abf:base=500000", "ntk:factor=4"}) {
    SCOPED_TRACE(text);
    PositionConfig position = parse_position(text, config.position);
    fs::path file = dir.path / fmt::format("{}.gguf", n++);
    EXPECT_TRUE(write_gguf_model(checkpoint, config,
                                 {.file = file, .type = DType::F32, .position = position, .window = 256})
                    .empty());
    ModelConfig read = read_config(open_checkpoint(file));
    EXPECT_EQ(read.position.declared_context, 256);
    PositionSpec want = position_spec(position, config.head_shape(), 0),
                 got = position_spec(read.position, read.head_shape(), 0);
    for (size_t i = 0; i < want.inv_freq.size(); ++i)
      EXPECT_NEAR(got.inv_freq[i] / want.inv_freq[i], 1, 1e-6) << i;
    EXPECT_NEAR(got.attention_scale, want.attention_scale, 1e-6);
  }
  PositionConfig rerope = parse_position("rerope:window=16", config.position);
  std::vector<std::string> remarks =
      write_gguf_model(checkpoint, config,
                       {.file = dir.path / "r.gguf", .type = DType::F32, .position = rerope, .window = 256});
  ASSERT_EQ(remarks.size(), 1u);
  EXPECT_NE(remarks[0].find("only longspan reads"), std::string::npos) << remarks[0];
  EXPECT_EQ(read_config(open_checkpoint(dir.path / "r.gguf")).position.method, "rerope");
}

TEST(WriteGgufModel, RefusesWhatAFileCannotSay) {
  TemporaryDirectory dir;
  fs::path gemma = family_with_tokenizer(dir.path, "gemma3"), gqa = family_with_tokenizer(dir.path, "gqa");
  fs::path file = dir.path / "x.gguf";
  expect_says(error_of([&] { write(gemma, {.file = file, .type = DType::F32}); }), "query_pre_attn_scalar");
  EXPECT_FALSE(fs::exists(file));
  write(gqa, {.file = file, .type = DType::F32});
  expect_says(error_of([&] { write(gqa, {.file = file, .type = DType::F32}); }), "exists already");
  expect_says(error_of([&] { write(gqa, {.file = dir.path / "no" / "x.gguf", .type = DType::F32}); }),
              "no such directory");
  fs::path moe = family_with_tokenizer(dir.path, "../family/qwen3moe");
  Json json = parse_json_file(moe / "config.json");
  json["norm_topk_prob"] = false;
  write_file_atomic(moe / "config.json", dump_json(json));
  expect_says(error_of([&] { write(moe, {.file = dir.path / "m.gguf", .type = DType::F32}); }),
              "norm_topk_prob");
}

TEST(WriteGgufModel, ASlidingWindowIsTold) {
  TemporaryDirectory dir;
  std::vector<std::string> remarks =
      write(family_with_tokenizer(dir.path, "window"), {.file = dir.path / "x.gguf", .type = DType::F16});
  ASSERT_EQ(remarks.size(), 1u);
  EXPECT_NE(remarks[0].find("sliding window of 20"), std::string::npos);
  EXPECT_EQ(read_config(open_checkpoint(dir.path / "x.gguf")).sliding_window, 20);
}

// ---- the mix: rules of llama.cpp's llama_tensor_get_type ----

DType mixed(const char* name, int64_t cols, DType type, bool head = false) {
  return mixed_type({name, 2, cols, 16, head}, type);
}

TEST(GgufMix, RowsThatBlocksDoNotDivide) {
  EXPECT_EQ(fitting_type(DType::Q4_K, 512), DType::Q4_K);
  EXPECT_EQ(fitting_type(DType::Q4_K, 576), DType::Q5_0);
  EXPECT_EQ(fitting_type(DType::Q5_K, 576), DType::Q5_1);
  EXPECT_EQ(fitting_type(DType::Q6_K, 576), DType::Q8_0);
  EXPECT_EQ(fitting_type(DType::Q8_0, 24), DType::F16);
  EXPECT_EQ(fitting_type(DType::Q4_K, 24), DType::F16);
  EXPECT_EQ(fitting_type(DType::F16, 24), DType::F16);
}

TEST(GgufMix, HeadsNormsAndRoutersAreFiner) {
  EXPECT_EQ(mixed("output.weight", 512, DType::Q4_0, true), DType::Q6_K);
  EXPECT_EQ(mixed("output.weight", 512, DType::Q8_0, true), DType::Q8_0);
  EXPECT_EQ(mixed("output.weight", 512, DType::F16, true), DType::F16);
  EXPECT_EQ(mixed("token_embd.weight", 576, DType::Q4_K, true), DType::Q8_0);
  EXPECT_EQ(mixed("token_embd.weight", 512, DType::Q4_K), DType::Q4_K);
  EXPECT_EQ(mixed("blk.0.ffn_gate_inp.weight", 512, DType::Q4_K), DType::F32);
  EXPECT_EQ(mixed_type({"blk.0.attn_norm.weight", 1, 512, 16, false}, DType::Q4_K), DType::F32);
}

TEST(GgufMix, HalfOfTheSensitiveTensorsAreSixBits) {
  // Of 16 layers: the first two, the last two, and every third between.
  std::vector<int> finer;
  for (int l = 0; l < 16; ++l)
    if (mixed(fmt::format("blk.{}.attn_v.weight", l).c_str(), 512, DType::Q4_K) == DType::Q6_K)
      finer.push_back(l);
  EXPECT_EQ(finer, (std::vector<int>{0, 1, 4, 7, 10, 13, 14, 15}));
  EXPECT_EQ(mixed("blk.0.ffn_down.weight", 512, DType::Q5_K), DType::Q6_K);
  EXPECT_EQ(mixed("blk.0.ffn_down.weight", 512, DType::Q4_0), DType::Q4_0);
  EXPECT_EQ(mixed("blk.0.attn_q.weight", 512, DType::Q4_K), DType::Q4_K);
}

}  // namespace
}  // namespace longspan
