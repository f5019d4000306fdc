// Likelihoods of windows and choices: equal to Sequence::score over the whole text, whatever the sequence
// held before; the seam between prompt and choice; buckets of positions.
#include "eval/likelihood.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "base/error.h"
#include "cli/program.h"
#include "eval/divergence.h"

namespace longspan {
namespace {

class Likelihood : public ProgramTest {
 protected:
  void SetUp() override {
    ProgramTest::SetUp();
    std::string model = model_ = tiny_model(256);
    // One merge, so that a prompt and a choice can grow together.
    Json tokenizer = parse_json_file(model + "/tokenizer.json");
    Json& vocab = tokenizer["model"]["vocab"];
    std::string spare = "spare" + std::to_string(vocab.size() - 1);
    vocab["ab"] = vocab[spare];
    vocab.erase(spare);
    tokenizer["model"]["merges"] = {"a b"};
    write_file_atomic(model + "/tokenizer.json", dump_json(tokenizer));
    EngineOptions options;
    options.cache_types = {DType::F32, DType::F32};
    options.compute = Compute::F32;
    engine_ = std::make_unique<Engine>(model, options);
  }
  std::vector<int32_t> ids_of(const std::string& text) { return engine_->tokenizer().encode(text); }
  Prompt prompt_of(const std::string& text) {
    Prompt prompt;
    prompt.text = text;
    prompt.ids = ids_of(text);
    return prompt;
  }
  /// Sum of log p of the tokens from `from` on of the whole text.
  double sum_of(const std::string& text, size_t from) {
    std::vector<float> logprobs;
    Sequence(*engine_, 256).score(ids_of(text), logprobs, {}, from);
    return std::accumulate(logprobs.begin(), logprobs.end(), 0.0);
  }
  static CaseText choices(std::vector<std::string> texts, size_t correct) {
    CaseText text;
    text.choices = std::move(texts);
    text.correct = correct;
    return text;
  }

  /// Both scorings agree on choices.
  static void expect_score(const ChoiceScores& result, const std::string& metric, double score) {
    for (const MetricScore& s : result.scores)
      if (s.metric == metric) {
        EXPECT_EQ(s.compat, score) << metric;
        EXPECT_EQ(s.clean, score) << metric;
        return;
      }
    ADD_FAILURE() << "no " << metric;
  }

  std::string model_;
  std::unique_ptr<Engine> engine_;
};

TEST_F(Likelihood, SumsOfChoicesAreThoseOfTheWholeText) {
  const std::string start = "the quick brown fox jumps over";
  const std::vector<std::string> endings = {" the lazy dog", " me", " a hundred and twenty moons"};
  CaseText text = choices(endings, 1);
  Sequence sequence(*engine_, 256);
  ChoiceScores result = run_choice(sequence, *engine_, prompt_of(start), text, {}).value();
  size_t before = ids_of(start).size();
  size_t best = 0, best_per_byte = 0;
  std::vector<double> sums;
  for (size_t k = 0; k < endings.size(); ++k) {
    sums.push_back(sum_of(start + endings[k], before));
    EXPECT_NEAR(result.logprobs[k], sums[k], 1e-4 * std::abs(sums[k]));
    auto per_byte = [&](size_t i) { return sums[i] / static_cast<double>(endings[i].size()); };
    if (sums[k] > sums[best]) best = k;
    if (per_byte(k) > per_byte(best_per_byte)) best_per_byte = k;
  }
  EXPECT_EQ(best, 1u);  // the shortest
  EXPECT_EQ(result.read_tokens, static_cast<int64_t>(before));
  expect_score(result, "accuracy", 1);
  expect_score(result, "accuracy_per_byte", best_per_byte == 1 ? 1 : 0);
}

TEST_F(Likelihood, TheGainIsOverANeutralPrompt) {
  const std::string start = "a hundred and twenty";
  const std::vector<std::string> endings = {" moons", " me"};
  CaseText text = choices(endings, 0);
  text.neutral = "answer:";
  Sequence sequence(*engine_, 256);
  ChoiceScores result = run_choice(sequence, *engine_, prompt_of(start), text, {}).value();
  std::vector<double> gains;
  for (size_t k = 0; k < endings.size(); ++k) {
    double alone = sum_of("answer:" + endings[k], ids_of("answer:").size());
    EXPECT_NEAR(result.neutral_logprobs[k], alone, 1e-3);
    gains.push_back(sum_of(start + endings[k], ids_of(start).size()) - alone);
  }
  expect_score(result, "accuracy_gain", gains[0] >= gains[1] ? 1 : 0);
  EXPECT_EQ(sequence.ids().size() + 1, ids_of(start).size());
}

TEST_F(Likelihood, WhatTheSequenceSharesIsNotReadAgain) {
  CaseText text = choices({" one", " two"}, 0);
  Prompt prompt = prompt_of("a long road leads to rome and back");
  Sequence fresh(*engine_, 256), used(*engine_, 256);
  ChoiceScores expected = run_choice(fresh, *engine_, prompt, text, {}).value();
  used.feed(ids_of("a long road leads elsewhere"));
  ChoiceScores result = run_choice(used, *engine_, prompt, text, {}).value();
  EXPECT_EQ(static_cast<size_t>(result.read_tokens), prompt.ids.size() - ids_of("a long road leads ").size());
  for (size_t k = 0; k < 2; ++k) EXPECT_NEAR(result.logprobs[k], expected.logprobs[k], 1e-3);
  EXPECT_EQ(used.ids(), std::vector<int32_t>(prompt.ids.begin(), prompt.ids.end() - 1));
}

TEST_F(Likelihood, ATokenMayReachOverTheSeam) {
  // "xa" + "b" is x, ab: all choices are counted from behind x, the part that they share.
  ASSERT_EQ(ids_of("xab").size(), 2u);
  Sequence sequence(*engine_, 256);
  ChoiceScores result = run_choice(sequence, *engine_, prompt_of("xa"), choices({"b", "c"}, 0), {}).value();
  EXPECT_NEAR(result.logprobs[0], sum_of("xab", 1), 1e-4);
  EXPECT_NEAR(result.logprobs[1], sum_of("xac", 1), 1e-4);
  EXPECT_THROW(run_choice(sequence, *engine_, prompt_of("a"), choices({"b", "c"}, 0), {}), Error);
  EXPECT_THROW(run_choice(sequence, *engine_, prompt_of(""), choices({"b", "c"}, 0), {}), Error);
}

TEST_F(Likelihood, AChoicesRoomHoldsTheLongest) {
  CaseText text = choices({"b", " a hundred and twenty moons"}, 0);
  Prompt prompt = prompt_of("xa");
  Sequence sequence(*engine_, std::ssize(prompt.ids) + choice_room(engine_->tokenizer(), text));
  EXPECT_TRUE(run_choice(sequence, *engine_, prompt, text, {}).has_value());
}

TEST_F(Likelihood, APromptThatWasCutIsTakenAsItWasFitted) {
  // Its ids are not what its text is read into: the seam counts from its end.
  Prompt prompt = prompt_of("quick fox");
  prompt.ids.insert(prompt.ids.begin(), engine_->tokenizer().token_id("a"));
  prompt.cut = 3;
  Sequence sequence(*engine_, 256);
  ChoiceScores result = run_choice(sequence, *engine_, prompt, choices({" one", " two"}, 0), {}).value();
  EXPECT_EQ(result.read_tokens, std::ssize(prompt.ids));
  EXPECT_NEAR(result.logprobs[0], sum_of("aquick fox one", prompt.ids.size()), 1e-4);
}

TEST_F(Likelihood, ALossCountsTokensAndTheirBytes) {
  CaseText text;
  text.ids = ids_of("pack my box with five dozen jugs of ab");
  text.from = 20;
  std::vector<float> logprobs;
  Sequence(*engine_, 256).score(text.ids, logprobs);
  double expected = -std::accumulate(logprobs.begin() + 19, logprobs.end(), 0.0);
  Sequence sequence(*engine_, 256);
  WindowLoss result = run_loss(sequence, *engine_, text, {}).value();
  EXPECT_NEAR(result.nll, expected, 1e-3);
  EXPECT_EQ(result.tokens, std::ssize(text.ids) - 20);
  EXPECT_EQ(result.bytes, std::ssize(text.ids) - 20 + 1);  // "ab" is one token
  double sum = 0;
  int64_t count = 0;
  for (const PositionBucket& bucket : result.buckets) {
    sum += bucket.sum;
    count += bucket.count;
  }
  EXPECT_NEAR(sum, result.nll, 1e-9);
  EXPECT_EQ(count, result.tokens);
}

TEST_F(Likelihood, StoppedByProgress) {
  auto stop = [](int64_t, int64_t) { return false; };
  CaseText text = choices({" one", " two"}, 0);
  text.ids = ids_of("a text");
  Sequence sequence(*engine_, 256), other(*engine_, 256);
  EXPECT_FALSE(run_loss(sequence, *engine_, text, stop).has_value());
  EXPECT_FALSE(run_choice(other, *engine_, prompt_of("a prompt"), text, stop).has_value());
}

TEST_F(Likelihood, ProgressEndsAtTheTotal) {
  int64_t last = 0, total = 0;
  auto watch = [&](int64_t done, int64_t all) {
    EXPECT_GE(done, last);
    last = done;
    total = all;
    return true;
  };
  Sequence sequence(*engine_, 256);
  CaseText text = choices({" one", " three"}, 0);
  run_choice(sequence, *engine_, prompt_of("a prompt"), text, watch);
  EXPECT_EQ(last, total);
  int64_t without = total;
  text.neutral = "abc";
  last = 0;
  Sequence again(*engine_, 256);
  run_choice(again, *engine_, prompt_of("a prompt"), text, watch);
  EXPECT_EQ(last, total);
  EXPECT_EQ(total - without, static_cast<int64_t>(ids_of("abc one three").size()));
  total = without;
  EXPECT_EQ(total, static_cast<int64_t>(ids_of("a prompt one three").size()));
}

TEST(PositionBuckets, BoundsAreTheSameInEveryWindow) {
  std::vector<float> ones(40, -1);
  auto buckets = position_buckets(ones, 1);
  ASSERT_EQ(buckets.size(), 4u);
  int64_t bounds[][3] = {{1, 15, 15}, {16, 22, 7}, {23, 31, 9}, {32, 44, 9}};
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(buckets[i].first, bounds[i][0]);
    EXPECT_EQ(buckets[i].last, bounds[i][1]);
    EXPECT_EQ(buckets[i].count, bounds[i][2]);
    EXPECT_EQ(buckets[i].sum, bounds[i][2]);
  }
  auto later = position_buckets(std::vector<float>(10, -2), 30);
  ASSERT_EQ(later.size(), 2u);
  EXPECT_EQ(later[0].first, 23);
  EXPECT_EQ(later[0].count, 2);
  EXPECT_EQ(later[1].count, 8);
  EXPECT_EQ(later[1].sum, 16);
}

TEST_F(Likelihood, DivergenceIsTheSumOverTheVocabulary) {
  EngineOptions options;
  options.cache_types = {DType::BF16, DType::BF16};
  options.compute = Compute::F32;
  Engine coarse(model_, options);
  std::string text;
  for (int i = 0; i < 200; ++i) text += static_cast<char>('a' + (i * i + i / 7) % 26);
  std::vector<int32_t> ids = ids_of(text);
  Sequence base(*engine_, 256), other(coarse, 256);
  std::vector<TokenDivergence> found;
  constexpr size_t kFrom = 50;
  ASSERT_TRUE(diverge(base, other, ids, kFrom, found));
  ASSERT_EQ(found.size(), ids.size() - kFrom);

  Sequence p(*engine_, 256), q(coarse, 256);
  auto head = std::span(ids).first(ids.size() - 1);
  p.feed_each(head), q.feed_each(head);
  double kl_sum = 0, same = 0;
  for (size_t at = kFrom; at < ids.size(); ++at) {
    auto log_softmax = [&](std::span<const float> logits) {
      std::vector<double> out(logits.begin(), logits.end());
      double sum = 0;
      for (double x : out) sum += std::exp(x);
      for (double& x : out) x -= std::log(sum);
      return out;
    };
    std::vector<double> log_p = log_softmax(p.logits_after(at)), log_q = log_softmax(q.logits_after(at));
    double kl = 0;
    for (size_t i = 0; i < log_p.size(); ++i) kl += std::exp(log_p[i]) * (log_p[i] - log_q[i]);
    const TokenDivergence& t = found[at - kFrom];
    EXPECT_NEAR(t.kl, kl, 1e-5 + 0.01 * kl) << at;
    EXPECT_NEAR(t.base_logprob, log_p[static_cast<size_t>(ids[at])], 1e-3);
    EXPECT_NEAR(t.logprob, log_q[static_cast<size_t>(ids[at])], 1e-3);
    kl_sum += kl;
    same += t.same_likeliest;
  }
  EXPECT_GT(kl_sum, 0);
  DivergenceSummary s = summarise(found);
  auto n = static_cast<double>(found.size());
  EXPECT_EQ(s.tokens, std::ssize(found));
  EXPECT_NEAR(s.kl, kl_sum / n, 0.01 * kl_sum / n);
  EXPECT_NEAR(s.same_likeliest, same / n, 1e-12);
  EXPECT_NEAR(s.nll_change, s.nll - s.base_nll, 1e-6);
}

TEST_F(Likelihood, NothingDivergesFromItself) {
  std::vector<int32_t> ids = ids_of("the quick brown fox jumps over the lazy dog");
  Sequence one(*engine_, 256), two(*engine_, 256);
  std::vector<TokenDivergence> found;
  ASSERT_TRUE(diverge(one, two, ids, 1, found));
  DivergenceSummary s = summarise(found);
  EXPECT_EQ(s.kl_most, 0);
  EXPECT_EQ(s.same_likeliest, 1);
  EXPECT_EQ(s.probability_rms, 0);
  EXPECT_EQ(s.nll, s.base_nll);
}

TEST(DivergenceSummary, FiguresOfFourTokens) {
  // KL 0.1, 0.2, 0.3, 0.4: mean 0.25, standard error sqrt(0.0125 / 3).
  std::vector<TokenDivergence> tokens;
  for (int i = 1; i <= 4; ++i)
    tokens.push_back({.kl = 0.1f * static_cast<float>(i),
                      .base_logprob = std::log(0.5f),
                      .logprob = std::log(0.25f),
                      .same_likeliest = i == 1});
  DivergenceSummary s = summarise(tokens);
  EXPECT_NEAR(s.kl, 0.25, 1e-6);
  EXPECT_NEAR(s.kl_error, std::sqrt(0.0125 / 3), 1e-6);
  EXPECT_NEAR(s.kl_median, 0.2, 1e-6);
  EXPECT_NEAR(s.kl_most, 0.4, 1e-6);
  EXPECT_NEAR(s.nll_change, std::log(2), 1e-6);
  EXPECT_NEAR(s.nll_error, 0, 1e-6);
  EXPECT_NEAR(s.same_likeliest, 0.25, 1e-12);
  EXPECT_NEAR(s.probability_rms, 0.25, 1e-6);
}

}  // namespace
}  // namespace longspan
