// The laws of the base against the figures that their papers and the models' authors published.
#include "position/laws.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

namespace longspan {
namespace {

TEST(Laws, CriticalDimensionOfLlama2AndWhatIndexChose) {
  EXPECT_EQ(critical_dimension(128, 10000, 4096), 92);
  EXPECT_NEAR(extrapolation_limit(128, 92, 320000), 56.9e3, 50);
  EXPECT_NEAR(extrapolation_limit(128, 92, 10000), 4712, 1);
  EXPECT_NEAR(base_for_limit(128, 92, 32768), 1.486e5, 100);
  // The base for a limit has that limit.
  for (double target : {8192.0, 65536.0, 262144.0})
    EXPECT_NEAR(extrapolation_limit(64, 40, base_for_limit(64, 40, target)) / target, 1, 1e-12);
  EXPECT_EQ(critical_dimension(64, 100000, 8192), 40);  // SmolLM2
  EXPECT_NEAR(base_for_limit(64, 40, 32768), 8.86e5, 5e3);
  EXPECT_EQ(critical_dimension(128, 10000, 1e9), 128);  // all dimensions have turned
  EXPECT_EQ(critical_dimension(128, 1 + 1e-15, 4096), 128);
  EXPECT_EQ(critical_dimension(128, 10000, 4), 0);  // none has
}

TEST(Laws, SmallestBaseIsThePapers) {
  for (auto [target, base] : {std::pair{1024, 4.3e3}, {4096, 2.7e4}, {8192, 8.4e4}, {32768, 6.4e5}})
    EXPECT_NEAR(smallest_base(128, target) / base, 1, 0.02) << target;
  EXPECT_NEAR(fitted_smallest_base(32768), 9.5e5, 5e3);
  EXPECT_EQ(smallest_base(128, kLongestBound + 1), 0);
}

TEST(Laws, NothingIsPreferredLessUnderTheSmallestBase) {
  for (int64_t d : {32, 64, 128}) {
    double base = smallest_base(d, 2048);
    double least = 1e9, least_below = 1e9;
    for (int m = 0; m <= 2048; ++m) {
      double preference = 0;  // the sum written out again
      for (int i = 0; i < d / 2; ++i)
        preference += std::cos(m / std::pow(base, 2.0 * i / static_cast<double>(d)));
      EXPECT_NEAR(preference, similar_token_preference(d, base, m), 1e-6);
      least = std::min(least, preference);
      least_below = std::min(least_below, similar_token_preference(d, base / 1.001, m));
    }
    EXPECT_GE(least, -1e-6) << d;
    EXPECT_LT(least_below, 0) << d;
  }
}

TEST(Laws, ChosenBasesCoverTheirWindows) {
  for (const ChosenBase& c : chosen_bases()) {
    EXPECT_GT(c.base, 10000) << c.model;
    EXPECT_GT(extrapolation_limit(c.head_dim, critical_dimension(c.head_dim, 10000, 4096), c.base),
              static_cast<double>(c.window))
        << c.model;
  }
}

}  // namespace
}  // namespace longspan
