// The cost of reading: the fit on made times, and that measuring leaves nothing behind.
#include "generate/reading_cost.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "model/family.h"

namespace longspan {
namespace {

TEST(ReadingCost, SecondsAreTheSumOverTokens) {
  ReadingCost cost{2e-3, 1e-6};
  // The sum of 2e-3 + 1e-6 n for n = 100 .. 199 is 0.2 + 1e-6 * 14,950; the integral takes n at half steps.
  EXPECT_NEAR(cost.seconds(100, 200), 0.2 + 1e-6 * 15000, 1e-12);
  EXPECT_EQ(cost.seconds(7, 7), 0);
}

TEST(ReadingTimes, FindTheLineThatMadeThem) {
  ReadingCost made{1e-3, 3e-7};
  ReadingTimes times;
  EXPECT_EQ(times.cost().seconds(0, 1000), 0);
  for (int64_t at = 0; at < 5120; at += 512) times.add(at, at + 512, made.seconds(at, at + 512));
  EXPECT_NEAR(times.cost().base / made.base, 1, 1e-9);
  EXPECT_NEAR(times.cost().slope / made.slope, 1, 1e-9);
  // The mean speed of these 5,120 tokens would be wrong by a factor of 20 at 580,000.
  EXPECT_NEAR(times.cost().seconds(0, 580000) / made.seconds(0, 580000), 1, 1e-9);
}

TEST(ReadingTimes, OnePieceInTheMiddleGivesTheWhole) {
  ReadingCost made{1e-3, 3e-7};
  ReadingTimes times;
  times.add(16128, 16640, made.seconds(16128, 16640));
  EXPECT_NEAR(times.cost().seconds(0, 32768) / made.seconds(0, 32768), 1, 1e-9);
}

TEST(ReadingTimes, NeitherNumberIsNegative) {
  ReadingTimes falling, steep;
  falling.add(0, 100, 0.2), falling.add(100, 200, 0.1);
  EXPECT_EQ(falling.cost().slope, 0);
  EXPECT_NEAR(falling.cost().base, 0.15 / 100, 1e-12);
  steep.add(0, 100, 0), steep.add(100, 200, 1), steep.add(200, 300, 5);
  EXPECT_EQ(steep.cost().base, 0);
  EXPECT_GT(steep.cost().slope, 0);
}

class MeasureReading : public testing::Test {
 protected:
  void SetUp() override { make_family(directory_, "gqa", true); }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::filesystem::path directory_ =
      std::filesystem::temp_directory_path() / ("longspan_reading_" + std::to_string(::getpid()));
};

/// The probe's keys are gone: the text gets the bits that it gets without.
TEST_F(MeasureReading, LeavesTheSequenceAsItWas) {
  Engine engine(directory_, {.chunk = 8});
  std::vector<int32_t> ids(200);
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int32_t>(3 + i % 40);
  std::vector<float> plain, measured;
  Sequence first(engine, 200), second(engine, 200), shorter(engine, 63);
  first.score(ids, plain);
  for (bool scored : {false, true}) {
    ReadingTimes times = measure_reading(second, 200, scored);
    ASSERT_FALSE(times.empty());
    EXPECT_GT(times.cost().seconds(0, 200), 0);
    EXPECT_TRUE(second.ids().empty());
  }
  second.score(ids, measured);
  EXPECT_EQ(measured, plain);
  EXPECT_TRUE(measure_reading(shorter, 63, false).empty());  // less than 8 chunks
}

}  // namespace
}  // namespace longspan
