// Intervals and tests against values known from elsewhere, and against what they promise.
#include "eval/statistics.h"

#include <gtest/gtest.h>

#include <numeric>

#include "base/random.h"
#include "eval/summary.h"

namespace longspan {
namespace {

using Scores = std::vector<double>;

Scores hits(size_t right, size_t n) {
  Scores scores(n, 0);
  std::fill_n(scores.begin(), right, 1);
  return scores;
}

TEST(Statistics, WilsonHoldsTheRootsOfItsEquation) {
  // Roots x of n (x - p)^2 = z^2 x (1 - x), solved with 40 digits.
  struct Row {
    size_t right, n;
    double low, high;
  };
  for (const Row& row :
       {Row{8, 10, 0.4901625, 0.9433178}, Row{0, 10, 0, 0.2775328}, Row{10, 10, 0.7224672, 1},
        Row{50, 100, 0.4038315, 0.5961685}, Row{1, 1, 0.2065493, 1}}) {
    Estimate e = estimate(hits(row.right, row.n));
    EXPECT_NEAR(e.low, row.low, 1e-6) << row.right << " of " << row.n;
    EXPECT_NEAR(e.high, row.high, 1e-6) << row.right << " of " << row.n;
    EXPECT_EQ(e.n, static_cast<int64_t>(row.n));
  }
}

TEST(Statistics, FewScores) {
  Estimate none = estimate({});
  EXPECT_EQ(none.n, 0);
  EXPECT_EQ(none.low, 0);
  EXPECT_EQ(none.high, 0);
  Estimate one = estimate(Scores{0.4});
  EXPECT_EQ(one.low, 0.4);
  EXPECT_EQ(one.high, 0.4);
  Estimate same = estimate(Scores(20, 0.25));
  EXPECT_EQ(same.low, 0.25);
  EXPECT_EQ(same.high, 0.25);
}

TEST(Statistics, TheBootstrapRepeatsItselfAndHoldsTheTrueMean) {
  Random random(7);
  int held = 0, samples = 200;
  for (int s = 0; s < samples; ++s) {
    Scores scores(40);
    for (double& x : scores) x = random.uniform();
    Estimate e = estimate(scores);
    held += e.low <= 0.5 && 0.5 <= e.high;
    EXPECT_LT(e.low, e.mean);
    EXPECT_GT(e.high, e.mean);
    if (s == 0) {
      Estimate again = estimate(scores);
      EXPECT_EQ(again.low, e.low);
      EXPECT_EQ(again.high, e.high);
      // 1.96 standard errors of the mean of 40 uniform numbers are 0.089.
      EXPECT_NEAR(e.high - e.low, 2 * 0.089, 0.03);
    }
  }
  EXPECT_GE(held, samples * 0.90);
  EXPECT_LE(held, samples * 0.985);
}

TEST(Statistics, DrawsStayWithinTheirStrata) {
  std::vector<size_t> sizes = {2, 5};
  bool inside = true, varied = false;
  Interval interval = bootstrap(sizes, [&](std::span<const uint32_t> rows) {
    EXPECT_EQ(rows.size(), 7u);
    inside = inside && rows[0] < 2 && rows[1] < 2;
    for (uint32_t row : rows.subspan(2)) inside = inside && row < 5, varied = varied || row >= 2;
    return 3.5;
  });
  EXPECT_TRUE(inside && varied);
  EXPECT_EQ(interval.low, 3.5);
  EXPECT_EQ(interval.high, 3.5);
}

double p_of(const Scores& change) { return difference(Scores(change.size(), 0), change).p; }

TEST(Statistics, FewPairsAreCountedExactly) {
  EXPECT_DOUBLE_EQ(p_of({1}), 1);
  EXPECT_DOUBLE_EQ(p_of({1, 1, 1}), 2.0 / 8);
  EXPECT_DOUBLE_EQ(p_of({3, 1, -1}), 6.0 / 8);  // sums 5, 3, 3 of 5, 3, 3, 1 and their negatives
  EXPECT_DOUBLE_EQ(p_of({1, -1}), 1);
  EXPECT_DOUBLE_EQ(p_of({0.1, 0.2, 0.3, 0.4}), 2.0 / 16);
  EXPECT_DOUBLE_EQ(p_of(Scores(13, 0.3)), 2.0 / 8192);
}

TEST(Statistics, ManyPairsAreDrawn) {
  EXPECT_LT(p_of(Scores(40, 0.1)), 0.0005);
  EXPECT_GT(p_of(Scores(40, 0.1)), 0);
  EXPECT_EQ(p_of(Scores(40, 0)), 1);
  Scores mixed(40, 1);
  for (size_t i = 0; i < 20; ++i) mixed[i] = -1;
  EXPECT_EQ(p_of(mixed), 1);
  mixed[0] = mixed[1] = mixed[2] = mixed[3] = 1;  // 24 of 40: two-sided sign test 0.268
  EXPECT_NEAR(p_of(mixed), 0.268, 0.02);
}

TEST(Statistics, ADifferenceIsOfPairs) {
  Scores a = {0.1, 0.5, 0.9, 0.3}, b = {0.2, 0.6, 1.0, 0.4};
  Difference d = difference(a, b);
  EXPECT_NEAR(d.change.mean, 0.1, 1e-12);
  EXPECT_NEAR(d.change.low, 0.1, 1e-12);  // the pairs agree, however far apart the cases are
  EXPECT_NEAR(d.change.high, 0.1, 1e-12);
  EXPECT_EQ(difference({}, {}).p, 1);
}

/// From tables of Student's t.
TEST(Student, IsThatOfTheTables) {
  const std::pair<int64_t, double> rows[] = {{1, 12.7062}, {2, 4.3027},  {5, 2.5706},
                                             {10, 2.2281}, {11, 2.2010}, {20, 2.0860},
                                             {30, 2.0423}, {60, 2.0003}, {120, 1.9799}};
  for (auto [df, t] : rows) EXPECT_NEAR(student975(df), t, 1e-3) << df;
}

/// Newcombe's own examples (Statistics in Medicine 17, 1998, pages 2635-2650, table II, method 10).
TEST(Newcombe, IsThatOfThePaper) {
  struct Row {
    double a, b, c, d, low, high;  // right in both, only in the first, only in the second, in neither
  };
  for (const Row& r : {Row{36, 12, 2, 0, 0.0569, 0.3404}, Row{20, 12, 2, 16, 0.0562, 0.3292}}) {
    double n = r.a + r.b + r.c + r.d;
    // The paper's difference is the first minus the second.
    Interval i = newcombe((r.a + r.c) / n, (r.a + r.b) / n, r.a / n, n);
    EXPECT_NEAR(i.low, r.low, 1e-3);
    EXPECT_NEAR(i.high, r.high, 1e-3);
  }
}

}  // namespace
}  // namespace longspan
