// What is written is read back: one file and shards, bytes as they lay; what fails leaves nothing.
#include "checkpoint/write_safetensors.h"

#include <gtest/gtest.h>

#include <cstring>

#include "checkpoint/build_files.h"
#include "checkpoint/expect_error.h"

namespace longspan {
namespace {

struct Values {
  std::vector<float> w = {1, 2, 3, 4, 5, 6};
  std::vector<uint16_t> h = {0x3c00, 0xc000, 0x3c01};
  std::vector<NamedTensor> tensors() {
    return {{"w", host_matrix(w.data(), DType::F32, 2, 3)},
            {"h", host_vector(h.data(), DType::F16, 3)},
            {"b", host_matrix(h.data(), DType::BF16, 3, 1)}};
  }
  std::vector<TensorSource> sources() {
    std::vector<TensorSource> out;
    for (const NamedTensor& t : tensors()) out.push_back(as_it_lies(t));
    return out;
  }
};

void expect_same(const Tensor& a, const Tensor& b) {
  ASSERT_EQ(a.dtype, b.dtype);
  ASSERT_EQ(a.dims, b.dims);
  for (int i = 0; i < a.dims; ++i) EXPECT_EQ(a.size[i], b.size[i]);
  EXPECT_EQ(std::memcmp(a.data, b.data, static_cast<size_t>(b.bytes())), 0);
}

TEST(WriteSafetensors, ComesBack) {
  TemporaryDirectory dir;
  Values values;
  std::vector<std::pair<int64_t, int64_t>> steps;
  write_safetensors(dir.path / "m.safetensors", values.sources(), {{"format", "pt"}},
                    [&](int64_t done, int64_t total) {
                      steps.emplace_back(done, total);
                      return true;
                    });
  std::string text = read_file(dir.path / "m.safetensors");
  uint64_t header;
  std::memcpy(&header, text.data(), 8);
  EXPECT_EQ(header % 8, 0u);
  ParsedTensors p = parse_safetensors(std::as_bytes(std::span(text)), "m");
  EXPECT_EQ(p.metadata["format"], "pt");
  std::vector<NamedTensor> want = values.tensors();
  ASSERT_EQ(p.tensors.size(), want.size());
  for (size_t i = 0; i < want.size(); ++i) {
    EXPECT_EQ(p.tensors[i].name, want[i].name);
    expect_same(p.tensors[i].tensor, want[i].tensor);
  }
  EXPECT_EQ(steps.back(), std::pair(int64_t{36}, int64_t{36}));
}

TEST(WriteSafetensors, RowsAreMadeInPieces) {
  TemporaryDirectory dir;
  constexpr int64_t kRows = 3000, kCols = 1000;  // 12 MB: more than is made at a time
  int64_t calls = 0;
  TensorSource source{"t", DType::F32, {kRows, kCols}, [&](std::byte* out, int64_t row, int64_t rows) {
                        ++calls;
                        for (int64_t i = 0; i < rows * kCols; ++i) {
                          auto value = static_cast<float>(row * kCols + i);
                          std::memcpy(out + 4 * i, &value, 4);
                        }
                      }};
  write_safetensors(dir.path / "t.safetensors", {&source, 1}, {});
  EXPECT_GT(calls, 1);
  std::string text = read_file(dir.path / "t.safetensors");
  Tensor t = parse_safetensors(std::as_bytes(std::span(text)), "t").tensors.at(0).tensor;
  for (int64_t row = 0; row < kRows; ++row) ASSERT_EQ(t.row(row)[7], static_cast<float>(row * kCols + 7));
}

TEST(WriteSafetensors, Shards) {
  TemporaryDirectory dir;
  Values values;
  write_file_atomic(dir.path / "config.json", "{}");
  write_shards(dir.path, values.sources(), {{"format", "pt"}}, 12);
  EXPECT_FALSE(std::filesystem::exists(dir.path / "model.safetensors"));
  EXPECT_TRUE(std::filesystem::exists(dir.path / "model-00002-of-00002.safetensors"));
  EXPECT_EQ(parse_json_file(dir.path / "model.safetensors.index.json")["metadata"]["total_size"], 36);
  Checkpoint c = open_checkpoint(dir.path);
  for (const NamedTensor& want : values.tensors()) expect_same(c.require(want.name), want.tensor);
}

TEST(WriteSafetensors, WhatFailsLeavesNothing) {
  TemporaryDirectory dir;
  Values values;
  auto stop = [](int64_t, int64_t) { return false; };
  expect_says(error_of([&] { write_shards(dir.path, values.sources(), {}, 1 << 20, stop); }),
              "model.safetensors: writing was interrupted");
  EXPECT_TRUE(std::filesystem::is_empty(dir.path));
  expect_says(error_of([&] { write_shards(dir.path / "absent", values.sources(), {}, 1 << 20); }),
              "model.safetensors: writing failed");
}

}  // namespace
}  // namespace longspan
