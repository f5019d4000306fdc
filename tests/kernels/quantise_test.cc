// Quantisers: values on a type's grid come back, and elsewhere the error is that of rounding to steps, whose
// sizes are derived here from the values alone.
#include "kernels/quantise.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "kernels/kernels.h"

namespace longspan {
namespace {

std::vector<float> there_and_back(const std::vector<float>& x, DType dtype) {
  auto n = std::ssize(x);
  std::vector<std::byte> blocks(static_cast<size_t>(dtype_bytes(dtype, n)));
  EXPECT_TRUE(quantise(blocks.data(), x.data(), dtype, n)) << name(dtype);
  std::vector<float> out(x.size());
  dequantise(out.data(), blocks.data(), dtype, n);
  return out;
}

std::vector<float> normal(size_t n, float deviation, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> values(0, deviation);
  std::vector<float> x(n);
  for (float& v : x) v = values(random);
  return x;
}

struct Grid {
  DType dtype;
  size_t group;    // weights that share a step
  int levels;      // steps from the smallest to the largest value of a group
  bool symmetric;  // the range is from -largest to largest
};
constexpr Grid kGrids[] = {{DType::Q8_0, 32, 254, true}, {DType::Q4_0, 32, 16, true},
                           {DType::Q5_0, 32, 32, true},  {DType::Q4_1, 32, 15, false},
                           {DType::Q5_1, 32, 31, false}, {DType::Q4_K, 32, 15, false},
                           {DType::Q5_K, 32, 31, false}, {DType::Q6_K, 16, 64, true}};

/// The step that spans a group's range evenly.
double step_of(const float* x, const Grid& grid) {
  auto [least, most] = std::minmax_element(x, x + grid.group);
  double range = grid.symmetric ? 2 * std::max(std::abs(*least), std::abs(*most))
                                : std::max(0.0f, *most) - std::min(0.0f, *least);
  return range / grid.levels;
}

TEST(Quantise, ErrorIsThatOfItsSteps) {
  for (const Grid& grid : kGrids)
    for (float deviation : {0.02f, 3.0f}) {
      std::vector<float> x = normal(8192, deviation, 5), y = there_and_back(x, grid.dtype);
      double squares = 0, expected = 0;
      for (size_t i = 0; i < x.size(); i += grid.group) {
        double step = step_of(x.data() + i, grid);
        // A value rounded to the nearest step is off by step / sqrt(12) on average.
        expected += static_cast<double>(grid.group) * step * step / 12;
        for (size_t j = i; j < i + grid.group; ++j) {
          double error = std::abs(static_cast<double>(x[j]) - y[j]);
          squares += error * error;
          // Half a step, and what the largest values lose when the fit shortens the range by a tenth of it.
          EXPECT_LE(error, step * (0.75 + 0.1 * grid.levels / 2)) << name(grid.dtype) << " " << j;
        }
      }
      double ratio = std::sqrt(squares / expected);
      // The search spends its freedom on large weights, and scales of superblocks are rounded: up to a tenth.
      EXPECT_LT(ratio, 1.1) << name(grid.dtype);
      EXPECT_GT(ratio, 0.6) << name(grid.dtype) << ": too good to be true";
    }
}

TEST(Quantise, ValuesOnTheGridComeBack) {
  std::mt19937 random(3);
  for (const Grid& grid : kGrids) {
    bool blocks_of_32 = dtype_info(grid.dtype).block_elements == 32;
    int low = grid.dtype == DType::Q8_0 ? -127 : grid.symmetric ? -grid.levels / 2 : 0;
    int high = grid.dtype == DType::Q8_0 ? 127 : grid.symmetric ? grid.levels / 2 - 1 : grid.levels;
    float offset = grid.symmetric ? 0.0f : -0.5f;
    std::uniform_int_distribution<int> values(low, high);
    std::vector<float> x(512);
    for (size_t i = 0; i < x.size(); ++i) {
      int q = i % grid.group == 0 ? low : i % grid.group == 1 ? high : values(random);
      x[i] = 0.125f * static_cast<float>(q) + offset;
    }
    std::vector<float> y = there_and_back(x, grid.dtype);
    // Superblocks keep a 63rd (Q6_K: 128th) of the step in F16, whose last bit is 2^-11 of it.
    float allowed = blocks_of_32 ? 0.0f : 0.125f * static_cast<float>(grid.levels) / 1024;
    for (size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(y[i], x[i], allowed) << name(grid.dtype) << " " << i;
  }
}

TEST(Quantise, ZerosConstantsAndOutliers) {
  for (const Grid& grid : kGrids) {
    std::vector<float> zeros(256, 0.0f);
    EXPECT_EQ(there_and_back(zeros, grid.dtype), zeros) << name(grid.dtype);
    std::vector<float> same(256, -0.75f);
    for (float y : there_and_back(same, grid.dtype)) EXPECT_NEAR(y, -0.75f, 0.75f / 32) << name(grid.dtype);
    std::vector<float> tiny(256, std::numeric_limits<float>::denorm_min());
    for (float y : there_and_back(tiny, grid.dtype)) EXPECT_NEAR(y, 0, 1e-6f) << name(grid.dtype);
    std::vector<float> spike(256, 0.0f);
    spike[40] = 12;
    std::vector<float> y = there_and_back(spike, grid.dtype);
    for (size_t i = 0; i < y.size(); ++i)
      EXPECT_NEAR(y[i], spike[i], 12.0f / 32) << name(grid.dtype) << " " << i;
  }
}

TEST(Quantise, SearchBeatsPlainRounding) {
  // Of Q4_0: the plain quantiser divides by -8 steps to the largest value.
  std::vector<float> x = normal(4096, 1, 9), y = there_and_back(x, DType::Q4_0);
  double ours = 0, plain = 0;
  for (size_t i = 0; i < x.size(); i += 32) {
    float extreme = 0;
    for (size_t j = i; j < i + 32; ++j)
      if (std::abs(x[j]) > std::abs(extreme)) extreme = x[j];
    float d = extreme / -8;
    for (size_t j = i; j < i + 32; ++j) {
      float rounded = d * std::clamp(std::round(x[j] / d), -8.0f, 7.0f);
      ours += (x[j] - y[j]) * (x[j] - y[j]), plain += (x[j] - rounded) * (x[j] - rounded);
    }
  }
  EXPECT_LT(ours, plain);
}

TEST(Quantise, SaysWhatDoesNotFit) {
  std::vector<float> huge(256, 1e30f);
  std::vector<std::byte> out(2048);
  for (const Grid& grid : kGrids)
    EXPECT_FALSE(quantise(out.data(), huge.data(), grid.dtype, 256)) << name(grid.dtype);
  float value = 70000;
  EXPECT_FALSE(quantise(out.data(), &value, DType::F16, 1));
  EXPECT_TRUE(quantise(out.data(), &value, DType::BF16, 1));
  EXPECT_TRUE(quantise(out.data(), huge.data(), DType::F32, 256));
}

}  // namespace
}  // namespace longspan
