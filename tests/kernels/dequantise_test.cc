// dequantise() against the values of Python's gguf package (tools/make_dequantise_golden.py): bit for bit.
#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "base/file.h"
#include "kernels/kernels.h"

namespace longspan {
namespace {

struct Golden {
  std::string blocks;
  std::vector<float> values;
};

Golden read_golden(DType dtype) {
  std::string bytes = read_file(std::string(LONGSPAN_GOLDEN "/dequantise/") + name(dtype) + ".bin");
  const DTypeInfo& info = dtype_info(dtype);
  size_t per_block = static_cast<size_t>(info.block_bytes + 4 * info.block_elements);
  size_t n = bytes.size() / per_block;
  EXPECT_EQ(n * per_block, bytes.size());
  Golden g{bytes.substr(0, n * static_cast<size_t>(info.block_bytes)), {}};
  g.values.resize(n * static_cast<size_t>(info.block_elements));
  std::memcpy(g.values.data(), bytes.data() + g.blocks.size(), 4 * g.values.size());
  return g;
}

class Dequantise : public testing::TestWithParam<DType> {};

TEST_P(Dequantise, EqualsGgufPackageBitForBit) {
  Golden g = read_golden(GetParam());
  ASSERT_EQ(g.values.size(), 1024u);
  std::vector<float> out(g.values.size());
  dequantise(out.data(), g.blocks.data(), GetParam(), static_cast<int64_t>(out.size()));
  for (size_t i = 0; i < out.size(); ++i) {
    ASSERT_EQ(std::memcmp(&out[i], &g.values[i], 4), 0)
        << "value " << i << ": " << out[i] << ", not " << g.values[i];
  }
}

TEST_P(Dequantise, BlocksAreIndependent) {
  Golden g = read_golden(GetParam());
  const DTypeInfo& info = dtype_info(GetParam());
  std::vector<float> out(static_cast<size_t>(info.block_elements));
  size_t last = g.values.size() / out.size() - 1;
  dequantise(out.data(), g.blocks.data() + last * static_cast<size_t>(info.block_bytes), GetParam(),
             info.block_elements);
  EXPECT_EQ(std::memcmp(out.data(), g.values.data() + last * out.size(), 4 * out.size()), 0);
}

INSTANTIATE_TEST_SUITE_P(Types, Dequantise,
                         testing::Values(DType::F16, DType::BF16, DType::Q8_0, DType::Q4_0, DType::Q4_1,
                                         DType::Q5_0, DType::Q5_1, DType::Q4_K, DType::Q5_K, DType::Q6_K),
                         [](const auto& row) { return std::string(name(row.param)); });

TEST(DequantiseF32, Copies) {
  float in[3] = {1.5f, -0.0f, 3e38f}, out[3];
  dequantise(out, in, DType::F32, 3);
  EXPECT_EQ(std::memcmp(in, out, sizeof in), 0);
}

}  // namespace
}  // namespace longspan
