#include "tokenizer/fit.h"

#include <gtest/gtest.h>

#include <vector>

namespace longspan {
namespace {

TEST(Fit, TakesAsManyTokensAsTheSeamCosts) {
  // A prompt of n tokens of text and `seam` more; 100 fit.
  std::vector<int64_t> asked;
  auto excess = [&](int64_t seam) {
    return [&, seam](int64_t n) {
      asked.push_back(n);
      return n + seam - 100;
    };
  };
  EXPECT_EQ(kept_tokens(90, excess(10)), 90);
  EXPECT_EQ(asked, (std::vector<int64_t>{90}));
  asked.clear();
  EXPECT_EQ(kept_tokens(95, excess(12)), 88);
  EXPECT_EQ(asked, (std::vector<int64_t>{95, 88}));  // the last call is of the result
  EXPECT_EQ(kept_tokens(50, excess(99)), 1);
  EXPECT_EQ(kept_tokens(50, excess(100)), 0);
  asked.clear();
  EXPECT_EQ(kept_tokens(0, excess(0)), 0);
  EXPECT_EQ(kept_tokens(-3, excess(0)), 0);
  EXPECT_TRUE(asked.empty());
}

TEST(Fit, GoesOnWhileACutMakesTheSeamLonger) {
  // At each cut the seam takes one token more, up to three.
  int seams = 0;
  EXPECT_EQ(kept_tokens(100, [&](int64_t n) { return n + std::min(seams++, 3) - 90; }), 87);
}

}  // namespace
}  // namespace longspan
