#include "base/random.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace longspan {
namespace {

TEST(RandomNumbers, AreTheSameEverywhere) {
  // splitmix64 and xoshiro256** written once more in Python from their papers.
  Random zero(0), answer(42);
  for (uint64_t expected :
       {0x99ec5f36cb75f2b4u, 0xbf6e1f784956452au, 0x1a5f849d4933e6e0u, 0x6aa594f1262d2d2cu})
    EXPECT_EQ(zero.next(), expected);
  for (uint64_t expected : {0x15780b2e0c2ec716u, 0x6104d9866d113a7eu}) EXPECT_EQ(answer.next(), expected);
}

TEST(RandomNumbers, Moments) {
  Random r(1);
  const int n = 200000;
  double u = 0, u2 = 0, g = 0, g2 = 0, g4 = 0;
  for (int i = 0; i < n; ++i) {
    double x = r.uniform(), y = r.normal();
    ASSERT_TRUE(x >= 0 && x < 1 && std::isfinite(y));
    u += x, u2 += x * x, g += y, g2 += y * y, g4 += y * y * y * y;
  }
  EXPECT_NEAR(u / n, 0.5, 0.003);  // four standard errors or more
  EXPECT_NEAR(u2 / n, 1.0 / 3, 0.003);
  EXPECT_NEAR(g / n, 0, 0.01);
  EXPECT_NEAR(g2 / n, 1, 0.015);
  EXPECT_NEAR(g4 / n, 3, 0.1);
}

TEST(RandomNumbers, BelowIsUniformAndInRange) {
  Random r(2);
  std::vector<int> counts(7);
  for (int i = 0; i < 70000; ++i) ++counts.at(r.below(7));
  for (int c : counts) EXPECT_NEAR(c, 10000, 400);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(r.below(1), 0u);
  uint64_t huge = (uint64_t{1} << 63) + 1;  // half of all draws would be rejected by a plain modulo
  for (int i = 0; i < 1000; ++i) ASSERT_LT(r.below(huge), huge);
}

}  // namespace
}  // namespace longspan
