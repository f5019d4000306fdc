// Logits of tiny random models against transformers (golden), for every implementation of the vocabulary,
// however the text is cut; and what a cache of lower precision costs.
#include "model/forward.h"

#include <gtest/gtest.h>

#include <set>

#include "base/error.h"
#include "base/threads.h"
#include "model/golden.h"

namespace longspan {
namespace {

/// One implementation of the vocabulary against every golden case.
class Golden : public testing::TestWithParam<const Kernels*> {
 protected:
  void SetUp() override {
    if (!GetParam()->supported()) GTEST_SKIP() << "this processor lacks " << GetParam()->name;
    set_threads(1);  // products of 32 columns: waking a second thread costs more than the work
  }
};

INSTANTIATE_TEST_SUITE_P(Model, Golden, testing::ValuesIn(all_kernels_here()),
                         [](const auto& info) { return std::string(info.param->name); });

PositionSpec own_spec(const LoadedModel& m, const GoldenCase& c) {
  return position_spec(m.model.config.position, m.model.config.head_shape(),
                       static_cast<int64_t>(c.ids.size()));
}

TEST_P(Golden, LogitsEqualTransformersHoweverTheTextIsCut) {
  for (const GoldenCase& c : golden_cases()) {
    LoadedModel m = load_golden(c, *GetParam());
    std::vector<std::vector<int64_t>> cuts{
        {static_cast<int64_t>(c.ids.size())}, {1}, {7}, {64}, {13, 1, 30, 8, 2}};
    for (const std::vector<int64_t>& chunks : cuts)
      EXPECT_LT(golden_difference(c, run(m.model, own_spec(m, c), c.ids, chunks)), 1e-4)
          << c.name << " in chunks of " << chunks[0];
  }
}

TEST_P(Golden, PositionTextEqualsTheConfigsOwnMethod) {
  int seen = 0;
  for (const GoldenCase& c : golden_cases()) {
    if (c.position.empty()) continue;
    SCOPED_TRACE(c.name);
    // The same weights under plain RoPE, stretched by --position alone.
    GoldenCase plain = c;
    plain.fields = Json{{"rope_theta", 10000.0}};
    LoadedModel m = load_golden(plain, *GetParam());
    PositionConfig config = parse_position(c.position, m.model.config.position);
    PositionSpec spec =
        position_spec(config, m.model.config.head_shape(), static_cast<int64_t>(c.ids.size()));
    EXPECT_LT(golden_difference(c, run(m.model, spec, c.ids, {32})), 1e-4);
    // A method that did nothing would be seen.
    EXPECT_GT(golden_difference(c, run(m.model, own_spec(m, plain), c.ids, {32})), 1e-2);
    ++seen;
  }
  EXPECT_EQ(seen, 7);
}

TEST_P(Golden, NarrowCachesCostLittle) {
  // Half floats keep 11 bits of each key and value, bfloat16 8: relative errors of 5e-4 and 4e-3 in scores
  // and outputs of two layers, on logits of up to 8; of more layers the squares of errors add up.
  for (const GoldenCase& c : golden_cases())
    for (auto [dtype, allowed] : {std::pair{DType::F16, 0.03}, {DType::BF16, 0.25}}) {
      LoadedModel m = load_golden(c, *GetParam());
      double cost = golden_difference(c, run(m.model, own_spec(m, c), c.ids, {16}, dtype));
      // Where rounding gives a token to another expert, the logits differ by what an expert adds.
      double deeper = std::sqrt(std::max(1.0, static_cast<double>(m.model.config.num_hidden_layers) / 2));
      EXPECT_LT(cost, m.model.config.num_experts > 0 ? 2 : allowed * deeper) << c.name << " " << name(dtype);
      EXPECT_GT(cost, 1e-4) << c.name << " " << name(dtype);
    }
}

/// Root mean square of the differences, over that of the case's logits.
double relative_error(const GoldenCase& c, const std::vector<float>& logits) {
  double differences = 0, squares = 0;
  for (size_t r = 0; r < c.rows.size(); ++r)
    for (size_t v = 0; v < kGoldenVocab; ++v) {
      double want = c.logits[r * kGoldenVocab + v];
      double d = logits[static_cast<size_t>(c.rows[r]) * kGoldenVocab + v] - want;
      differences += d * d, squares += want * want;
    }
  return std::sqrt(differences / squares);
}

TEST_P(Golden, Bf16ProductsStayNear) {
  // A factor rounded to 8 bits is off by up to 2^-8 of its power of two: 2^-8 / sqrt(3) there and 0.74 of
  // that on average over its binade, 0.0017. Both factors of a product are, and errors of different terms are
  // independent: 0.0024 of a sum. Up to three such products follow each other in a branch (v, o; gate or up,
  // down) and two layers have four branches, whose errors add up in squares beside that of the head: sqrt(4 *
  // 3 + 1) * 0.0024 = 0.0085. The softmax multiplies errors of its scores by the scores, up to about 4 here.
  constexpr double kProduct = 0.0024, kDepth = 3.6, kScores = 4;
  for (const GoldenCase& c : golden_cases()) {
    LoadedModel m = load_golden(c, *GetParam(), Compute::BF16);
    double error = relative_error(c, run(m.model, own_spec(m, c), c.ids, {160}));
    EXPECT_LT(error, kProduct * kDepth * kScores) << c.name;
    EXPECT_GT(error, kProduct / 4) << c.name << ": nothing was rounded";
  }
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

double difference(const std::vector<float>& a, const std::vector<float>& b) {
  double worst = 0;
  for (size_t i = 0; i < a.size(); ++i) worst = std::max<double>(worst, std::abs(a[i] - b[i]));
  return worst;
}

TEST(Forward, MethodsStretchOnlyTheLayersThatSeeEverything) {
  GoldenCase c = case_named("gemma3");
  for (const char* method : {"yarn:factor=4", "rerope:window=16", "dual_chunk:size=24,local=8", "alibi"}) {
    SCOPED_TRACE(method);
    auto logits = [&](LoadedModel& m, const char* text, int64_t chunk) {
      PositionConfig config = parse_position(text, m.model.config.position);
      return run(m.model, position_spec(config, m.model.config.head_shape(), 75), c.ids, {chunk});
    };
    LoadedModel m = load_golden(c, *all_kernels()[0]);
    EXPECT_LT(difference(logits(m, method, 75), logits(m, method, 7)), 1e-4);
    EXPECT_GT(difference(logits(m, method, 75), logits(m, "rope", 75)), 1e-3);
    m.model.config.sliding_window_pattern = 4;  // none of the three layers sees everything
    EXPECT_EQ(difference(logits(m, method, 75), logits(m, "rope", 75)), 0);
  }
}

TEST(Forward, CacheForgetsAndContinues) {
  GoldenCase c = case_named("gqa");
  LoadedModel m = load_golden(c, *all_kernels()[0]);
  PositionSpec spec = position_spec(m.model.config.position, m.model.config.head_shape(), 0);
  KvCache cache = make_cache(m.model, spec, 64);
  Activations a = make_activations(m.model, spec, 64);
  std::span<const int32_t> ids(c.ids);
  std::vector<int32_t> other(ids.begin(), ids.begin() + 30);
  other[20] = (other[20] + 1) % 64;
  forward(m.model, all_rows(cache, spec, other), a);
  cache.truncate(20);
  Tensor hidden = forward(m.model, all_rows(cache, spec, ids.subspan(20, 10)), a);
  EXPECT_EQ(cache.length(), 30);
  Tensor logits = head_logits(m.model, hidden.slice(9, 1), a);
  std::vector<float> straight = run(m.model, spec, ids.subspan(0, 30), {30});
  for (int64_t v = 0; v < kGoldenVocab; ++v)
    EXPECT_NEAR(logits.row(0)[v], straight[static_cast<size_t>(29 * kGoldenVocab + v)], 1e-5);
}

TEST(Forward, RefusesIdsOutsideTheVocabulary) {
  LoadedModel m = load_golden(case_named("gqa"), *all_kernels()[0]);
  PositionSpec spec = position_spec(m.model.config.position, m.model.config.head_shape(), 0);
  KvCache cache = make_cache(m.model, spec, 64);
  Activations a = make_activations(m.model, spec, 4);
  for (int32_t bad : {-1, 64, 2000000000}) {
    std::vector<int32_t> ids{1, bad};
    EXPECT_THROW(forward(m.model, all_rows(cache, spec, ids), a), Error);
  }
}

TEST(Activations, PredictedBytesAreTheAllocatedOnes) {
  LoadedModel m = load_golden(case_named("headsize"), kernels());
  const ModelConfig& c = m.model.config;
  for (int64_t rows : {1, 7, 512})
    EXPECT_EQ(make_activations(m.model, PositionSpec{}, rows).arena.bytes(),
              activation_bytes(c, PositionSpec{}, rows));
  EXPECT_LT(activation_bytes(c, PositionSpec{}, 512, 1), activation_bytes(c, PositionSpec{}, 512));
  LoadedModel local = load_golden(case_named("gemma3"), kernels());
  EXPECT_EQ(make_activations(local.model, PositionSpec{}, 7).arena.bytes(),
            activation_bytes(local.model.config, PositionSpec{}, 7));
}

}  // namespace
}  // namespace longspan
