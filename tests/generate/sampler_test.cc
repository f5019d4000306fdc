// The sampler against transformers' logits processors (tools/make_sampler_golden.py) and its own promises.
#include "generate/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <map>

#include "base/error.h"
#include "base/json.h"

namespace longspan {
namespace {

TEST(Sampler, DistributionEqualsTransformers) {
  std::ifstream in(std::string(LONGSPAN_GOLDEN) + "/generate/sampler.jsonl");
  int cases = 0;
  for (std::string line; std::getline(in, line); ++cases) {
    Json golden = parse_json(line, "sampler.jsonl");
    SamplingOptions o;
    o.temperature = golden["options"]["temperature"];
    o.top_k = golden["options"]["top_k"];
    o.top_p = golden["options"]["top_p"];
    o.min_p = golden["options"]["min_p"];
    o.repetition_penalty = golden["options"]["repetition_penalty"];
    auto logits = golden["logits"].get<std::vector<float>>();
    auto history = golden["history"].get<std::vector<int32_t>>();
    auto kept = distribution(logits, history, o);
    ASSERT_EQ(kept.size(), golden["kept"].size()) << "case " << cases << ": " << golden["options"];
    for (const TokenProbability& t : kept)
      EXPECT_NEAR(t.probability, golden["kept"].at(std::to_string(t.id)).get<double>(), 2e-6)
          << "case " << cases;
  }
  EXPECT_EQ(cases, 40);
}

TEST(Sampler, SeedDecidesAndFrequenciesFollowProbabilities) {
  const std::vector<float> logits = {std::log(0.5f), std::log(0.3f), std::log(0.2f)};
  SamplingOptions o;
  o.temperature = 1;
  o.seed = 7;
  Sampler a(o), b(o);
  std::map<int32_t, int> count;
  for (int i = 0; i < 20000; ++i) {
    auto x = logits, y = logits;
    int32_t id = a.sample(x, {});
    ASSERT_EQ(id, b.sample(y, {}));
    ++count[id];
  }
  EXPECT_NEAR(count[0] / 20000.0, 0.5, 0.015);
  EXPECT_NEAR(count[1] / 20000.0, 0.3, 0.015);
}

TEST(Sampler, GreedyTakesTheFirstLargestAndSurvivesNaN) {
  std::vector<float> logits = {1, NAN, 5, 5};
  EXPECT_EQ(Sampler({}).sample(logits, {}), 2);
  std::vector<float> broken = {NAN, NAN};
  SamplingOptions o;
  o.temperature = 1;
  EXPECT_EQ(Sampler(o).sample(broken, {}), 0);
}

/// What a grammar took out is not among the candidates, not even as the last of them.
TEST(Sampler, TokensThatWereTakenOutAreNeverDrawn) {
  SamplingOptions o;
  o.temperature = 1;
  std::vector<float> logits = {-INFINITY, 0, -INFINITY, 0, -INFINITY};
  auto kept = distribution(logits, {}, o);
  ASSERT_EQ(kept.size(), 2u);
  EXPECT_EQ(kept[0].id, 1);
  EXPECT_EQ(kept[1].id, 3);
  EXPECT_NEAR(kept[1].probability, 0.5, 1e-12);
}

TEST(Sampler, RefusesImpossibleOptionsByName) {
  for (auto [name, change] : std::map<std::string, void (*)(SamplingOptions&)>{
           {"--temperature", [](SamplingOptions& o) { o.temperature = -1; }},
           {"--top-k", [](SamplingOptions& o) { o.top_k = -1; }},
           {"--top-p", [](SamplingOptions& o) { o.top_p = 0; }},
           {"--min-p", [](SamplingOptions& o) { o.min_p = 1.5f; }},
           {"--repetition-penalty", [](SamplingOptions& o) { o.repetition_penalty = 0; }}}) {
    SamplingOptions o;
    change(o);
    try {
      Sampler sampler(o);
      FAIL() << name << " was accepted";
    } catch (const Error& e) {
      EXPECT_NE(std::string(e.what()).find(name), std::string::npos) << e.what();
    }
  }
}

}  // namespace
}  // namespace longspan
