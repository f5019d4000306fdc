// Lines for people, and what is left of a text that is cut.
#include <gtest/gtest.h>

#include "cli/output.h"
#include "cli/progress_bar.h"
#include "cli/window.h"

namespace longspan::cli {

namespace {

TEST(ProgressBarText, BarShowsShareRateAndTimeLeft) {
  EXPECT_EQ(bar_line("reading", 8192, 16384, 8, 8, 100),
            "reading [###############...............]  50% 8,192/16,384 1024 tokens/s 8.0s left");
  EXPECT_EQ(bar_line("reading", 0, 10, 0, -1, 100),
            "reading [..............................]   0% 0/10 0 tokens/s ? left");
}

TEST(ProgressBarText, BarGivesWayOnANarrowTerminal) {
  for (int width = 1; width < 120; ++width)
    EXPECT_LT(bar_line("reading", 8192, 16384, 8, 8, width).size(), static_cast<size_t>(std::max(1, width)))
        << width;
  EXPECT_EQ(bar_line("reading", 8192, 16384, 8, 8, 57), "reading  50% 8,192/16,384 1024 tokens/s 8.0s left");
}

TEST(ProgressBarText, PlainLineSaysWhatIsLeftOrWhatItTook) {
  EXPECT_EQ(plain_line("scoring", 500, 2000, 2, 6), "scoring: 500 of 2,000 tokens, 250 tokens/s, 6.0s left");
  EXPECT_EQ(plain_line("scoring", 2000, 2000, 8, 0), "scoring: 2,000 of 2,000 tokens, 250 tokens/s, 8.0s");
}

TEST(Grouped, ThreeDigitsAtATime) {
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(-1000), "-1,000");
  EXPECT_EQ(grouped(98362432), "98,362,432");
}

TEST(CutIds, KeepsWhatTheSideSays) {
  std::vector<int32_t> ids = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
  EXPECT_EQ(cut_ids(ids, 4, "left"), (std::vector<int32_t>{6, 7, 8, 9}));
  EXPECT_EQ(cut_ids(ids, 4, "right"), (std::vector<int32_t>{0, 1, 2, 3}));
  EXPECT_EQ(cut_ids(ids, 4, "middle"), (std::vector<int32_t>{0, 1, 8, 9}));
  EXPECT_EQ(cut_ids(ids, 5, "middle"), (std::vector<int32_t>{0, 1, 2, 8, 9}));
  EXPECT_EQ(cut_ids(ids, 10, "middle"), ids);
}

TEST(CutIds, LeaveWhatTheTokenizerPutsAroundATextInPlace) {
  std::vector<int32_t> ids = {100, 0, 1, 2, 3, 4, 5, 6, 7, 101, 102};
  Around around{1, 2};
  EXPECT_EQ(cut_ids(ids, 6, "left", around), (std::vector<int32_t>{100, 5, 6, 7, 101, 102}));
  EXPECT_EQ(cut_ids(ids, 6, "right", around), (std::vector<int32_t>{100, 0, 1, 2, 101, 102}));
  EXPECT_EQ(cut_ids(ids, 6, "middle", around), (std::vector<int32_t>{100, 0, 1, 7, 101, 102}));
  EXPECT_EQ(cut_ids(ids, 11, "left", around), ids);
}

}  // namespace

}  // namespace longspan::cli
