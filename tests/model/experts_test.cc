// The choice of experts, against its formula; whole models of experts are golden cases (forward_test.cc).
#include "model/experts.h"

#include <gtest/gtest.h>

#include <cmath>

namespace longspan {
namespace {

TEST(Experts, TheLargestLogitsAreChosen) {
  // softmax(ln 1, ln 2, ln 4, ln 1) = 1/8, 2/8, 4/8, 1/8.
  const float a = std::log(2.0f), b = std::log(4.0f);
  std::vector<float> logits{0, a, b, 0, /* token 1 */ b, 0, a, 0};
  Routing r = route(logits, 4, 2, false);
  EXPECT_EQ(r.first, (std::vector<int64_t>{0, 1, 2, 4, 4}));
  EXPECT_EQ(r.rows, (std::vector<int32_t>{1, 0, 0, 1}));
  const std::vector<float> want{0.5f, 0.25f, 0.5f, 0.25f};
  for (size_t i = 0; i < want.size(); ++i) EXPECT_NEAR(r.factors[i], want[i], 1e-6f);
  Routing whole = route(logits, 4, 2, true);  // divided by 6/8
  EXPECT_EQ(whole.rows, r.rows);
  for (size_t i = 0; i < want.size(); ++i) EXPECT_NEAR(whole.factors[i], want[i] / 0.75f, 1e-6f);
}

TEST(Experts, OfEqualLogitsTheLowerNumberIsChosen) {
  Routing r = route(std::vector<float>{1, 1, 1}, 3, 1, false);
  EXPECT_EQ(r.first, (std::vector<int64_t>{0, 1, 1, 1}));
  EXPECT_NEAR(r.factors[0], 1.0f / 3, 1e-6f);
}

TEST(Experts, LargeLogitsDoNotOverflow) {
  Routing r = route(std::vector<float>{1000, 999}, 2, 2, false);
  EXPECT_NEAR(r.factors[0] + r.factors[1], 1, 1e-6f);
  EXPECT_NEAR(r.factors[1] / r.factors[0], std::exp(-1.0f), 1e-6f);
}

}  // namespace
}  // namespace longspan
