// Properties of cutting and packing on random lists, and what rows look like.
#include "data/packing.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>

namespace longspan {
namespace {

std::vector<int64_t> random_lengths(Random& random, int64_t most) {
  std::vector<int64_t> lengths(random.below(200));
  for (int64_t& n : lengths) n = static_cast<int64_t>(random.below(static_cast<uint64_t>(most)));
  return lengths;
}

/// How often each token of each document lies in the pieces.
std::map<std::pair<int64_t, int64_t>, int> counts(const std::vector<std::vector<Piece>>& rows) {
  std::map<std::pair<int64_t, int64_t>, int> count;
  for (const auto& row : rows)
    for (const Piece& piece : row)
      for (int64_t t = piece.begin; t < piece.end; ++t) ++count[{piece.index, t}];
  return count;
}

TEST(Packing, HoldsEveryTokenOnceAndNoRowIsTooLong) {
  Random random(1);
  for (int trial = 0; trial < 100; ++trial) {
    int64_t row = 1 + static_cast<int64_t>(random.below(60));
    std::vector<int64_t> lengths = random_lengths(random, 100);
    Packing packing = pack(cut(lengths, row), row);
    auto count = counts(packing.rows);
    int64_t tokens = 0, longer = 0;
    for (size_t i = 0; i < lengths.size(); ++i) {
      tokens += lengths[i];
      longer += lengths[i] > row;
      for (int64_t t = 0; t < lengths[i]; ++t) ASSERT_EQ((count[{static_cast<int64_t>(i), t}]), 1);
    }
    ASSERT_EQ(static_cast<int64_t>(count.size()), tokens);
    ASSERT_EQ(packing.cut_documents, longer);  // only documents longer than a row are cut
    for (const auto& pieces : packing.rows) {
      int64_t held = 0;
      for (const Piece& piece : pieces) held += piece.tokens();
      ASSERT_GT(held, 0);
      ASSERT_LE(held, row);
    }
    if (tokens > 0) {
      EXPECT_DOUBLE_EQ(
          packing.efficiency,
          static_cast<double>(tokens) / static_cast<double>(row * static_cast<int64_t>(packing.rows.size())));
    }
  }
}

/// Best-fit decreasing by its definition, in quadratic time: space left in each row.
std::vector<int64_t> plain_best_fit(std::vector<int64_t> sizes, int64_t row) {
  std::sort(sizes.rbegin(), sizes.rend());
  std::vector<int64_t> spaces;
  for (int64_t size : sizes) {
    auto best = spaces.end();
    for (auto s = spaces.begin(); s != spaces.end(); ++s)
      if (*s >= size && (best == spaces.end() || *s < *best)) best = s;
    if (best == spaces.end()) best = spaces.insert(spaces.end(), row);
    *best -= size;
  }
  std::sort(spaces.begin(), spaces.end());
  return spaces;
}

TEST(Packing, IsBestFitDecreasing) {
  Random random(2);
  for (int trial = 0; trial < 100; ++trial) {
    int64_t row = 50;
    std::vector<int64_t> lengths = random_lengths(random, 51);
    lengths.erase(std::remove(lengths.begin(), lengths.end(), 0), lengths.end());
    std::vector<int64_t> spaces;
    for (const auto& pieces : pack(cut(lengths, row), row).rows) {
      spaces.push_back(row);
      for (const Piece& piece : pieces) spaces.back() -= piece.tokens();
    }
    std::sort(spaces.begin(), spaces.end());
    ASSERT_EQ(spaces, plain_best_fit(lengths, row));
  }
}

TEST(Packing, OfNothingIsNothing) {
  EXPECT_TRUE(pack({}, 8).rows.empty());
  EXPECT_TRUE(cut(std::vector<int64_t>{0, 0}, 8).empty());
  EXPECT_EQ(pack({}, 8).efficiency, 0);
}

TEST(Windows, OverlapByHalf) {
  std::vector<int64_t> lengths = {10, 4, 0, 7};
  std::vector<std::array<int64_t, 3>> got;
  for (const Piece& p : overlapping_windows(lengths, 4)) got.push_back({p.index, p.begin, p.end});
  EXPECT_EQ(got,
            (std::vector<std::array<int64_t, 3>>{
                {0, 0, 4}, {0, 2, 6}, {0, 4, 8}, {0, 6, 10}, {1, 0, 4}, {3, 0, 4}, {3, 2, 6}, {3, 4, 7}}));
  Random random(3);
  for (int trial = 0; trial < 50; ++trial) {
    int64_t row = 2 + static_cast<int64_t>(random.below(40));
    std::vector<int64_t> random_ones = random_lengths(random, 150);
    auto count = counts({overlapping_windows(random_ones, row)});
    for (size_t i = 0; i < random_ones.size(); ++i)
      for (int64_t t = 0; t < random_ones[i]; ++t) {
        int n = count[{static_cast<int64_t>(i), t}];
        ASSERT_GE(n, 1);
        ASSERT_LE(n, row % 2 == 0 ? 2 : 3);
      }
  }
}

TrainingRow three_documents() {
  std::vector<std::vector<int32_t>> pieces = {{5, 6, 7}, {8}, {9, 10}};
  std::vector<std::string> names = {"a", "b", "c"};
  return make_row(pieces, names);
}

TEST(Row, PositionsStartAnewAndTargetsStayInTheDocument) {
  TrainingRow row = three_documents();
  EXPECT_EQ(row.ids, (std::vector<int32_t>{5, 6, 7, 8, 9, 10}));
  EXPECT_EQ(row.positions, (std::vector<double>{0, 1, 2, 0, 0, 1}));
  EXPECT_EQ(row.starts, (std::vector<int64_t>{0, 0, 0, 3, 4, 4}));
  EXPECT_EQ(row.targets, (std::vector<int32_t>{6, 7, -1, -1, 10, -1}));
  EXPECT_EQ(row.weights, (std::vector<float>{1, 1, 0, 0, 1, 0}));
  EXPECT_EQ(row.documents, (std::vector<std::string>{"a", "b", "c"}));
}

TrainingRow long_row(int64_t first, int64_t second) {
  std::vector<std::vector<int32_t>> pieces(2);
  pieces[0].resize(static_cast<size_t>(first));
  pieces[1].resize(static_cast<size_t>(second));
  return make_row(pieces, std::vector<std::string>{"a", "b"});
}

TEST(SkippedPositions, RiseWithinADocumentAndStayBelowTheTarget) {
  Random random(4);
  double farthest = 0;
  for (int trial = 0; trial < 200; ++trial) {
    TrainingRow row = long_row(100, 30);
    skip_positions(row, 1000, 4, random);
    int64_t skips = 0;
    for (size_t t = 0; t < row.ids.size(); ++t) {
      bool first = row.starts[t] == static_cast<int64_t>(t);
      ASSERT_TRUE(first ? row.positions[t] == 0 : row.positions[t] > row.positions[t - 1]);
      ASSERT_LT(row.positions[t], 1000);
      skips += !first && row.starts[t] == 0 && row.positions[t] != row.positions[t - 1] + 1;
      farthest = std::max(farthest, row.positions[t]);
    }
    ASSERT_LE(skips, 3);
  }
  EXPECT_GT(farthest, 950);  // the target's end is met
}

TEST(SkippedPositions, LeaveRowsOfOneTokenAlone) {
  Random random(5);
  TrainingRow row = make_row(std::vector<std::vector<int32_t>>{{1}}, std::vector<std::string>{"a"});
  skip_positions(row, 8, 4, random);
  EXPECT_EQ(row.positions, std::vector<double>{0});
}

TEST(RandomisedPositions, RiseWithinEachDocument) {
  Random random(6);
  TrainingRow row = long_row(100, 30);
  randomise_positions(row, random);
  for (size_t t = 0; t < row.ids.size(); ++t) {
    bool first = row.starts[t] == static_cast<int64_t>(t);
    ASSERT_TRUE(first || row.positions[t] >= row.positions[t - 1]);
    ASSERT_LE(row.positions[t], row.starts[t] == 0 ? 100 : 30);
  }
  EXPECT_LT(row.positions[100], row.positions[99]);
}

}  // namespace
}  // namespace longspan
