// Logits of tiny random models against transformers (golden), for every implementation of the vocabulary,
// however the text is cut; and what a cache of lower precision costs.
#include "model/forward.h"

#include <gtest/gtest.h>

#include <cctype>
#include <set>

#include "base/error.h"
#include "model/golden.h"

namespace longspan {
namespace {

class Golden : public testing::TestWithParam<std::tuple<GoldenCase, const Kernels*>> {
 protected:
  const GoldenCase& golden() const { return std::get<0>(GetParam()); }
  const Kernels& kernels() const { return *std::get<1>(GetParam()); }
  void SetUp() override {
    if (!kernels().supported()) GTEST_SKIP() << "this processor lacks " << kernels().name;
  }
};

std::string name_of(const testing::TestParamInfo<Golden::ParamType>& info) {
  std::string name = std::get<0>(info.param).name + "_" + std::get<1>(info.param)->name;
  std::replace_if(
      name.begin(), name.end(), [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); }, '_');
  return name;
}

std::vector<const Kernels*> every_implementation() {
  auto all = all_kernels();
  return {all.begin(), all.end()};
}

INSTANTIATE_TEST_SUITE_P(Model, Golden,
                         testing::Combine(testing::ValuesIn(golden_cases()),
                                          testing::ValuesIn(every_implementation())),
                         name_of);

TEST_P(Golden, LogitsEqualTransformersHoweverTheTextIsCut) {
  LoadedModel m = load_golden(golden(), kernels());
  auto length = static_cast<int64_t>(golden().ids.size());
  PositionSpec spec = position_spec(m.model.config.position, m.model.config.head_shape(), length);
  std::vector<std::vector<int64_t>> cuts{{length}, {1}, {7}, {64}, {13, 1, 30, 8, 2}};
  for (const std::vector<int64_t>& chunks : cuts)
    EXPECT_LT(golden_difference(golden(), run(m.model, spec, golden().ids, chunks)), 1e-4)
        << "chunks of " << chunks[0];
}

TEST_P(Golden, PositionTextEqualsTheConfigsOwnMethod) {
  if (golden().position.empty()) GTEST_SKIP() << "no command-line spelling";
  // The same weights under plain RoPE, stretched by --position alone.
  GoldenCase plain = golden();
  plain.fields = Json{{"rope_theta", 10000.0}};
  LoadedModel m = load_golden(plain, kernels());
  auto length = static_cast<int64_t>(golden().ids.size());
  PositionConfig config = parse_position(golden().position, m.model.config.position);
  PositionSpec spec = position_spec(config, m.model.config.head_shape(), length);
  EXPECT_LT(golden_difference(golden(), run(m.model, spec, golden().ids, {32})), 1e-4);
  // The test would see a method that does nothing.
  PositionSpec rope = position_spec(m.model.config.position, m.model.config.head_shape(), length);
  EXPECT_GT(golden_difference(golden(), run(m.model, rope, golden().ids, {32})), 1e-2);
}

TEST_P(Golden, NarrowCachesCostLittle) {
  LoadedModel m = load_golden(golden(), kernels());
  auto length = static_cast<int64_t>(golden().ids.size());
  PositionSpec spec = position_spec(m.model.config.position, m.model.config.head_shape(), length);
  // Half floats keep 11 bits of each key and value, bfloat16 8: relative errors of 5e-4 and 4e-3 in scores
  // and outputs of two layers, on logits of up to 8.
  for (auto [dtype, allowed] : {std::pair{DType::F16, 0.03}, {DType::BF16, 0.25}}) {
    double cost = golden_difference(golden(), run(m.model, spec, golden().ids, {16}, dtype));
    EXPECT_LT(cost, allowed) << name(dtype);
    EXPECT_GT(cost, 1e-4) << name(dtype);
  }
}

TEST_P(Golden, Bf16ProductsStayNear) {
  LoadedModel m = load_golden(golden(), kernels(), Compute::BF16);
  auto length = static_cast<int64_t>(golden().ids.size());
  PositionSpec spec = position_spec(m.model.config.position, m.model.config.head_shape(), length);
  // Activations and weights rounded to 8 bits in front of every product.
  EXPECT_LT(golden_difference(golden(), run(m.model, spec, golden().ids, {length})), 0.6);
}

GoldenCase case_named(const std::string& name) {
  for (GoldenCase& c : golden_cases())
    if (c.name == name) return c;
  throw std::runtime_error("no golden case " + name);
}

TEST(Forward, GgufTwinEqualsItsHuggingFaceModel) {
  // The F32 twin holds the same numbers with q and k rows in another order: not one bit may differ.
  LoadedModel hf = load_golden(case_named("gqa"), *all_kernels()[0]);
  LoadedModel gguf = load_golden(case_named("gqa-f32.gguf"), *all_kernels()[0]);
  PositionSpec spec = position_spec(hf.model.config.position, hf.model.config.head_shape(), 0);
  std::vector<int32_t> ids{1, 5, 9, 60, 3, 3, 17, 22, 41, 0, 63, 8};
  EXPECT_EQ(run(hf.model, spec, ids, {12}), run(gguf.model, spec, ids, {12}));
}

TEST(Forward, CacheForgetsAndContinues) {
  GoldenCase c = case_named("gqa");
  LoadedModel m = load_golden(c, *all_kernels()[0]);
  PositionSpec spec = position_spec(m.model.config.position, m.model.config.head_shape(), 0);
  KvCache cache(m.model.config, DType::F32);
  Activations a = make_activations(m.model.config, 64);
  std::span<const int32_t> ids(c.ids);
  std::vector<int32_t> other(ids.begin(), ids.begin() + 30);
  other[20] = (other[20] + 1) % 64;
  forward(m.model, spec, cache, {other, 0}, a);
  cache.truncate(20);
  Tensor hidden = forward(m.model, spec, cache, {ids.subspan(20, 10), 20}, a);
  EXPECT_EQ(cache.length(), 30);
  Tensor logits = head_logits(m.model, hidden.slice(9, 1), a);
  std::vector<float> straight = run(m.model, spec, ids.subspan(0, 30), {30});
  for (int64_t v = 0; v < kGoldenVocab; ++v)
    EXPECT_NEAR(logits.row(0)[v], straight[static_cast<size_t>(29 * kGoldenVocab + v)], 1e-5);
}

TEST(Forward, RefusesIdsOutsideTheVocabulary) {
  LoadedModel m = load_golden(case_named("gqa"), *all_kernels()[0]);
  PositionSpec spec = position_spec(m.model.config.position, m.model.config.head_shape(), 0);
  KvCache cache(m.model.config, DType::F32);
  Activations a = make_activations(m.model.config, 4);
  for (int32_t bad : {-1, 64, 2000000000}) {
    std::vector<int32_t> ids{1, bad};
    EXPECT_THROW(forward(m.model, spec, cache, {ids, 0}, a), Error);
  }
}

TEST(KvCache, GrowsByPagesAndCountsThem) {
  ModelConfig c;
  c.num_hidden_layers = 3, c.num_key_value_heads = 2, c.head_dim = 16;
  EXPECT_EQ(KvCache::bytes_per_token(c, DType::F16), 2 * 3 * 2 * 16 * 2);
  EXPECT_EQ(KvCache::bytes(c, DType::F32, 257), 512 * 2 * 3 * 2 * 16 * 4);
  KvCache cache(c, DType::F16);
  cache.reserve(1);
  EXPECT_EQ(cache.keys(2).pages.size(), 1u);
  void* first = cache.keys(2).pages[0];
  cache.reserve(256);
  EXPECT_EQ(cache.keys(2).pages.size(), 1u);
  cache.reserve(1000);
  EXPECT_EQ(cache.values(0).pages.size(), 4u);
  EXPECT_EQ(cache.keys(2).pages[0], first);  // pages never move
  std::set<void*> distinct;
  for (int64_t l = 0; l < 3; ++l)
    for (const KvPages& pages : {cache.keys(l), cache.values(l)})
      distinct.insert(pages.pages.begin(), pages.pages.end());
  EXPECT_EQ(distinct.size(), 24u);
  cache.set_length(700);
  cache.truncate(300);
  EXPECT_EQ(cache.length(), 300);
}

TEST(Activations, PredictedBytesAreTheAllocatedOnes) {
  ModelConfig c = read_config(open_golden(case_named("headsize")));
  for (int64_t rows : {1, 7, 512})
    EXPECT_EQ(make_activations(c, rows).arena.bytes(), activation_bytes(c, rows));
  EXPECT_LT(activation_bytes(c, 512, 1), activation_bytes(c, 512));
}

}  // namespace
}  // namespace longspan
