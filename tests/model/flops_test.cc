// FLOPs against sums over every layer and token, and against figures worked out by hand.
#include "model/flops.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace longspan {
namespace {

ModelConfig config_of(int64_t layers, int64_t window, int64_t pattern) {
  ModelConfig c;
  c.architecture = "gemma3";
  c.hidden_size = 32, c.intermediate_size = 48, c.num_hidden_layers = layers, c.num_attention_heads = 4;
  c.num_key_value_heads = 2, c.head_dim = 8, c.rotary_dim = 8, c.vocab_size = 64;
  c.sliding_window = window, c.sliding_window_pattern = pattern, c.tie_word_embeddings = true;
  return c;
}

/// By counting: the token at place t of its document sees t keys, in a local layer at most the window.
double counted_pairs(const ModelConfig& c, int64_t n) {
  double pairs = 0;
  for (int64_t l = 0; l < c.num_hidden_layers; ++l) {
    bool sees_all = c.sliding_window == 0 || (c.sliding_window_pattern > 0 &&
                                              l % c.sliding_window_pattern == c.sliding_window_pattern - 1);
    for (int64_t t = 1; t <= n; ++t)
      pairs += static_cast<double>(sees_all ? t : std::min(t, c.sliding_window));
  }
  return pairs;
}

TrainingRow row_of(const std::vector<int64_t>& documents) {
  TrainingRow row;
  for (int64_t n : documents) {
    int64_t start = row.tokens();
    for (int64_t t = 0; t < n; ++t) row.ids.push_back(1), row.starts.push_back(start);
  }
  return row;
}

TEST(Flops, PairsAreThoseThatEachLayerSees) {
  for (const ModelConfig& c :
       {config_of(3, 0, 0), config_of(3, 4, 0), config_of(6, 4, 3), config_of(26, 512, 6)})
    for (int64_t n : {1, 3, 4, 5, 10, 700})
      EXPECT_EQ(attended_pairs(c, n), counted_pairs(c, n))
          << c.num_hidden_layers << " layers, " << n << " tokens";
  // By hand: 4 local layers of 1 + 2 + 3 + 4 + 6 x 4 pairs, 2 whole ones of 10 x 11 / 2.
  EXPECT_EQ(attended_pairs(config_of(6, 4, 3), 10), 4 * 34 + 2 * 55);
}

TEST(Flops, APatternOfWindowsCountsItsWholeLayersWhole) {
  // A layer: q, o 32 x 32, k, v 16 x 32, gate, up, down 48 x 32, two norms; a last norm; the tied head 64
  // x 32.
  double parameters = 6 * (2 * 1024 + 2 * 512 + 3 * 1536 + 2 * 32) + 32 + 64 * 32;
  ModelConfig pattern = config_of(6, 4, 3);
  EXPECT_EQ(multiplied_parameters(pattern), parameters);
  EXPECT_DOUBLE_EQ(training_flops_per_token(pattern, 10),
                   6 * parameters + 12 * 32 * (4 * 34 + 2 * 55) / 10.0);
  // As if all layers had the window it would be 12 x 32 x 6 x 34 / 10.
  EXPECT_GT(training_flops_per_token(pattern, 10), training_flops_per_token(config_of(6, 4, 0), 10));
  pattern.tie_word_embeddings = false;  // a head of its own; looking up is no product
  EXPECT_EQ(multiplied_parameters(pattern), parameters);
}

TEST(Flops, PlanAndTrainingUseOneFormula) {
  for (const ModelConfig& c : {config_of(3, 0, 0), config_of(3, 4, 0), config_of(6, 4, 3)}) {
    for (int64_t n : {1, 7, 33})
      EXPECT_DOUBLE_EQ(training_flops_per_token(c, n) * static_cast<double>(n),
                       row_flops(c, {.all = true}, row_of({n})));
    // Documents of a row do not see each other.
    EXPECT_DOUBLE_EQ(row_flops(c, {.all = true}, row_of({5, 12, 1})),
                     row_flops(c, {.all = true}, row_of({5})) + row_flops(c, {.all = true}, row_of({12})) +
                         row_flops(c, {.all = true}, row_of({1})));
    EXPECT_DOUBLE_EQ(3 * forward_flops(c, row_of({5, 12})), row_flops(c, {.all = true}, row_of({5, 12})));
  }
}

TEST(Flops, ReadingLeavesOutTheHead) {
  ModelConfig c = config_of(6, 4, 3);
  // As above, without the head of 64 x 32; 5 tokens behind 10 others.
  double parameters = 6 * (2 * 1024 + 2 * 512 + 3 * 1536 + 2 * 32) + 32;
  EXPECT_DOUBLE_EQ(reading_flops(c, 10, 5),
                   2 * parameters * 5 + 4 * 32 * (counted_pairs(c, 15) - counted_pairs(c, 10)));
}

TEST(Flops, WritingReadsKeysAndValuesOfWhatEachLayerSees) {
  ModelConfig c = config_of(6, 4, 3);
  // 2 heads of 8 for keys and for values, of 2 bytes each; four layers see 4 tokens and two see them all.
  EXPECT_DOUBLE_EQ(read_cache_bytes(c, {DType::F16, DType::F16}, 9, 1), (4 * 4 + 2 * 10) * 2 * 2 * 8 * 2);
  EXPECT_DOUBLE_EQ(read_cache_bytes(c, {DType::F32, DType::F16}, 9, 2),
                   (4 * 4 + 2 * 10 + 4 * 4 + 2 * 11) * 2 * 8 * (4 + 2));
}

TEST(Flops, APassReadsTheWeightsOfItsProducts) {
  static std::byte nothing_reads_it;
  auto linear = [](int64_t n, int64_t c, DType type = DType::F16) {
    return Linear{host_matrix(&nothing_reads_it, type, n, c), {}};
  };
  Model model;
  model.config = config_of(1, 0, 0);
  LayerWeights layer;
  layer.q = linear(32, 32), layer.k = layer.v = linear(16, 32), layer.o = linear(32, 32);
  layer.gate = layer.up = linear(48, 32), layer.down = linear(32, 48);
  model.weights.head = linear(64, 32, DType::F32);
  model.weights.layers = {layer};
  double products = 2 * (2 * 32 * 32 + 2 * 16 * 32 + 3 * 48 * 32), head = 4 * 64 * 32;
  EXPECT_DOUBLE_EQ(token_weight_bytes(model), products + head);
  // Of eight experts two are read.
  layer.gate = layer.up = layer.down = {};
  layer.experts.resize(8, {linear(48, 32), linear(48, 32), linear(32, 48)});
  model.weights.layers = {layer};
  model.config.num_experts = 8, model.config.num_experts_per_tok = 2;
  EXPECT_DOUBLE_EQ(token_weight_bytes(model), products - 2 * 3 * 48 * 32 + 2 * 2 * 3 * 48 * 32 + head);
}

TEST(Flops, MemoryMovesSomeBytes) {
  double bytes = measured_bandwidth(*host_device(*all_kernels()[0]), 1 << 20);
  EXPECT_GT(bytes, 1e6);
  EXPECT_LT(bytes, 1e14);
}

}  // namespace
}  // namespace longspan
