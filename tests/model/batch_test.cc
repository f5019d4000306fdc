// Sequences side by side: what each gives alone and among others, whatever stands beside it.
#include <gtest/gtest.h>

#include "model/golden.h"

namespace longspan {
namespace {

GoldenCase gqa() {
  for (GoldenCase& c : golden_cases())
    if (c.name == "gqa") return c;
  throw std::runtime_error("no case gqa");
}

/// Rows of logits of the batch's wanted rows.
std::vector<std::vector<float>> logits_of(const Model& model, const Batch& batch, Activations& a) {
  Tensor hidden = forward(model, batch, a);
  std::vector<std::vector<float>> out;
  for (int64_t r = 0; r < hidden.rows(); ++r) {
    Tensor logits = head_logits(model, hidden.slice(r, 1), a);
    out.push_back(model.device->download<float>(logits));
  }
  return out;
}

class Batches : public testing::TestWithParam<const Kernels*> {
 protected:
  void SetUp() override {
    if (!GetParam()->supported()) GTEST_SKIP() << "this processor lacks " << GetParam()->name;
  }
};
INSTANTIATE_TEST_SUITE_P(Model, Batches, testing::ValuesIn(all_kernels_here()),
                         [](const auto& info) { return std::string(info.param->name); });

TEST_P(Batches, ASequenceGivesTheSameAloneAndAmongOthers) {
  GoldenCase c = gqa();
  LoadedModel m = load_golden(c, *GetParam());
  // Three texts of different lengths; the declared lengths differ, and with them the frequencies.
  PositionConfig config = parse_position("dynamic_ntk:factor=2,original=16", m.model.config.position);
  struct Text {
    std::vector<int32_t> ids;
    PositionSpec spec;
    std::vector<float> alone;  // [ids, V]
  };
  std::vector<Text> texts;
  for (size_t n : {size_t{9}, size_t{40}, size_t{23}}) {
    Text t;
    for (size_t i = 0; i < n; ++i) t.ids.push_back((c.ids[i] + static_cast<int32_t>(7 * n)) % 64);
    t.spec = position_spec(config, m.model.config.head_shape(), static_cast<int64_t>(n));
    t.alone = run(m.model, t.spec, t.ids, {static_cast<int64_t>(n)});
    texts.push_back(t);
  }
  EXPECT_NE(texts[0].spec.inv_freq, texts[1].spec.inv_freq);
  auto pool =
      std::make_shared<KvPool>(*m.model.device, kv_layout(m.model.config, {DType::F32, DType::F32}), 3);
  std::vector<KvCache> caches;
  for (int i = 0; i < 3; ++i) caches.emplace_back(pool);
  Activations a = make_activations(m.model, texts[1].spec, 32);
  // In every step each sequence takes some tokens: chunks of prompts beside single tokens.
  const size_t steps[][3] = {{4, 17, 0}, {1, 22, 6}, {4, 1, 16}, {0, 0, 1}};
  std::vector<size_t> done(3, 0);
  for (const auto& step : steps) {
    Batch batch;
    std::vector<std::pair<size_t, size_t>> wanted;  // text, token
    int32_t row = 0;
    for (size_t t = 0; t < 3; ++t) {
      if (step[t] == 0) continue;
      batch.sequences.push_back(
          {&caches[t], &texts[t].spec, std::span(texts[t].ids).subspan(done[t], step[t])});
      row += static_cast<int32_t>(step[t]);
      batch.logits_rows.push_back(row - 1);
      done[t] += step[t];
      wanted.emplace_back(t, done[t] - 1);
    }
    auto got = logits_of(m.model, batch, a);
    ASSERT_EQ(got.size(), wanted.size());
    for (size_t i = 0; i < got.size(); ++i)
      for (size_t v = 0; v < got[i].size(); ++v)
        ASSERT_NEAR(got[i][v], texts[wanted[i].first].alone[wanted[i].second * kGoldenVocab + v], 1e-5)
            << "text " << wanted[i].first << " token " << wanted[i].second;
  }
  for (size_t t = 0; t < 3; ++t) EXPECT_EQ(caches[t].length(), std::ssize(texts[t].ids));
}

TEST_P(Batches, ForkedCachesGoTheirOwnWays) {
  GoldenCase c = gqa();
  LoadedModel m = load_golden(c, *GetParam());
  PositionSpec spec = position_spec(m.model.config.position, m.model.config.head_shape(), 0);
  std::span<const int32_t> ids(c.ids);
  Activations a = make_activations(m.model, spec, 64);
  auto pool =
      std::make_shared<KvPool>(*m.model.device, kv_layout(m.model.config, {DType::F32, DType::F32}), 4);
  KvCache first(pool);
  forward(m.model, {.sequences = {{&first, &spec, ids.subspan(0, 20)}}, .logits_rows = {}}, a);
  KvCache second = first.fork(20);
  EXPECT_EQ(pool->taken(), 1);
  std::vector<int32_t> other(ids.begin(), ids.begin() + 30);
  for (size_t i = 20; i < 30; ++i) other[i] = (other[i] + 5) % 64;
  auto got = logits_of(m.model,
                       {.sequences = {{&first, &spec, ids.subspan(20, 10)},
                                      {&second, &spec, std::span<const int32_t>(other).subspan(20, 10)}},
                        .logits_rows = {9, 19}},
                       a);
  EXPECT_EQ(pool->taken(), 2);  // the shared page was copied before it was written
  std::vector<float> want[] = {run(m.model, spec, ids.subspan(0, 30), {30}), run(m.model, spec, other, {30})};
  for (size_t s = 0; s < 2; ++s)
    for (size_t v = 0; v < got[s].size(); ++v)
      EXPECT_NEAR(got[s][v], want[s][29 * kGoldenVocab + v], 1e-5) << s;
}

}  // namespace
}  // namespace longspan
