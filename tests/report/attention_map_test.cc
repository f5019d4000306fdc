// The map against the weights of the reference attention itself: where values are unit vectors, its output is
// the softmax. Zones, chunks, slopes, decay and sliding windows on tiny random models.
#include "eval/attention_map.h"

#include <gtest/gtest.h>

#include <numeric>

#include "base/error.h"
#include "base/threads.h"
#include "model/golden.h"
#include "report/attention_page.h"

namespace longspan {
namespace {

constexpr int64_t kLength = 270;  // more than a page of keys, and more than the models' window

std::vector<int32_t> some_ids() {
  std::vector<int32_t> ids;
  for (int32_t i = 0; i < kLength; ++i) ids.push_back(3 + i * 37 % 59 * (i % 7 + 1) % 60);
  return ids;
}

LoadedModel tiny() {
  for (const GoldenCase& c : golden_cases())
    if (c.checkpoint == "gqa" && c.fields.is_null()) return load_golden(c, kernels_named("reference"));
  throw std::runtime_error("there is no golden case of the checkpoint gqa");
}

/// [T, H, past + T] of one layer: D keys at a time are given the unit vectors as values.
std::vector<double> reference_weights(std::span<const AttentionZone> zones, const AttentionShape& s) {
  int64_t rows = zones[0].q.rows(), keys = s.sequences.most_keys,
          page = s.kv_heads * kPageTokens * s.head_dim;
  std::vector<float> values(static_cast<size_t>((keys / kPageTokens + 1) * page));
  std::vector<int32_t> table;
  for (int64_t n = 0; n <= keys; n += kPageTokens) table.push_back(static_cast<int32_t>(n / kPageTokens));
  KvPages pages{.memory = reinterpret_cast<std::byte*>(values.data()),
                .stride = page * static_cast<int64_t>(sizeof(float)),
                .table = host_matrix(table.data(), DType::I32, 1, std::ssize(table)),
                .dtype = DType::F32,
                .heads = s.kv_heads,
                .head_dim = s.head_dim};
  std::vector<float> out(static_cast<size_t>(rows * s.heads * s.head_dim));
  std::vector<double> weights(static_cast<size_t>(rows * s.heads * keys));
  for (int64_t first = 0; first < keys; first += s.head_dim) {
    std::fill(values.begin(), values.end(), 0.0f);
    int64_t count = std::min(s.head_dim, keys - first);
    for (int64_t i = 0; i < count; ++i)
      for (int64_t k = 0; k < s.kv_heads; ++k)
        values[static_cast<size_t>((first + i) / kPageTokens * page +
                                   (k * kPageTokens + (first + i) % kPageTokens) * s.head_dim + i)] = 1;
    kernels_named("reference")
        .attention(host_matrix(out.data(), DType::F32, rows, s.heads * s.head_dim), {}, zones, pages, s);
    for (int64_t row = 0; row < rows * s.heads; ++row)
      for (int64_t i = 0; i < count; ++i)
        weights[static_cast<size_t>(row * keys + first + i)] = out[static_cast<size_t>(row * s.head_dim + i)];
  }
  return weights;
}

/// What the map should hold, by its definition.
struct Expected {
  std::vector<double> mass, density, first;  // [L, H, B] twice, [L, H]
  std::vector<int64_t> seen;                 // [L, B]
};

Expected expected(const Model& model, const PositionSpec& spec, int64_t stride, const AttentionMap& map) {
  int64_t bins = map.bins(), late = 0;
  Expected e;
  e.mass.resize(map.mass.size());
  e.density.resize(map.mass.size());
  e.first.resize(map.head.size());
  e.seen.resize(map.seen.size());
  auto observer = [&](int64_t layer, std::span<const AttentionZone> zones, const AttentionShape& s) {
    std::vector<double> weights = reference_weights(zones, s);
    for (int64_t m = kLength - 1; m >= 1; m -= stride) {
      int64_t begin = s.window > 0 ? std::max<int64_t>(0, m + 1 - s.window) : 0;
      late += layer == 0 && 2 * m >= kLength - 1;
      for (int64_t b = 0; b < bins; ++b) {
        int64_t near = map.edges[static_cast<size_t>(b)], far = map.edges[static_cast<size_t>(b + 1)];
        if (m - (far - 1) < std::max<int64_t>(1, begin)) continue;
        ++e.seen[static_cast<size_t>(layer * bins + b)];
        for (int64_t h = 0; h < s.heads; ++h)
          for (int64_t r = near; r < far; ++r) {
            double w = weights[static_cast<size_t>((m * s.heads + h) * kLength + m - r)];
            auto at = static_cast<size_t>((layer * s.heads + h) * bins + b);
            e.mass[at] += w;
            e.density[at] += w * static_cast<double>(m + 1 - begin) / static_cast<double>(far - near);
          }
      }
      for (int64_t h = 0; h < s.heads; ++h)
        if (2 * m >= kLength - 1)
          e.first[static_cast<size_t>(layer * s.heads + h)] +=
              weights[static_cast<size_t>((m * s.heads + h) * kLength)];
    }
  };
  KvCache cache = make_cache(model, spec, kLength);
  Activations a = make_activations(model, spec, kLength);
  std::vector<int32_t> ids = some_ids();
  Batch batch = all_rows(cache, spec, ids);
  batch.observer = observer;
  forward(model, batch, a);
  for (size_t i = 0; i < e.mass.size(); ++i) {
    auto b = static_cast<size_t>(bins);
    int64_t seen = e.seen[i / b / static_cast<size_t>(map.heads) * b + i % b];
    if (seen > 0) e.mass[i] /= static_cast<double>(seen), e.density[i] /= static_cast<double>(seen);
  }
  for (double& first : e.first) first /= static_cast<double>(late);
  return e;
}

void expect_map(const Model& model, const PositionSpec& spec) {
  AttentionMap map = attention_map(model, spec, some_ids(),
                                   {.queries = 90, .chunk = 64, .cache_types = {DType::F32, DType::F32}})
                         .value();
  EXPECT_EQ(map.queries, 90);
  Expected e = expected(model, spec, 3, map);
  EXPECT_EQ(map.seen, e.seen);
  for (size_t i = 0; i < map.mass.size(); ++i) {
    ASSERT_NEAR(map.mass[i], e.mass[i], 1e-5) << "bin " << i % static_cast<size_t>(map.bins());
    ASSERT_NEAR(map.density[i], e.density[i], 1e-4 * (1 + e.density[i]));
  }
  for (size_t i = 0; i < map.head.size(); ++i) {
    const HeadAttention& head = map.head[i];
    EXPECT_NEAR(head.first_token, e.first[i], 1e-5);
    EXPECT_NEAR(std::accumulate(head.late.begin(), head.late.end(), head.first_token), 1, 1e-5);
  }
}

PositionSpec own_spec(const Model& model) {
  return position_spec(model.config.position, model.config.head_shape(), kLength);
}

class AttentionMapTest : public testing::Test {
 protected:
  LoadedModel loaded_ = tiny();
  Model& model_ = loaded_.model;
};

TEST_F(AttentionMapTest, IsTheReferencesSoftmax) { expect_map(model_, own_spec(model_)); }

TEST_F(AttentionMapTest, FollowsZonesByDistance) {
  PositionSpec spec = own_spec(model_), plain = spec;
  spec.zones.push_back({.from = 40, .query = {.cap = 40}, .key = {.cap = 0}, .inv_freq = {}});  // ReRoPE
  expect_map(model_, spec);
  std::vector<int32_t> ids = some_ids();
  EXPECT_NE(attention_map(model_, spec, ids, {})->mass, attention_map(model_, plain, ids, {})->mass);
}

TEST_F(AttentionMapTest, FollowsZonesByChunk) {
  PositionSpec spec = own_spec(model_);
  spec.chunk = 32;
  spec.zones = {{.from = 0, .query = {.modulus = 32}, .key = {.modulus = 32}, .inv_freq = {}},
                {.from = 1, .query = {.modulus = 32, .offset = 32}, .key = {.modulus = 32}, .inv_freq = {}},
                {.from = 2, .query = {.offset = 64, .cap = 64}, .key = {.modulus = 32}, .inv_freq = {}}};
  expect_map(model_, spec);
}

TEST_F(AttentionMapTest, FollowsSlopesAndDecay) {
  PositionSpec slopes = own_spec(model_), decay = slopes;
  slopes.slopes = {0.5, 0.1, 0.02, 0};
  expect_map(model_, slopes);
  decay.decay = {-0.3, -0.1, -0.01, -0.001};
  expect_map(model_, decay);
}

TEST_F(AttentionMapTest, SeesNothingBeyondASlidingWindow) {
  model_.config.sliding_window = 50;
  expect_map(model_, own_spec(model_));
  AttentionMap map = attention_map(model_, own_spec(model_), some_ids(), {}).value();
  EXPECT_EQ(map.seen.back(), 0);
  EXPECT_EQ(map.head[0].first_token, 0);
}

TEST_F(AttentionMapTest, IsTheSameHoweverManyThreadsAndTokensAtOnce) {
  int before = threads();
  std::vector<int32_t> ids = some_ids();
  set_threads(1);
  AttentionMap one =
      attention_map(model_, own_spec(model_), ids, {.cache_types = {DType::F32, DType::F32}}).value();
  set_threads(3);
  AttentionMap three =
      attention_map(model_, own_spec(model_), ids, {.cache_types = {DType::F32, DType::F32}}).value();
  AttentionMap cut =
      attention_map(model_, own_spec(model_), ids, {.chunk = 7, .cache_types = {DType::F32, DType::F32}})
          .value();
  set_threads(before);
  EXPECT_EQ(one.mass, three.mass);
  for (size_t i = 0; i < one.mass.size(); ++i) ASSERT_NEAR(one.mass[i], cut.mass[i], 1e-6);
}

TEST_F(AttentionMapTest, StopsWhenAskedAndRefusesASingleToken) {
  std::vector<int32_t> ids = some_ids();
  EXPECT_FALSE(attention_map(model_, own_spec(model_), ids, {.chunk = 64}, [](int64_t done, int64_t total) {
    EXPECT_EQ(done, 64);
    EXPECT_EQ(total, kLength);
    return false;
  }));
  ids.resize(1);
  EXPECT_THROW(attention_map(model_, own_spec(model_), ids, {}), Error);
}

TEST_F(AttentionMapTest, JsonHasNullWhereNoQuerySeesTheRange) {
  model_.config.sliding_window = 50;
  Json json = attention_json(attention_map(model_, own_spec(model_), some_ids(), {}).value());
  EXPECT_EQ(json["distances"].size(), json["mass"][0][0].size() + 1);
  EXPECT_TRUE(json["mass"][1][3].back().is_null());
  EXPECT_GT(json["mass"][1][3][0].get<double>(), 0);
  EXPECT_TRUE(json["heads"][1][3]["beyond"].contains("64"));
}

TEST(DistanceEdges, AreSingleDistancesThenFourToAnOctave) {
  EXPECT_EQ(distance_edges(22), (std::vector<int64_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 22}));
  EXPECT_EQ(distance_edges(1), (std::vector<int64_t>{0, 1}));
}

TEST(Reach, IsTheEndOfTheLastRangeThatGetsItsEvenShare) {
  AttentionMap map{.layers = 1,
                   .heads = 2,
                   .queries = 9,
                   .edges = {0, 1, 4, 16, 64, 256},
                   .seen = {9, 9, 9, 9, 3},
                   .density = {20, 3, 0.5, 0.1, 9, 2, 0.1, 1.6, 0.1, 9}};
  EXPECT_EQ(reach(map, 0, 0, 1), 3);
  EXPECT_EQ(reach(map, 0, 1, 2), 15);
  EXPECT_EQ(reach(map, 0, 0, 2), 15);
  map.density.assign(10, 0.5);
  EXPECT_EQ(reach(map, 0, 0, 2), -1);
}

TEST(DistanceQuantile, InterpolatesInsideABin) {
  std::vector<int64_t> edges{0, 1, 2, 12};
  std::vector<double> weights{0.2, 0.2, 0.4};
  EXPECT_DOUBLE_EQ(distance_quantile(edges, weights, 0.25), 0);
  EXPECT_DOUBLE_EQ(distance_quantile(edges, weights, 0.75), 2 + 9 * 0.5);
  EXPECT_DOUBLE_EQ(distance_quantile(edges, weights, 1), 11);
}

}  // namespace
}  // namespace longspan
