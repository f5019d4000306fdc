// check_finite: one bad value or scale anywhere is found, whatever the type.
#include <gtest/gtest.h>

#include <vector>

#include "checkpoint/checkpoint.h"
#include "checkpoint/expect_error.h"

namespace longspan {
namespace {

struct Case {
  DType dtype;
  std::vector<int> scales;  // byte offsets in a block of everything that could be not finite
};

class CheckFinite : public testing::TestWithParam<Case> {};

TEST_P(CheckFinite, FindsEveryBadValue) {
  DType dtype = GetParam().dtype;
  const DTypeInfo& info = dtype_info(dtype);
  const int64_t rows = 2, cols = 2 * info.block_elements, blocks = 4;
  // All bytes 0x3b: finite in every float type; as integers of a block anything is fine.
  std::vector<uint8_t> bytes(static_cast<size_t>(dtype_bytes(dtype, rows * cols)), 0x3b);
  NamedTensor t{"blk.0.w", host_matrix(bytes.data(), dtype, rows, cols)};
  EXPECT_NO_THROW(check_finite(t, "m.gguf"));
  bool wide = dtype == DType::F32 || dtype == DType::BF16;  // the exponent's bits: 8, or 5 for halves
  for (int64_t b = 0; b < blocks; ++b) {
    for (int at : GetParam().scales) {
      for (uint8_t sign : {0x00, 0x80}) {
        std::vector<uint8_t> saved = bytes;
        auto high = static_cast<size_t>(b * info.block_bytes + at + (dtype == DType::F32 ? 3 : 1));
        bytes[high] = static_cast<uint8_t>(sign | (wide ? 0x7f : 0x7c));
        bytes[high - 1] = 0x80;
        std::string error = error_of([&] { check_finite(t, "m.gguf"); });
        expect_says(error, "m.gguf: tensor \"blk.0.w\" holds");
        expect_says(error, "finite");
        bytes = saved;
        t.tensor.data = bytes.data();
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Types, CheckFinite,
                         testing::Values(Case{DType::F32, {0}}, Case{DType::F16, {0}}, Case{DType::BF16, {0}},
                                         Case{DType::Q8_0, {0}}, Case{DType::Q4_0, {0}},
                                         Case{DType::Q4_1, {0, 2}}, Case{DType::Q5_0, {0}},
                                         Case{DType::Q5_1, {0, 2}}, Case{DType::Q4_K, {0, 2}},
                                         Case{DType::Q5_K, {0, 2}}, Case{DType::Q6_K, {208}}),
                         [](const auto& row) { return std::string(name(row.param.dtype)); });

TEST(CheckFiniteBlocks, IntegersAreNotMistakenForScales) {
  std::vector<uint8_t> bytes(34, 0xff);
  bytes[0] = 0, bytes[1] = 0x3c;  // d = 1, all weights -1
  EXPECT_NO_THROW(check_finite({"w", host_matrix(bytes.data(), DType::Q8_0, 1, 32)}, "m"));
}

}  // namespace
}  // namespace longspan
