#include "position/training_positions.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace longspan {
namespace {

TEST(TrainingPositions, RandomisedRiseByOneOnAverageAndStayWithin) {
  double last = 0;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    Random random(seed), again(seed);
    std::vector<double> p = randomised_positions(512, random);
    ASSERT_EQ(p.size(), 512u);
    EXPECT_EQ(p, randomised_positions(512, again));
    EXPECT_TRUE(std::is_sorted(p.begin(), p.end()));
    EXPECT_GE(p.front(), 0);
    EXPECT_LE(p.back(), 512 * (1 + 1e-12));
    for (size_t t = 1; t < p.size(); ++t) EXPECT_LE(p[t] - p[t - 1], 2);
    last += p.back() / 200;
    // The draws themselves: the next numbers of the same generator, summed.
    Random draws(seed);
    double sum = 0;
    for (int t = 0; t < 512; ++t) sum += draws.uniform() * 2;
    EXPECT_NEAR(p.back(), std::min(sum, 512.0), 1e-9);
  }
  // The sum has mean 512 and deviation 13; cut at 512 its mean is 13 / sqrt(2 pi) less.
  EXPECT_NEAR(last, 512 - 5.2, 1.5);
  Random random(1);
  EXPECT_TRUE(randomised_positions(0, random).empty());
}

TEST(TrainingPositions, PoseKeepsChunksAndSkipsBetweenThem) {
  double mean = 0;
  for (uint64_t seed = 0; seed < 300; ++seed) {
    Random random(seed);
    std::vector<double> p = pose_positions(256, 4096, 5, random);
    ASSERT_EQ(p.size(), 256u);
    EXPECT_EQ(p.front(), 0);
    EXPECT_LT(p.back(), 4096);
    int jumps = 0;
    for (size_t t = 1; t < p.size(); ++t) {
      EXPECT_GE(p[t] - p[t - 1], 1);
      jumps += p[t] - p[t - 1] > 1;
    }
    EXPECT_LE(jumps, 4);
    EXPECT_GE(jumps, 1);
    mean += p.back() / 300;
  }
  // The last of four ordered uniform skips of 0..3840 is 4/5 of the way on average.
  EXPECT_NEAR(mean, 255 + 3840 * 0.8, 120);
}

TEST(TrainingPositions, PoseAtItsEdges) {
  Random random(7);
  std::vector<double> plain = pose_positions(8, 8, 3, random), one = pose_positions(8, 100, 1, random);
  for (size_t t = 0; t < 8; ++t) {
    EXPECT_EQ(plain[t], static_cast<double>(t));  // no room to skip
    EXPECT_EQ(one[t], static_cast<double>(t));    // nothing to move
  }
  std::vector<double> most = pose_positions(8, 1000, 50, random);
  EXPECT_TRUE(std::is_sorted(most.begin(), most.end()));
  EXPECT_EQ(pose_positions(1, 5, 4, random), std::vector<double>{0});
  bool reached = false;
  for (int n = 0; n < 2000; ++n) reached |= pose_positions(4, 10, 2, random).back() == 9;
  EXPECT_TRUE(reached);  // the last position of the window
}

}  // namespace
}  // namespace longspan
