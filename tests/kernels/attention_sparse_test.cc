// Sparse prefill: the tiles that are chosen, and attention over them, on every implementation against the
// reference.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "kernels/attention_data.h"
#include "kernels/host_attention.h"

namespace longspan {
namespace {

struct Case {
  int64_t tokens, past, heads, kv_heads, d;
  DType dtype;
  std::vector<int64_t> from;  // of the zones
};

const Case kCases[] = {
    {128, 1024, 6, 2, 64, DType::BF16, {0}},      {140, 900, 3, 1, 32, DType::F32, {0}},
    {140, 1400, 2, 2, 128, DType::F16, {0}},      {150, 1400, 3, 1, 64, DType::Q8_0, {0, 600}},
    {131, 1537, 5, 1, 96, DType::BF16, {0, 300}}, {40, 1281, 9, 3, 64, DType::Q4_0, {0}}};

/// Queries that look for a direction, and tiles of keys that have more or less of it.
struct Data {
  Random random{3};
  std::vector<Cache> caches;
  std::vector<std::vector<float>> q;
  std::vector<AttentionZone> zones;
  OwnedSequences one;
  AttentionShape shape;
  SparseScores scores;

  explicit Data(const Case& c) : one({static_cast<int32_t>(c.tokens)}, {static_cast<int32_t>(c.past)}) {
    int64_t keys = c.past + c.tokens;
    auto is_strong = [](int64_t n) { return n / kSparseKeys % 4 == 2; };
    for (size_t z = 0; z <= c.from.size(); ++z) {
      Cache& cache = caches.emplace_back(c.dtype, keys, c.kv_heads, c.d, random);
      if (z == c.from.size()) break;  // the values
      for (int64_t n = 0; n < keys; ++n)
        for (int64_t h = 0; h < c.kv_heads; ++h)
          cache.rows.row(n)[h * c.d] += is_strong(n) ? 6.0f + static_cast<float>(n / kSparseKeys) / 4 : 0;
      reference().store_kv(cache.view, cache.rows, OwnedSequences({static_cast<int32_t>(keys)}, {0}));
    }
    for (size_t z = 0; z < c.from.size(); ++z) {
      std::vector<float>& x = q.emplace_back(static_cast<size_t>(c.tokens * c.heads * c.d));
      for (size_t i = 0; i < x.size(); ++i)
        x[i] = static_cast<float>(random.normal()) * 0.5f +
               (i % static_cast<size_t>(c.d) == 0 ? 0.6f * std::sqrt(static_cast<float>(c.d)) : 0.0f);
      zones.push_back(
          {c.from[z], host_matrix(x.data(), DType::F32, c.tokens, c.heads * c.d), caches[z].view});
    }
    shape = {.heads = c.heads,
             .kv_heads = c.kv_heads,
             .head_dim = c.d,
             .sequences = one,
             .scale = 1.0f / std::sqrt(static_cast<float>(c.d))};
    shape.scores = &scores;
  }

  std::vector<float> attend(Attention attention, DType dtype = DType::F32) {
    OwnedTensor out = make_matrix(dtype, shape.heads > 0 ? zones[0].q.rows() : 0, zones[0].q.cols());
    attention(out, {}, zones, caches.back().view, shape);
    std::vector<float> all;
    for (int64_t t = 0; t < out.rows(); ++t)
      for (int64_t i = 0; i < out.cols(); ++i) all.push_back(get(out, t, i));
    return all;
  }
};

TEST(SparseAttention, IsThatOfTheReference) {
  for (const Case& c : kCases) {
    Data data(c);
    data.shape.sparse = 0.8f;
    std::vector<float> want = data.attend(reference().attention);
    for (const Implementation& how : implementations()) {
      if (std::string(how.name) == "cuda") continue;
      std::string what =
          std::string(how.name) + " past " + std::to_string(c.past) + " D " + std::to_string(c.d);
      data.scores.all = data.scores.skipped = 0;
      EXPECT_LE(error(data.attend(how.attention), want), f32_tolerance(how, c.dtype)) << what;
      EXPECT_GT(data.scores.skipped, data.scores.all / 8) << what;
      EXPECT_LT(data.scores.skipped, data.scores.all) << what;
      // Scores of 4 in products of BF16 are off by up to 2^-8 of that, and weights by as much.
      EXPECT_LE(error(data.attend(how.attention, DType::BF16), want), 2 * how.bf16_tolerance) << what;
    }
  }
}

TEST(SparseAttention, OfAllIsDense) {
  for (const Case& c : kCases) {
    Data data(c);
    std::vector<float> dense = data.attend(kernels().attention);
    data.shape.sparse = 1;
    EXPECT_LE(error(data.attend(kernels().attention), dense), 1e-5);
    EXPECT_GT(data.scores.all, 0);
    EXPECT_EQ(data.scores.skipped, 0);
  }
}

TEST(SparseAttention, WhatEstimatesKnowNothingOfIsDense) {
  Data data(kCases[0]);
  std::vector<float> slopes(6, 0.01f);
  data.shape.slopes = host_matrix(slopes.data(), DType::F32, 1, 6);
  std::vector<float> dense = data.attend(kernels().attention);
  data.shape.sparse = 0.5f;
  EXPECT_EQ(data.attend(kernels().attention), dense);
  data.shape.slopes = {};
  data.shape.window = 700;
  data.attend(kernels().attention);
  EXPECT_EQ(data.scores.all, 0);
}

TEST(SparseAttention, FewestLargestMassesAreKept) {
  const float masses[] = {1, 5, 0, 3, 1};
  uint8_t keep[5] = {1, 0, 0, 0, 0};
  keep_largest(keep, masses, 5, 0.7f);  // 7 of 10: 5 and 3
  EXPECT_EQ(std::vector<uint8_t>(keep, keep + 5), (std::vector<uint8_t>{1, 1, 0, 1, 0}));
}

}  // namespace
}  // namespace longspan
