// The GGUF reader: a round trip, every field made to lie, every truncation, every flipped byte.
#include <gtest/gtest.h>

#include "base/file.h"
#include "checkpoint/build_files.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/expect_error.h"

namespace longspan {
namespace {

GgufBuilder small_gguf() {
  GgufBuilder g;
  g.value("general.architecture", "llama")
      .value("llama.block_count", uint32_t{2})
      .value("llama.rope.freq_base", 10000.5f)
      .value("flag", true)
      .value("tokens", std::vector<std::string>{"a", "", "\xff\xfe"})
      .value("scores", std::vector<float>{0.5f, -1.0f})
      .value("types", std::vector<int32_t>{1, -3});
  g.tensor("norm", DType::F32, {3}, floats_as_bytes({1, 2, 3}));
  g.tensor("matrix", DType::F32, {2, 3}, floats_as_bytes({1, 2, 3, 4, 5, 6}));
  g.tensor("blocks", DType::Q8_0, {2, 64}, std::string(2 * 2 * 34, '\1'));
  return g;
}

ParsedTensors parse(const std::string& text) {
  return with_exact_bytes(text, [](auto bytes) { return parse_gguf(bytes, "m.gguf"); });
}
std::string parse_error(const std::string& text) {
  return error_of([&] { parse(text); });
}
std::string parse_error(const GgufBuilder& g) { return parse_error(g.bytes()); }

TEST(Gguf, RoundTrip) {
  for (uint32_t version : {2u, 3u}) {
    GgufBuilder g = small_gguf();
    g.version = version;
    std::string text = g.bytes();
    auto* start = reinterpret_cast<const std::byte*>(text.data());
    ParsedTensors p = parse_gguf({start, text.size()}, "m.gguf");
    EXPECT_EQ(p.metadata["general.architecture"], "llama");
    EXPECT_EQ(p.metadata["llama.block_count"], 2);
    EXPECT_EQ(p.metadata["llama.rope.freq_base"], 10000.5);
    EXPECT_EQ(p.metadata["flag"], true);
    EXPECT_EQ(p.metadata["tokens"], (Json::array({"a", "", "\xff\xfe"})));
    EXPECT_EQ(p.metadata["scores"], (Json::array({0.5, -1.0})));
    EXPECT_EQ(p.metadata["types"], (Json::array({1, -3})));
    EXPECT_EQ(p.metadata.size(), 7u);
    EXPECT_EQ(p.metadata.begin().key(), "general.architecture");

    ASSERT_EQ(p.tensors.size(), 3u);
    Tensor norm = p.tensors[0].tensor, matrix = p.tensors[1].tensor, blocks = p.tensors[2].tensor;
    EXPECT_EQ(p.tensors[0].name, "norm");
    EXPECT_EQ(norm.dims, 1);
    EXPECT_EQ(norm.size[0], 3);
    EXPECT_EQ(norm.row_stride, 12);
    EXPECT_EQ(norm.row(0)[2], 3.0f);
    EXPECT_EQ(matrix.dims, 2);
    EXPECT_EQ(matrix.size[0], 2);
    EXPECT_EQ(matrix.size[1], 3);
    EXPECT_EQ(matrix.row(1)[0], 4.0f);
    EXPECT_EQ(blocks.dtype, DType::Q8_0);
    EXPECT_EQ(blocks.size[1], 64);
    EXPECT_EQ(blocks.row_stride, 68);
    EXPECT_EQ(blocks.row<char>(0), text.data() + text.size() - 136);
  }
}

TEST(Gguf, AlignmentIsHonoured) {
  GgufBuilder g;
  g.alignment = 64;
  g.value("general.alignment", uint32_t{64});
  g.tensor("a", DType::F32, {1}, floats_as_bytes({7})).tensor("b", DType::F32, {1}, floats_as_bytes({8}));
  ASSERT_EQ(g.tensors[1].offset, 64u);
  std::string text = g.bytes();
  ParsedTensors p = parse_gguf({reinterpret_cast<const std::byte*>(text.data()), text.size()}, "m.gguf");
  EXPECT_EQ(p.tensors[0].tensor.row(0)[0], 7.0f);
  EXPECT_EQ(p.tensors[1].tensor.row(0)[0], 8.0f);
  for (uint32_t bad : {0u, 1u, 4u, 33u, 1u << 31}) {
    GgufBuilder h;
    expect_says(parse_error(h.value("general.alignment", bad)),
                "general.alignment is " + std::to_string(bad));
  }
  GgufBuilder h;
  expect_says(parse_error(h.value("general.alignment", "x")), "general.alignment");
}

TEST(Gguf, EveryTypeOfValue) {
  GgufBuilder g;
  g.raw_value("u8", 0, raw<uint8_t>(200))
      .raw_value("i8", 1, raw<int8_t>(-2))
      .raw_value("u16", 2, raw<uint16_t>(60000));
  g.raw_value("i16", 3, raw<int16_t>(-300)).raw_value("i32", 5, raw<int32_t>(-70000));
  g.raw_value("u64", 10, raw<uint64_t>(~uint64_t{0})).raw_value("i64", 11, raw<int64_t>(INT64_MIN));
  g.raw_value("f64", 12, raw(0.1));
  Json m = parse(g.bytes()).metadata;
  EXPECT_EQ(m["u8"], 200);
  EXPECT_EQ(m["i8"], -2);
  EXPECT_EQ(m["u16"], 60000);
  EXPECT_EQ(m["i16"], -300);
  EXPECT_EQ(m["i32"], -70000);
  EXPECT_EQ(m["u64"], ~uint64_t{0});
  EXPECT_EQ(m["i64"], INT64_MIN);
  EXPECT_EQ(m["f64"], 0.1);
}

TEST(Gguf, LyingHeader) {
  GgufBuilder g = small_gguf();
  g.magic = "GGML";
  expect_says(parse_error(g), "m.gguf: is not a GGUF file");
  expect_says(parse_error(""), "m.gguf: is empty");
  expect_says(parse_error("version https://git-lfs.github.com/spec/v1\noid sha256:00"), "git lfs pull");
  g = small_gguf();
  g.version = 1;
  expect_says(parse_error(g), "version 1");
  g.version = 0x03000000;
  expect_says(parse_error(g), "big-endian");
  g.version = 4;
  expect_says(parse_error(g), "is GGUF version 4; versions 2 and 3 are read");
  g = small_gguf();
  g.tensor_count = uint64_t{1} << 60;
  expect_says(parse_error(g), "the number of tensors");
  g.tensor_count = 4;
  expect_says(parse_error(g), "m.gguf: ");
  g = small_gguf();
  g.value_count = ~uint64_t{0};
  expect_says(parse_error(g), "the number of metadata values");
}

TEST(Gguf, LyingMetadata) {
  auto with = [](uint32_t type, const std::string& bytes) {
    GgufBuilder g;
    g.raw_value("key", type, bytes);
    return parse_error(g);
  };
  expect_says(with(13, ""), "\"key\" has value type 13");
  expect_says(with(7, "\2"), "truth value of 2");
  expect_says(with(8, raw(~uint64_t{0})), "is truncated: the metadata value \"key\"");
  expect_says(with(9, raw<uint32_t>(4) + raw(uint64_t{1} << 62)), "the length of the metadata value \"key\"");
  expect_says(with(9, raw<uint32_t>(9) + raw<uint64_t>(1)), "array of arrays");
  expect_says(with(9, raw<uint32_t>(99) + raw<uint64_t>(1)), "value type 99");
  expect_says(with(9, raw<uint32_t>(0) + raw(uint64_t{20'000'000}) + std::string(20'000'000, 'x')),
              "20000000 elements");
  GgufBuilder g;
  expect_says(parse_error(g.value("k", 1u).value("k", 2u)), "key \"k\" stands twice");
  g = GgufBuilder();
  expect_says(parse_error(g.value("", 1u)), "a metadata key has 0 bytes");
  g = GgufBuilder();
  expect_says(parse_error(g.value(std::string(5000, 'k'), 1u)), "a metadata key has 5000 bytes");
  g = GgufBuilder();
  EXPECT_EQ(parse_error(g.raw_value("split.count", 2, raw<uint16_t>(1))), "no error");
}

class SplitGguf : public testing::Test {
 protected:
  TemporaryDirectory dir_;
  std::filesystem::path path(int number) const {
    return dir_.path / fmt::format("m-{:05}-of-00003.gguf", number);
  }
  /// Part `number`, which says that it is part `no`. The first holds metadata only, as gguf-split can write
  /// it.
  void write(int number, int no, int announced = 2) {
    GgufBuilder g;
    if (number == 1) g.value("general.architecture", "llama");
    g.raw_value("split.no", 2, raw(static_cast<uint16_t>(no - 1)));
    g.raw_value("split.count", 2, raw<uint16_t>(3));
    g.raw_value("split.tensors.count", 5, raw<int32_t>(announced));
    if (number == 2) g.tensor("a", DType::F32, {1}, floats_as_bytes({1}));
    if (number == 3) g.tensor("b", DType::F32, {2}, floats_as_bytes({2, 3}));
    write_file_atomic(path(number), g.bytes());
  }
  std::string open_error(int number) {
    return error_of([&] { open_checkpoint(path(number)); });
  }
};

TEST_F(SplitGguf, IsReadAsOneWhicheverPartIsNamed) {
  for (int number : {1, 2, 3}) write(number, number);
  for (int number : {1, 2, 3}) {
    Checkpoint c = open_checkpoint(path(number));
    EXPECT_EQ(c.metadata["general.architecture"], "llama");
    EXPECT_EQ(c.tensors.size(), 2u);
    EXPECT_EQ(c.files.size(), 3u);
    EXPECT_EQ(c.require("a").row(0)[0], 1.0f);
    EXPECT_EQ(c.require("b").row(0)[1], 3.0f);
    Checkpoint moved = std::move(c);
    EXPECT_EQ(moved.require("b").row(0)[0], 2.0f);
  }
}

TEST_F(SplitGguf, FaultsNameThePart) {
  write(1, 1), write(2, 2);
  expect_says(open_error(1), "part 3 of 3 of the split model is missing");
  expect_says(open_error(2), "m-00003-of-00003.gguf");
  write(3, 2);
  expect_says(open_error(1), "calls itself part 2 of 3");
  write(3, 3), write(1, 1, 9);
  expect_says(open_error(1), "hold 2 tensors, 9 were announced");
  write(1, 1);
  std::filesystem::rename(path(1), dir_.path / "first.gguf");
  expect_says(error_of([&] { open_checkpoint(dir_.path / "first.gguf"); }), "-00001-of-00003.gguf");
  // Two parts must not hold one tensor.
  std::filesystem::rename(dir_.path / "first.gguf", path(1));
  GgufBuilder twice;
  twice.raw_value("split.no", 2, raw<uint16_t>(2)).raw_value("split.count", 2, raw<uint16_t>(3));
  write_file_atomic(path(3), twice.tensor("a", DType::F32, {1}, floats_as_bytes({1})).bytes());
  expect_says(open_error(1), "two files hold the tensor \"a\"");
}

TEST(Gguf, LyingTensors) {
  auto changed = [](auto change) {
    GgufBuilder g = small_gguf();
    change(g.tensors);
    return parse_error(g);
  };
  using Tensors = std::vector<GgufTensor>;
  expect_says(changed([](Tensors& t) { t[0].sizes = {}; }), "tensor \"norm\" has 0 dimensions");
  expect_says(changed([](Tensors& t) { t[0].sizes = {1, 1, 1, 1, 3}; }), "tensor \"norm\" has 5 dimensions");
  expect_says(changed([](Tensors& t) {
                t[1].sizes = {3, 0};
              }),
              "tensor \"matrix\" has a dimension of size 0");
  expect_says(changed([](Tensors& t) {
                t[1].sizes = {uint64_t{1} << 33, uint64_t{1} << 33};
              }),
              "more elements than any");
  expect_says(changed([](Tensors& t) { t[1].sizes = {~uint64_t{0}}; }), "more elements than any");
  expect_says(changed([](Tensors& t) {
                t[2].sizes = {65, 2};
              }),
              "type Q8_0 with rows of 65 elements, a multiple of 32");
  expect_says(changed([](Tensors& t) { t[2].sizes = {2, 64}; }), "a multiple of 32");
  expect_says(changed([](Tensors& t) {
                t[2].sizes = {64, 3};
              }),
              "is truncated: tensor \"blocks\" ends at byte");
  expect_says(changed([](Tensors& t) { t[0].type = 10; }),
              "tensor \"norm\" has type number 10 (Q2_K); supported are F32");
  expect_says(changed([](Tensors& t) { t[0].type = 77; }), "type number 77 (unknown");
  expect_says(changed([](Tensors& t) { t[1].offset = 33; }), "multiple of the alignment 32");
  expect_says(changed([](Tensors& t) { t[1].offset = 0; }), "tensors \"norm\" and \"matrix\" overlap");
  expect_says(changed([](Tensors& t) { t[1].offset = ~uint64_t{31}; }), "beyond any file");
  expect_says(changed([](Tensors& t) { t[1].offset = uint64_t{1} << 40; }),
              "tensor \"matrix\" ends at byte 1099511");
  expect_says(changed([](Tensors& t) { t[1].name = "norm"; }), "tensor \"norm\" stands twice");
  expect_says(changed([](Tensors& t) { t[1].name = ""; }), "a tensor name has 0 bytes");
  // What an error prints must not drive the terminal.
  expect_says(changed([](Tensors& t) { t[0].name = "a\x1b[2J\xff", t[0].type = 77; }),
              R"(tensor "a\x1b[2J\xff" has)");
}

TEST(Gguf, TruncationsAreErrorsThatTellTheBytes) {
  std::string text = small_gguf().bytes();
  for (size_t n = 0; n < text.size(); ++n) expect_says(parse_error(text.substr(0, n)), "m.gguf: ");
  std::string error = parse_error(text.substr(0, text.size() - 1));
  expect_says(error, "ends at byte " + std::to_string(text.size()));
  expect_says(error, "has " + std::to_string(text.size() - 1) + " bytes");
}

TEST(Gguf, WithoutTensorsNeedsNoPadding) {
  GgufBuilder g;
  std::string text = g.value("k", 1u).bytes();
  ASSERT_EQ(text.size(), 64u);
  EXPECT_EQ(parse_error(text.substr(0, 24 + 9 + 4 + 4)), "no error");
}

TEST(Gguf, AnyByteMayBeWrong) {
  std::string good = small_gguf().bytes();
  int parsed = 0, refused = 0;
  for (size_t i = 0; i < good.size(); ++i) {
    for (unsigned char change : {0x01, 0x80, 0xff}) {
      std::string bad = good;
      bad[i] = static_cast<char>(bad[i] ^ change);
      std::string error = parse_error(bad);
      (error == "no error" ? parsed : refused)++;
    }
  }
  EXPECT_GT(parsed, 0);   // bytes of weights and names
  EXPECT_GT(refused, 0);  // everything else; what must not happen is a crash
}

class SmolLm2 : public testing::Test {
 protected:
  std::filesystem::path path_ = cache_dir() / "smollm2" / "SmolLM2-135M-Instruct.Q4_1.gguf";
  void SetUp() override {
    if (!std::filesystem::exists(path_)) GTEST_SKIP() << path_ << " is absent: run longspan fetch smollm2";
  }
};

TEST_F(SmolLm2, OpensAsPublished) {
  Checkpoint c = open_checkpoint(path_);
  EXPECT_EQ(c.format, CheckpointFormat::Gguf);
  EXPECT_EQ(c.tensors.size(), 272u);
  EXPECT_EQ(c.parameters(), 134'515'008);
  EXPECT_EQ(c.metadata["general.architecture"], "llama");
  EXPECT_EQ(c.metadata["llama.block_count"], 30);
  EXPECT_EQ(c.metadata["llama.context_length"], 8192);
  EXPECT_EQ(c.metadata["llama.rope.freq_base"], 100000.0);
  EXPECT_EQ(c.metadata["tokenizer.ggml.tokens"].size(), 49152u);
  EXPECT_EQ(c.metadata["tokenizer.ggml.merges"].size(), 48900u);
  EXPECT_EQ(c.metadata["tokenizer.ggml.tokens"][1], "<|im_start|>");
  Tensor embedding = c.require("token_embd.weight"), key = c.require("blk.29.attn_k.weight");
  EXPECT_EQ(embedding.dtype, DType::Q8_0);
  EXPECT_EQ(embedding.size[0], 49152);
  EXPECT_EQ(embedding.size[1], 576);
  EXPECT_EQ(key.dtype, DType::Q4_1);
  EXPECT_EQ(key.size[0], 192);
  EXPECT_EQ(key.size[1], 576);
  EXPECT_FALSE(c.find("output.weight"));
  int q4_1 = 0;
  for (const NamedTensor& t : c.tensors) {
    q4_1 += t.tensor.dtype == DType::Q4_1;
    EXPECT_NO_THROW(check_finite(t, "smollm2"));
  }
  EXPECT_EQ(q4_1, 210);
}

}  // namespace
}  // namespace longspan
