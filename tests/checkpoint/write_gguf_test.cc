// What is written is read back: values of every type, tensors of one to three sizes; what fails leaves
// nothing.
#include "checkpoint/write_gguf.h"

#include <gtest/gtest.h>

#include <cstring>

#include "checkpoint/build_files.h"
#include "checkpoint/expect_error.h"

namespace longspan {
namespace {

struct Values {
  std::vector<float> w = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
  std::vector<std::byte> q = std::vector<std::byte>(34, std::byte{1});
  std::vector<TensorSource> sources() {
    Tensor cube = host_matrix(w.data(), DType::F32, 4, 3);
    cube.dims = 3, cube.size[0] = cube.size[1] = 2, cube.size[2] = 3;
    return {as_it_lies({"vector", host_vector(w.data(), DType::F32, 3)}), as_it_lies({"cube", cube}),
            as_it_lies({"blocks", host_matrix(q.data(), DType::Q8_0, 1, 32)})};
  }
};

TEST(WriteGguf, ComesBack) {
  TemporaryDirectory dir;
  Values values;
  Json metadata = {{"general.architecture", "llama"},
                   {"llama.block_count", int64_t{30}},
                   {"llama.rope.freq_base", 1e4},
                   {"negative", -7},
                   {"large", uint64_t{1} << 40},
                   {"truth", true},
                   {"nothing", nullptr},
                   {"texts", {"a", "", "\u4e2d"}},
                   {"numbers", {1, -2, 3}},
                   {"decimals", {0.5, -1.0}},
                   {"truths", {true, false}},
                   {"tokenizer.ggml.precompiled_charsmap", {0, 255}},
                   {"empty", Json::array()}};
  std::vector<TensorSource> sources = values.sources();
  write_gguf(dir.path / "m.gguf", metadata, sources);
  std::string bytes = read_file(dir.path / "m.gguf");
  ParsedTensors read = parse_gguf(std::as_bytes(std::span(bytes)), "m.gguf");
  metadata.erase("nothing");
  EXPECT_EQ(read.metadata, metadata);
  EXPECT_TRUE(read.metadata["llama.block_count"].is_number_unsigned());  // llama.cpp asks for U32
  ASSERT_EQ(read.tensors.size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    const Tensor& t = read.tensors[i].tensor;
    EXPECT_EQ(read.tensors[i].name, sources[i].name);
    EXPECT_EQ(std::vector(t.size, t.size + t.dims), sources[i].sizes);
    ASSERT_EQ(t.bytes(), sources[i].bytes());
    std::vector<std::byte> want(static_cast<size_t>(t.bytes()));
    sources[i].fill(want.data(), 0, sources[i].rows());
    EXPECT_EQ(std::memcmp(t.data, want.data(), want.size()), 0) << sources[i].name;
    EXPECT_EQ((static_cast<const std::byte*>(t.data) - std::as_bytes(std::span(bytes)).data()) % 32, 0);
  }
}

TEST(WriteGguf, AStoppedFileIsRemoved) {
  TemporaryDirectory dir;
  Values values;
  auto stop = [](int64_t, int64_t) { return false; };
  expect_says(error_of([&] {
                write_gguf(dir.path / "m.gguf", {{"a", 1}}, values.sources(), stop);
              }),
              "interrupted");
  EXPECT_TRUE(std::filesystem::is_empty(dir.path));
  Json mixed = {{"mixed", Json::array({1, "b"})}};
  expect_says(error_of([&] { write_gguf(dir.path / "m.gguf", mixed, values.sources()); }), "mixed");
}

}  // namespace
}  // namespace longspan
