// The safetensors reader and Hugging Face directories: round trips, lies, truncations.
#include <gtest/gtest.h>

#include "base/file.h"
#include "checkpoint/build_files.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/expect_error.h"

namespace longspan {
namespace {

SafetensorsBuilder small_safetensors() {
  SafetensorsBuilder s;
  s.header["__metadata__"] = {{"format", "pt"}};
  s.tensor("w", "F32", {2, 3}, floats_as_bytes({1, 2, 3, 4, 5, 6}));
  s.tensor("h", "F16", {2}, raw<uint16_t>(0x3c00) + raw<uint16_t>(0xc000));
  s.tensor("b", "BF16", {1, 2}, raw<uint16_t>(0x3f80) + raw<uint16_t>(0xc000));
  s.tensor("scalar", "F32", {}, floats_as_bytes({9}));
  s.tensor("ids", "I64", {1, 2}, std::string(16, '\0'));
  return s;
}

ParsedTensors parse(const std::string& text) {
  return with_exact_bytes(text, [](auto bytes) { return parse_safetensors(bytes, "m.safetensors"); });
}
std::string parse_error(const std::string& text) {
  return error_of([&] { parse(text); });
}

TEST(Safetensors, RoundTrip) {
  std::string text = small_safetensors().bytes();
  ParsedTensors p = parse_safetensors({reinterpret_cast<const std::byte*>(text.data()), text.size()}, "m");
  EXPECT_EQ(p.metadata["format"], "pt");
  ASSERT_EQ(p.tensors.size(), 4u);
  Tensor w = p.tensors[0].tensor, h = p.tensors[1].tensor, b = p.tensors[2].tensor,
         scalar = p.tensors[3].tensor;
  EXPECT_EQ(w.dims, 2);
  EXPECT_EQ(w.size[0], 2);
  EXPECT_EQ(w.size[1], 3);
  EXPECT_EQ(w.row_stride, 12);
  EXPECT_EQ(w.row(1)[2], 6.0f);
  EXPECT_EQ(h.dtype, DType::F16);
  EXPECT_EQ(h.dims, 1);
  EXPECT_EQ(f16_to_f32(h.row<uint16_t>(0)[1]), -2.0f);
  EXPECT_EQ(b.dtype, DType::BF16);
  EXPECT_EQ(b.size[1], 2);
  EXPECT_EQ(bf16_to_f32(b.row<uint16_t>(0)[1]), -2.0f);
  EXPECT_EQ(scalar.dims, 1);
  EXPECT_EQ(scalar.row(0)[0], 9.0f);
  ASSERT_EQ(p.skipped.size(), 1u);
  EXPECT_EQ(p.skipped["ids"], "type \"I64\"");
}

TEST(Safetensors, WhatIsNoWeightIsSkipped) {
  SafetensorsBuilder s;
  s.tensor("d", "F64", {1}, std::string(8, '\0'))
      .tensor("e", "F8_E4M3", {1}, "x")
      .tensor("z", "F32", {0}, "");
  s.tensor("five", "F32", {1, 1, 1, 1, 1}, floats_as_bytes({1}));
  ParsedTensors p = parse(s.bytes());
  EXPECT_TRUE(p.tensors.empty());
  EXPECT_EQ(p.skipped["d"], "type \"F64\"");
  EXPECT_EQ(p.skipped["e"], "type \"F8_E4M3\"");
  EXPECT_EQ(p.skipped["z"], "no elements");
  EXPECT_EQ(p.skipped["five"], "5 dimensions");
}

TEST(Safetensors, LyingHeader) {
  SafetensorsBuilder s = small_safetensors();
  expect_says(parse_error(""), "m.safetensors: is empty");
  expect_says(parse_error("abc"), "has 3 bytes, too few");
  expect_says(parse_error("version https://git-lfs.github.com/spec/v1\n"), "git lfs pull");
  expect_says(parse_error(raw<uint64_t>(100'000'001)), "the limit is 100000000");
  expect_says(parse_error(raw<uint64_t>(1000) + "{}"),
              "is truncated: its header ends at byte 1008, the file has 10 bytes");
  expect_says(parse_error(s.with_header("{\"w\": ")), "not valid JSON");
  expect_says(parse_error(s.with_header("[]")), "no JSON object");
  expect_says(parse_error(s.with_header("{\"w\": 1}")), "tensor \"w\" is described by");
  expect_says(parse_error(s.with_header("{\"w\": {}, \"w\": {}}")), "\"w\" stands twice");
}

TEST(Safetensors, LyingTensors) {
  auto changed = [](const char* key, const Json& value) {
    SafetensorsBuilder s = small_safetensors();
    s.header["w"][key] = value;
    return parse_error(s.bytes());
  };
  expect_says(changed("dtype", 7), "tensor \"w\" has no \"dtype\"");
  expect_says(changed("dtype", "F16"), "tensor \"w\" needs 12 bytes by its shape and type");
  expect_says(changed("shape", "x"), "\"shape\"");
  expect_says(changed("shape", {2, -3}), "\"shape\"");
  expect_says(changed("shape", {2, 1.5}), "\"shape\"");
  expect_says(changed("shape", {2, 4}), "tensor \"w\" needs 32 bytes");
  expect_says(changed("shape", {uint64_t{1} << 40, uint64_t{1} << 40}), "more elements than any");
  expect_says(changed("data_offsets", {0}), "data_offsets say otherwise");
  expect_says(changed("data_offsets", {0, 24, 48}), "data_offsets say otherwise");
  expect_says(changed("data_offsets", {24, 0}), "data_offsets say otherwise");
  expect_says(changed("data_offsets", {4, 28}), "overlap");
  expect_says(changed("data_offsets", {2, 26}), "a multiple of its 4 bytes");
  expect_says(changed("data_offsets", {4000, 4024}), "is truncated: tensor \"w\" ends at byte");
  expect_says(changed("data_offsets", {~uint64_t{0} - 31, ~uint64_t{0} - 7}), "beyond any file");
}

TEST(Safetensors, TruncationsAreErrorsThatTellTheBytes) {
  SafetensorsBuilder s;
  s.tensor("w", "F32", {2, 3}, floats_as_bytes({1, 2, 3, 4, 5, 6})).tensor("v", "F16", {3}, "abcdef");
  std::string text = s.bytes();
  EXPECT_EQ(parse_error(text), "no error");
  for (size_t n = 0; n < text.size(); ++n) expect_says(parse_error(text.substr(0, n)), "m.safetensors: ");
  std::string error = parse_error(text.substr(0, text.size() - 1));
  expect_says(error, "tensor \"v\" ends at byte " + std::to_string(text.size()));
}

TEST(Safetensors, AnyByteMayBeWrong) {
  std::string good = small_safetensors().bytes();
  int parsed = 0, refused = 0;
  for (size_t i = 0; i < good.size(); ++i) {
    for (unsigned char change : {0x01, 0x10, 0x80}) {
      std::string bad = good;
      bad[i] = static_cast<char>(bad[i] ^ change);
      (parse_error(bad) == "no error" ? parsed : refused)++;
    }
  }
  EXPECT_GT(parsed, 0);
  EXPECT_GT(refused, 0);
}

class HuggingFace : public testing::Test {
 protected:
  TemporaryDirectory dir_;
  void write(const std::string& name, const std::string& text) { write_file_atomic(dir_.path / name, text); }
  std::string open_error() {
    return error_of([&] { open_checkpoint(dir_.path); });
  }
  void write_shards() {
    write("config.json", R"({"model_type": "llama"})");
    write("a.safetensors", SafetensorsBuilder().tensor("x", "F32", {1}, floats_as_bytes({1})).bytes());
    SafetensorsBuilder b;
    b.tensor("y", "F32", {1}, floats_as_bytes({2})).tensor("ids", "I32", {1}, "abcd");
    write("b.safetensors", b.tensor("unlisted", "F32", {1}, floats_as_bytes({3})).bytes());
  }
  void write_index(const Json& weight_map) {
    write("model.safetensors.index.json", dump_json({{"weight_map", weight_map}}));
  }
};

TEST_F(HuggingFace, SingleFile) {
  write("config.json", R"({"model_type": "llama", "hidden_size": 3})");
  write("model.safetensors", small_safetensors().bytes());
  Checkpoint c = open_checkpoint(dir_.path);
  EXPECT_EQ(c.format, CheckpointFormat::HuggingFace);
  EXPECT_EQ(c.path, dir_.path);
  EXPECT_EQ(c.metadata["hidden_size"], 3);
  EXPECT_EQ(c.tensors.size(), 4u);
  EXPECT_EQ(c.tensor_bytes(), 24 + 4 + 4 + 4);
  EXPECT_EQ(c.parameters(), 6 + 2 + 2 + 1);
  EXPECT_EQ(c.require("w").row(1)[0], 4.0f);
  EXPECT_FALSE(c.find("nothing"));
  expect_says(error_of([&] { c.require("nothing"); }),
              dir_.path.string() + ": tensor \"nothing\" is missing");
  expect_says(error_of([&] { c.require("ids"); }), "tensor \"ids\" cannot be used: it has type \"I64\"");
  // A moved checkpoint keeps its mappings.
  Checkpoint moved = std::move(c);
  EXPECT_EQ(moved.require("w").row(1)[2], 6.0f);
}

TEST_F(HuggingFace, MetadataNeedsNoWeights) {
  expect_says(error_of([&] { open_metadata(dir_.path); }),
              dir_.path.string() + ": is a directory without config.json");
  write("config.json", R"({"model_type": "llama", "hidden_size": 3})");
  expect_says(error_of([&] { open_checkpoint(dir_.path); }), "no weights");
  Checkpoint c = open_metadata(dir_.path);
  EXPECT_EQ(c.format, CheckpointFormat::HuggingFace);
  EXPECT_EQ(c.path, dir_.path);
  EXPECT_EQ(c.metadata["hidden_size"], 3);
  EXPECT_TRUE(c.tensors.empty());
  write("model.safetensors", "damaged");
  EXPECT_TRUE(open_metadata(dir_.path).files.empty());  // not even looked at
  expect_says(error_of([&] { open_metadata(dir_.path / "nowhere"); }), "does not exist");
}

TEST_F(HuggingFace, Shards) {
  write_shards();
  write_index({{"y", "b.safetensors"}, {"x", "a.safetensors"}, {"ids", "b.safetensors"}});
  Checkpoint c = open_checkpoint(dir_.path);
  ASSERT_EQ(c.tensors.size(), 2u);
  EXPECT_EQ(c.files.size(), 2u);
  EXPECT_EQ(c.require("x").row(0)[0], 1.0f);
  EXPECT_EQ(c.require("y").row(0)[0], 2.0f);
  EXPECT_EQ(c.skipped["ids"], "type \"I32\"");
}

TEST_F(HuggingFace, LyingIndex) {
  write_shards();
  // Savers copy the index of another model: only what is asked for must be there.
  write_index(
      {{"x", "b.safetensors"}, {"y", "a.safetensors"}, {"z", "b.safetensors"}, {"v", "c.safetensors"}});
  Checkpoint copied = open_checkpoint(dir_.path);
  EXPECT_EQ(copied.require("x").row(0)[0], 1.0f);  // it lies in the other shard
  EXPECT_EQ(copied.require("y").row(0)[0], 2.0f);
  EXPECT_FALSE(copied.find("z"));
  expect_says(error_of([&] { copied.require("z"); }), "tensor \"z\" should lie in \"b.safetensors\"");
  expect_says(error_of([&] { copied.require("v"); }),
              "the shard \"c.safetensors\" with tensor \"v\" is missing");
  write_index({{"x", "c.safetensors"}});
  expect_says(open_error(), "the shard \"c.safetensors\" with tensor \"x\" is missing");
  for (const char* name : {"../a.safetensors", "/etc/passwd", "sub/a.safetensors", "..", ""}) {
    write_index({{"x", name}});
    expect_says(open_error(), "only files of the same directory");
  }
  write_index({{"x", 3}});
  expect_says(open_error(), "names no file for tensor \"x\"");
  write_index(3);
  expect_says(open_error(), "has no object \"weight_map\"");
  write_index(Json::object());
  expect_says(open_error(), "holds no tensors");
}

TEST_F(HuggingFace, WrongThings) {
  expect_says(open_error(), "is a directory without config.json");
  write("adapter_config.json", "{}");
  expect_says(open_error(), "is an adapter, not a model");
  std::filesystem::remove(dir_.path / "adapter_config.json");
  write("some.gguf", "x");
  expect_says(open_error(), "some.gguf");
  write("config.json", "[1]");
  expect_says(open_error(), "config.json: is not a JSON object");
  write("config.json", "{}");
  expect_says(open_error(), "no weights (model.safetensors or pytorch_model.bin");
  write("pytorch_model-00001-of-00002.bin", "x");
  expect_says(open_error(), "no index that says");
  write("model.safetensors", "");
  expect_says(open_error(), "model.safetensors: is empty");
}

TEST_F(HuggingFace, WrongFiles) {
  auto error = [&](const std::string& name) { return error_of([&] { open_checkpoint(dir_.path / name); }); };
  write("text", "hello world, this is a text");
  write("empty", "");
  write("model.safetensors", small_safetensors().bytes());
  expect_says(error("text"), "text: is not a GGUF file");
  expect_says(error("empty"), "empty: is empty");
  expect_says(error("model.safetensors"), "give the directory");
  expect_says(error("absent"), "does not exist");
  expect_says(error_of([] { open_checkpoint("/dev/null"); }), "is not a regular file");
}

}  // namespace
}  // namespace longspan
