// Learning rates: values by hand at the ends, in the middle and where the warm-up ends.
#include "train/schedule.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace longspan {
namespace {

TEST(Schedule, WarmsUpLinearlyFromTheFirstStep) {
  for (Decay decay : {Decay::Constant, Decay::Linear, Decay::Cosine, Decay::Wsd}) {
    Schedule s{.lr = 8, .warmup = 4, .steps = 12, .decay = decay};
    EXPECT_DOUBLE_EQ(learning_rate(s, 1), 2);
    EXPECT_DOUBLE_EQ(learning_rate(s, 3), 6);
    EXPECT_DOUBLE_EQ(learning_rate(s, 4), 8);
  }
}

TEST(Schedule, DecaysAsNamed) {
  Schedule s{.lr = 8, .warmup = 4, .steps = 12, .decay = Decay::Constant, .final = 0.25};
  EXPECT_DOUBLE_EQ(learning_rate(s, 12), 8);
  s.decay = Decay::Linear;
  EXPECT_DOUBLE_EQ(learning_rate(s, 8), 5);  // half way from 8 to 2
  EXPECT_DOUBLE_EQ(learning_rate(s, 12), 2);
  s.decay = Decay::Cosine;
  EXPECT_NEAR(learning_rate(s, 6), 2 + 6 * 0.5 * (1 + 0.70710678118654752), 1e-12);
  EXPECT_NEAR(learning_rate(s, 8), 5, 1e-12);
  EXPECT_NEAR(learning_rate(s, 12), 2, 1e-12);
  s.decay = Decay::Wsd, s.decay_share = 1.0 / 3;  // the last four steps
  EXPECT_DOUBLE_EQ(learning_rate(s, 8), 8);
  EXPECT_DOUBLE_EQ(learning_rate(s, 10), 5);
  EXPECT_DOUBLE_EQ(learning_rate(s, 12), 2);
}

TEST(Schedule, WithoutWarmUpTheFirstStepHasNearlyAll) {
  Schedule s{.lr = 1, .warmup = 0, .steps = 10, .decay = Decay::Linear, .final = 0};
  EXPECT_DOUBLE_EQ(learning_rate(s, 1), 0.9);
  EXPECT_DOUBLE_EQ(learning_rate(s, 10), 0);
}

TEST(Schedule, NamesAreThoseOfTheTable) {
  EXPECT_EQ(decay_names().size(), 4u);
  EXPECT_EQ(decay_named("wsd"), Decay::Wsd);
  EXPECT_EQ(decay_named("constant"), Decay::Constant);
}

}  // namespace
}  // namespace longspan
