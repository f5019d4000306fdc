// Engine and Sequence: the real model's greedy tokens against transformers, stop strings, streaming, the
// declared length.
#include <gtest/gtest.h>

#include <algorithm>

#include "base/error.h"
#include "base/json.h"
#include "generate/sequence.h"

namespace longspan {
namespace {

std::filesystem::path smollm2() { return cache_dir() / "smollm2" / "SmolLM2-135M-Instruct.Q4_1.gguf"; }

class SmolLM2Slow : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(smollm2())) GTEST_SKIP() << "needs the model: build/longspan fetch smollm2";
  }
  static Engine exact() {
    EngineOptions options;
    options.compute = Compute::F32;
    options.cache_types = {DType::F32, DType::F32};
    return Engine(smollm2(), options);
  }
};

TEST_F(SmolLM2Slow, GreedyTokensEqualTransformers) {
  Engine engine = exact();
  int cases = 0;
  for (const Json& golden : parse_json_file(std::string(LONGSPAN_GOLDEN) + "/generate/smollm2_greedy.json")) {
    auto prompt = engine.tokenizer().encode(golden["prompt"].get<std::string>());
    EXPECT_EQ(prompt, golden["prompt_ids"].get<std::vector<int32_t>>());
    Sequence sequence(engine, 256);
    sequence.feed(prompt);
    EXPECT_EQ(generate(sequence, engine, 64, {}).ids, golden["ids"].get<std::vector<int32_t>>())
        << golden["prompt"];
    ++cases;
  }
  EXPECT_EQ(cases, 3);
}

// Prompts of all golden cases read in the same steps, and their answers written a token each at a time.
TEST_F(SmolLM2Slow, GreedyTokensAreTheSameInCompany) {
  Engine engine = exact();
  const Json golden = parse_json_file(std::string(LONGSPAN_GOLDEN) + "/generate/smollm2_greedy.json");
  auto pool = engine.make_pool(1, 3 * kPageTokens);
  std::vector<std::unique_ptr<Sequence>> sequences;
  std::vector<std::vector<int32_t>> next;
  std::vector<std::vector<int32_t>> written(golden.size());
  for (const Json& one : golden) {
    sequences.push_back(std::make_unique<Sequence>(engine, 256, engine.config().position, pool));
    next.push_back(one["prompt_ids"].get<std::vector<int32_t>>());
  }
  for (;;) {
    std::vector<Sequence*> members;
    std::vector<std::span<const int32_t>> ids;
    std::vector<size_t> who;
    for (size_t i = 0; i < sequences.size(); ++i)
      if (written[i].size() < golden[i]["ids"].size()) {
        members.push_back(sequences[i].get());
        ids.emplace_back(next[i]);
        who.push_back(i);
      }
    if (members.empty()) break;
    feed_together(members, ids);
    for (size_t i : who) {
      std::span<float> logits = sequences[i]->logits();
      next[i] = {static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin())};
      written[i].push_back(next[i][0]);
    }
  }
  for (size_t i = 0; i < golden.size(); ++i)
    EXPECT_EQ(written[i], golden[i]["ids"].get<std::vector<int32_t>>()) << golden[i]["prompt"];
}

TEST_F(SmolLM2Slow, KeepPrefixKeepsWhatIsShared) {
  Engine engine = exact();
  Sequence sequence(engine, 64);
  std::vector<int32_t> first{5, 6, 7, 8, 9, 10}, second{5, 6, 7, 8, 11};
  sequence.feed(first);
  EXPECT_EQ(sequence.keep_prefix(second, 3), 3);
  EXPECT_EQ(sequence.ids(), (std::vector<int32_t>{5, 6, 7}));
  EXPECT_EQ(sequence.keep_prefix(std::span(second).first(3)), 2);  // the last token must be fed again
  EXPECT_EQ(sequence.keep_prefix({}), 0);
}

TEST_F(SmolLM2Slow, StreamedPartsMakeTheTextAndStopBeforeTheStopString) {
  Engine engine = exact();
  Sequence sequence(engine, 256);
  auto prompt = engine.tokenizer().encode("def fibonacci(n):\n");
  sequence.feed(prompt);
  SamplingOptions sampling;
  sampling.stop = {"return n\n    else", "never to be seen"};
  std::string streamed;
  Generation g = generate(sequence, engine, 64, sampling, [&](std::string_view part) {
    streamed += part;
    return true;
  });
  EXPECT_EQ(g.reason, StopReason::StopString);
  EXPECT_EQ(streamed, g.text);
  EXPECT_EQ(g.text.find("else"), std::string::npos);
  EXPECT_TRUE(g.text.ends_with("if n <= 1:\n        ")) << g.text;

  sequence.truncate(static_cast<int64_t>(prompt.size()) - 1);
  sequence.feed({&prompt.back(), 1});
  Generation stopped = generate(sequence, engine, 64, {}, [&](std::string_view) { return false; });
  EXPECT_EQ(stopped.reason, StopReason::Interrupted);
  EXPECT_EQ(stopped.ids.size(), 1u);
}

TEST_F(SmolLM2Slow, LengthDependentMethodGivesTheSameScoresHoweverTheTextIsCut) {
  std::vector<int32_t> ids;
  for (int32_t i = 0; i < 150; ++i) ids.push_back(100 + i * 7919 % 40000);
  std::vector<float> whole;
  for (int64_t chunk : {int64_t{150}, int64_t{1}, int64_t{7}, int64_t{64}}) {
    EngineOptions options;
    options.compute = Compute::F32;
    options.cache_types = {DType::F32, DType::F32};
    options.position = "dynamic_ntk:factor=2,original=64";
    options.chunk = chunk;
    Engine engine(smollm2(), options);
    Sequence sequence(engine, 150);
    std::vector<float> scores;
    ASSERT_TRUE(sequence.score(ids, scores));
    ASSERT_EQ(scores.size(), ids.size() - 1);
    if (whole.empty()) whole = scores;
    for (size_t i = 0; i < scores.size(); ++i)
      ASSERT_NEAR(scores[i], whole[i], 1e-4) << "chunk " << chunk << ", token " << i + 1;
  }
}

TEST_F(SmolLM2Slow, GrowingPastTheDeclaredLengthIsRefusedWithBothNumbers) {
  Engine engine = exact();
  Sequence sequence(engine, 8);
  std::vector<int32_t> ids(9, 100);
  try {
    sequence.feed(ids);
    FAIL() << "9 tokens were accepted";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("9 tokens"), std::string::npos) << e.what();
    EXPECT_NE(std::string(e.what()).find("declared for 8"), std::string::npos) << e.what();
  }
}

}  // namespace
}  // namespace longspan
