#include "tensor/tensor.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "base/error.h"
#include "tensor/arena.h"

namespace longspan {
namespace {

TEST(TensorView, MatrixRowsAndSlices) {
  std::vector<float> data(12);
  for (int i = 0; i < 12; ++i) data[static_cast<size_t>(i)] = static_cast<float>(i);
  Tensor m = host_matrix(data.data(), DType::F32, 4, 3);
  EXPECT_EQ(m.rows(), 4);
  EXPECT_EQ(m.cols(), 3);
  EXPECT_EQ(m.bytes(), 48);
  EXPECT_EQ(m.row(2)[1], 7.0f);
  Tensor s = m.slice(1, 2);
  EXPECT_EQ(s.rows(), 2);
  EXPECT_EQ(s.row(0)[0], 3.0f);
  EXPECT_EQ(m.slice(4, 0).rows(), 0);
  Tensor strided = m;  // every second row
  strided.size[0] = 2, strided.row_stride = 24;
  EXPECT_EQ(strided.row(1)[0], 6.0f);
  EXPECT_EQ(strided.slice(1, 1).row(0)[2], 8.0f);
}

TEST(TensorView, VectorAndBlocks) {
  std::vector<std::byte> blocks(2 * 2 * 34);
  Tensor v = host_vector(blocks.data(), DType::Q8_0, 64), m = host_matrix(blocks.data(), DType::Q8_0, 2, 64);
  EXPECT_EQ(v.rows(), 1);
  EXPECT_EQ(v.cols(), 64);
  EXPECT_EQ(v.bytes(), 68);
  EXPECT_EQ(m.row<std::byte>(1), blocks.data() + 68);
  EXPECT_FALSE(Tensor{});
  EXPECT_TRUE(v);
}

TEST(Arena, IsZeroedAlignedAndLabelled) {
  Arena a;
  Tensor x = a.matrix("weights", DType::F32, 3, 5), y = a.matrix("weights", DType::BF16, 2, 2);
  auto* big = static_cast<unsigned char*>(a.allocate("cache", int64_t{9} << 20));
  EXPECT_EQ(reinterpret_cast<uintptr_t>(x.data) % 64, 0u);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(y.data) % 64, 0u);
  for (int64_t i = 0; i < 3; ++i)
    for (int64_t j = 0; j < 5; ++j) EXPECT_EQ(x.row(i)[j], 0.0f);
  EXPECT_EQ(big[0] | big[(9 << 20) - 1], 0);
  EXPECT_EQ(a.bytes(), 60 + 8 + (9 << 20));
  auto table = a.table();
  ASSERT_EQ(table.size(), 2u);
  EXPECT_EQ(table[0], (std::pair<std::string, int64_t>("weights", 68)));
  EXPECT_EQ(table[1].first, "cache");
  Arena b = std::move(a);
  EXPECT_EQ(b.bytes(), 68 + (9 << 20));
  x.row(2)[4] = 1.0f;  // still mapped
  b.release();
  EXPECT_EQ(b.bytes(), 0);
}

TEST(Arena, RefusalNamesTheLabel) {
  Arena a;
  try {
    a.allocate("too much", int64_t{1} << 60);
    FAIL() << "2^60 bytes were granted";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("too much"), std::string::npos);
  }
}

}  // namespace
}  // namespace longspan
