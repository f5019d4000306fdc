// Conversions over all 65,536 halves and bfloat16s, and rounding of floats at every place where it can go
// wrong.
#include "tensor/dtype.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

namespace longspan {
namespace {

uint32_t bits_of(float f) {
  uint32_t b;
  std::memcpy(&b, &f, 4);
  return b;
}
float float_of(uint32_t bits) {
  float f;
  std::memcpy(&f, &bits, 4);
  return f;
}

/// The value of a half by the formula of IEEE 754.
double half_value(uint16_t h) {
  int exponent = (h >> 10) & 31, mantissa = h & 1023;
  double v = exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25);
  return h & 0x8000 ? -v : v;
}

TEST(Half, AllValuesThereAndBack) {
  for (uint32_t i = 0; i < 65536; ++i) {
    auto h = static_cast<uint16_t>(i);
    float f = f16_to_f32(h);
    bool special = (h & 0x7c00) == 0x7c00;
    if (special && (h & 0x3ff)) {
      ASSERT_TRUE(std::isnan(f)) << i;
      ASSERT_TRUE(std::isnan(f16_to_f32(f32_to_f16(f)))) << i;
      continue;
    }
    if (special) {
      ASSERT_TRUE(std::isinf(f)) << i;
    } else {
      ASSERT_EQ(static_cast<double>(f), half_value(h)) << i;
    }
    ASSERT_EQ(std::signbit(f), (h & 0x8000) != 0) << i;
    ASSERT_EQ(f32_to_f16(f), h) << i;
  }
}

TEST(Half, RoundsToNearestEven) {
  // Between every two neighbours: just below the middle, the middle, just above.
  for (uint16_t h = 0; h < 0x7bff; ++h) {
    float low = f16_to_f32(h), high = f16_to_f32(static_cast<uint16_t>(h + 1)), middle = 0.5f * (low + high);
    auto even = static_cast<uint16_t>(h + (h & 1));
    ASSERT_EQ(f32_to_f16(middle), even) << h;
    ASSERT_EQ(f32_to_f16(std::nextafter(middle, 0.0f)), h) << h;
    ASSERT_EQ(f32_to_f16(std::nextafter(middle, 1e9f)), h + 1) << h;
    ASSERT_EQ(f32_to_f16(-middle), even | 0x8000) << h;
  }
  EXPECT_EQ(f32_to_f16(65519.996f), 0x7bff);
  EXPECT_EQ(f32_to_f16(65520.0f), 0x7c00);
  EXPECT_EQ(f32_to_f16(3e38f), 0x7c00);
  EXPECT_EQ(f32_to_f16(-INFINITY), 0xfc00);
  EXPECT_EQ(f32_to_f16(1e-30f), 0);
  EXPECT_TRUE(
      std::isnan(f16_to_f32(f32_to_f16(float_of(0x7f800001)))));  // a NaN whose high mantissa bits are 0
}

TEST(BFloat16, AllValuesThereAndBack) {
  for (uint32_t i = 0; i < 65536; ++i) {
    auto b = static_cast<uint16_t>(i);
    float f = bf16_to_f32(b);
    ASSERT_EQ(bits_of(f), i << 16);
    if (std::isnan(f)) {
      ASSERT_TRUE(std::isnan(bf16_to_f32(f32_to_bf16(f)))) << i;
    } else {
      ASSERT_EQ(f32_to_bf16(f), b) << i;
    }
  }
}

TEST(BFloat16, RoundsToNearestEven) {
  for (uint32_t b = 0; b < 0x7f80; ++b) {
    uint32_t middle = (b << 16) | 0x8000;
    ASSERT_EQ(f32_to_bf16(float_of(middle)), b + (b & 1));
    ASSERT_EQ(f32_to_bf16(float_of(middle - 1)), b);
    ASSERT_EQ(f32_to_bf16(float_of(middle + 1)), b + 1);
  }
  EXPECT_TRUE(std::isnan(bf16_to_f32(f32_to_bf16(float_of(0x7f800001)))));
  EXPECT_EQ(f32_to_bf16(float_of(0x7f7fffff)), 0x7f80);  // the largest float rounds to infinity
}

TEST(DTypeTable, NamesBlocksAndBytes) {
  for (DType d : {DType::F32, DType::F16, DType::BF16, DType::I32, DType::Q8_0, DType::Q4_0, DType::Q4_1,
                  DType::Q5_0, DType::Q5_1, DType::Q4_K, DType::Q5_K, DType::Q6_K}) {
    EXPECT_EQ(dtype_info(d).dtype, d);
    EXPECT_EQ(dtype_from_name(name(d)), d);
    EXPECT_EQ(is_quantised(d), dtype_info(d).block_elements > 1);
  }
  EXPECT_EQ(dtype_from_name("q4_k"), DType::Q4_K);
  EXPECT_EQ(dtype_from_name("Q9"), std::nullopt);
  EXPECT_EQ(dtype_from_name(""), std::nullopt);
  EXPECT_EQ(dtype_bytes(DType::F32, 3), 12);
  EXPECT_EQ(dtype_bytes(DType::Q8_0, 64), 68);    // 8.5 bits a weight
  EXPECT_EQ(dtype_bytes(DType::Q4_K, 512), 288);  // 4.5
  EXPECT_EQ(dtype_bytes(DType::Q6_K, 256), 210);  // 6.5625
}

}  // namespace
}  // namespace longspan
