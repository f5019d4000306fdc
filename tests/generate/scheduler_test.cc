// The scheduler: what a request gets alone and among others, the shares of each step, what a client that
// leaves gives back, what is refused.
#include "generate/scheduler.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/random.h"
#include "base/threads.h"
#include "checkpoint/build_files.h"
#include "generate/sequence.h"
#include "model/family.h"

namespace longspan {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

std::vector<int32_t> words(int64_t tokens, uint64_t seed, uint64_t vocabulary = 32) {
  Random random(seed);
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < tokens; ++i) ids.push_back(static_cast<int32_t>(random.below(vocabulary)));
  return ids;
}

AnswerRequest ask(std::vector<int32_t> prompt, int64_t tokens) {
  AnswerRequest request{.prompt = std::move(prompt), .max_tokens = tokens};
  request.choice.ignore_end = true;
  return request;
}

struct Answered {
  std::vector<int32_t> ids;
  std::string text;
  std::vector<ScoredToken> tokens, prompt;
  AnswerNews last;
};

Answered wait_for(Answers& answers, size_t i = 0) {
  Answered all;
  for (auto end = std::chrono::steady_clock::now() + 120s; std::chrono::steady_clock::now() < end;) {
    answers.wait(100ms);
    AnswerNews news = answers.take(i);
    all.text += news.text;
    all.ids.insert(all.ids.end(), news.ids.begin(), news.ids.end());
    all.tokens.insert(all.tokens.end(), news.tokens.begin(), news.tokens.end());
    all.prompt.insert(all.prompt.end(), news.prompt.begin(), news.prompt.end());
    all.last = news;
    if (news.finish != Finish::None) return all;
  }
  ADD_FAILURE() << "no end within two minutes";
  return all;
}

/// The same on a sequence of its own.
std::vector<int32_t> alone(const Engine& engine, const AnswerRequest& request) {
  Sequence sequence(engine, std::ssize(request.prompt) + request.max_tokens);
  sequence.feed(request.prompt);
  TokenChooser chooser(request.choice, engine.tokenizer());
  std::vector<int32_t> ids;
  for (;;) {
    ids.push_back(chooser.choose(sequence.logits(), sequence.ids()).id);
    chooser.accept(ids.back());
    if (std::ssize(ids) == request.max_tokens) return ids;
    sequence.feed({&ids.back(), 1});
  }
}

class SchedulerTest : public testing::Test {
 protected:
  void SetUp() override {
    make_family(model_.path, "gqa", true);
    set_threads(2);
  }
  static SchedulerOptions options() {
    SchedulerOptions o;
    o.window = 4096, o.streams = 8, o.queue = 32, o.pool_tokens = 64 * kPageTokens;
    return o;
  }
  Engine engine(const std::string& position = "") {
    EngineOptions o;
    o.position = position;
    return {model_.path, o};
  }
  TemporaryDirectory model_;
};

TEST_F(SchedulerTest, GreedyTextsAreThoseOfASequenceAlone) {
  Engine e = engine();
  std::vector<AnswerRequest> requests;
  for (uint64_t i = 0; i < 20; ++i)
    requests.push_back(
        ask(words(3 + static_cast<int64_t>(i * i * 7 % 900), i), 5 + static_cast<int64_t>(i * 3)));
  // Some begin like others.
  for (uint64_t i = 0; i < 6; ++i) {
    std::vector<int32_t> prompt = words(700, 99), more = words(30 + static_cast<int64_t>(i), i);
    prompt.insert(prompt.end(), more.begin(), more.end());
    requests.push_back(ask(prompt, 12));
  }
  Scheduler scheduler(e, options());
  std::vector<std::shared_ptr<Answers>> answers;
  for (const AnswerRequest& request : requests) answers.push_back(scheduler.submit({request}));
  int64_t reused = 0;
  std::vector<std::vector<int32_t>> got;
  for (auto& a : answers) {
    Answered answer = wait_for(*a);
    EXPECT_EQ(answer.last.finish, Finish::Length);
    EXPECT_EQ(answer.last.written, std::ssize(answer.ids));
    got.push_back(answer.ids);
    reused += answer.last.reused;
  }
  EXPECT_GE(reused, 5 * 512);
  EXPECT_TRUE(scheduler.drain(10));
  SchedulerFigures figures = scheduler.figures();
  EXPECT_EQ(figures.pages_used, 0);
  EXPECT_EQ(figures.running, 0);
  EXPECT_EQ(figures.finished[static_cast<size_t>(Finish::Length)], std::ssize(requests));
  for (size_t i = 0; i < requests.size(); ++i) EXPECT_EQ(got[i], alone(e, requests[i])) << i;
}

TEST_F(SchedulerTest, AQuestionAboutTheSameTextReadsTheQuestionOnly) {
  Engine e = engine();
  Scheduler scheduler(e, options());
  std::vector<int32_t> document = words(1500, 5), first = document, second = document;
  for (int32_t id : words(40, 6)) first.push_back(id);
  for (int32_t id : words(40, 7)) second.push_back(id);
  auto a = wait_for(*scheduler.submit({ask(first, 4)}));
  EXPECT_EQ(a.last.reused, 0);
  auto b = wait_for(*scheduler.submit({ask(second, 4)}));
  // The questions may begin alike.
  EXPECT_GE(b.last.reused, 1500);
  EXPECT_LE(b.last.reused, 1510);
  EXPECT_EQ(b.ids, alone(e, ask(second, 4)));
  // A turn of a conversation: what was asked, what was answered, and more.
  std::vector<int32_t> turn = second;
  turn.insert(turn.end(), b.ids.begin(), b.ids.end());
  for (int32_t id : words(30, 8)) turn.push_back(id);
  auto c = wait_for(*scheduler.submit({ask(turn, 4)}));
  EXPECT_GE(c.last.reused, 1540 + 3);
}

TEST_F(SchedulerTest, SeveralAnswersToOnePromptReadItOnce) {
  Engine e = engine();
  Scheduler scheduler(e, options());
  std::vector<AnswerRequest> requests;
  for (uint64_t i = 0; i < 4; ++i) {
    requests.push_back(ask(words(1100, 3), 6));
    requests.back().choice.sampling.temperature = 1;
    requests.back().choice.sampling.seed = i;
  }
  auto answers = scheduler.submit(requests);
  std::vector<std::vector<int32_t>> got;
  for (size_t i = 0; i < 4; ++i) got.push_back(wait_for(*answers, i).ids);
  EXPECT_NE(got[0], got[1]);
  // Four whole pages once; the rest of the prompt by each at most.
  EXPECT_LE(scheduler.figures().prompt_tokens, 1100 + 3 * (1100 - 1024));
  for (size_t i = 0; i < 4; ++i) EXPECT_EQ(got[i], alone(e, requests[i])) << i;
}

TEST_F(SchedulerTest, ALongPromptHoldsOthersBackForOnePartAtATime) {
  Engine e = engine();
  SchedulerOptions o = options();
  o.step_tokens = 64, o.step_seconds = 1000;
  Scheduler scheduler(e, o);
  auto writer = scheduler.submit({ask(words(20, 1), 4000)});
  while (writer->take(0).written == 0) writer->wait(100ms);
  auto reader = scheduler.submit({ask(words(3000, 2), 1)});
  int64_t begun = 0;
  for (AnswerNews news; news.read == 0; news = reader->take(0)) {
    begun = writer->take(0).written;
    reader->wait(100ms);
  }
  EXPECT_EQ(wait_for(*reader).last.finish, Finish::Length);
  // 3,000 tokens in parts of 64 take 47 steps, each of which writes a token of the other answer.
  EXPECT_GE(writer->take(0).written - begun, 45);
  writer->cancel();
  EXPECT_EQ(wait_for(*writer).last.finish, Finish::Cancelled);
}

TEST_F(SchedulerTest, WhoLeavesGivesItsPagesBackWithinAStep) {
  Engine e = engine();
  Scheduler scheduler(e, options());
  auto writing = scheduler.submit({ask(words(300, 1), 3000)});
  auto reading = scheduler.submit({ask(words(3500, 2), 100)});
  while (writing->take(0).written == 0) writing->wait(100ms);
  writing->cancel();
  reading->cancel();
  EXPECT_EQ(wait_for(*writing).last.finish, Finish::Cancelled);
  EXPECT_EQ(wait_for(*reading).last.finish, Finish::Cancelled);
  EXPECT_TRUE(scheduler.drain(10));
  EXPECT_EQ(scheduler.figures().pages_used, 0);
  EXPECT_EQ(scheduler.figures().finished[static_cast<size_t>(Finish::Cancelled)], 2);
}

TEST_F(SchedulerTest, MoreThanThePoolHoldsAtOnceIsAnsweredInTurn) {
  Engine e = engine();
  SchedulerOptions o = options();
  o.pool_tokens = 12 * kPageTokens;  // two of these requests, or one and what is cached
  Scheduler scheduler(e, o);
  std::vector<std::shared_ptr<Answers>> answers;
  std::vector<AnswerRequest> requests;
  for (uint64_t i = 0; i < 12; ++i) {
    requests.push_back(ask(words(900, i), 200));
    answers.push_back(scheduler.submit({requests.back()}));
  }
  for (size_t i = 0; i < answers.size(); ++i) {
    Answered answer = wait_for(*answers[i]);
    EXPECT_EQ(answer.last.finish, Finish::Length) << answer.last.error;
    EXPECT_EQ(answer.ids.size(), 200u);
  }
  EXPECT_TRUE(scheduler.drain(10));
  EXPECT_EQ(scheduler.figures().pages_used, 0);
}

TEST_F(SchedulerTest, RefusesWithNumbersWhatCannotBeAnswered) {
  Engine e = engine();
  SchedulerOptions o = options();
  o.pool_tokens = 8 * kPageTokens, o.streams = 1, o.queue = 2;
  Scheduler scheduler(e, o);
  auto refusal = [&](AnswerRequest request) {
    try {
      scheduler.submit({std::move(request)});
    } catch (const Refused& refused) {
      return refused;
    }
    return Refused(Refused::Reason::Closing, "taken");
  };
  Refused long_one = refusal(ask(words(4000, 1), 97));
  EXPECT_EQ(long_one.reason, Refused::Reason::TooLong);
  for (const char* number : {"4,000", "97", "4,097", "4,096"})
    EXPECT_NE(std::string(long_one.what()).find(number), std::string::npos)
        << number << ": " << long_one.what();
  Refused large = refusal(ask(words(1700, 1), 93));
  EXPECT_EQ(large.reason, Refused::Reason::TooLarge);
  EXPECT_NE(std::string(large.what()).find("1,792"), std::string::npos) << large.what();
  EXPECT_THROW(scheduler.submit({ask({1, 2, 64}, 1)}), Error);
  EXPECT_THROW(scheduler.submit({ask({}, 1)}), Error);
  std::vector<std::shared_ptr<Answers>> taken;
  for (int i = 0; i < 3; ++i) taken.push_back(scheduler.submit({ask(words(700, 1), 1000)}));
  Refused full = refusal(ask(words(10, 1), 1));
  EXPECT_EQ(full.reason, Refused::Reason::QueueFull);
  EXPECT_GE(full.retry_after_s, 1);
  for (auto& answers : taken) answers->cancel();
  for (auto& answers : taken) EXPECT_EQ(wait_for(*answers).last.finish, Finish::Cancelled);
  EXPECT_TRUE(scheduler.drain(10));
  EXPECT_EQ(refusal(ask(words(10, 1), 1)).reason, Refused::Reason::Closing);
}

TEST_F(SchedulerTest, TheScoresOfAPromptAreThoseOfScore) {
  Engine e = engine();
  Scheduler scheduler(e, options());
  AnswerRequest request = ask(words(333, 4), 0);
  request.score_prompt = true;
  request.choice.logprobs = 2;
  Answered answer = wait_for(*scheduler.submit({request}));
  std::vector<float> want;
  Sequence sequence(e, 333);
  sequence.score(request.prompt, want);
  ASSERT_EQ(answer.prompt.size(), 333u);
  ASSERT_EQ(want.size(), 332u);
  EXPECT_TRUE(answer.ids.empty());
  for (size_t i = 0; i < want.size(); ++i) {
    const ScoredToken& token = answer.prompt[i + 1];
    EXPECT_EQ(token.id, request.prompt[i + 1]);
    EXPECT_NEAR(token.logprob, want[i], 2e-5) << i;
    ASSERT_EQ(token.top.size(), 2u);
    EXPECT_GE(token.top[0].second, token.top[1].second);
    EXPECT_GE(token.top[0].second, token.logprob);
  }
}

TEST_F(SchedulerTest, AConstraintDecidesWhatMayCome) {
  Engine e = engine();
  Scheduler scheduler(e, options());
  AnswerRequest request = ask(words(20, 4), 6);
  auto accepted = std::make_shared<std::vector<int32_t>>();
  request.choice.constraint = {.allow =
                                   [accepted](std::vector<uint8_t>& allowed) {
                                     allowed[3 + accepted->size()] = allowed[20] = 1;
                                     if (!accepted->empty())
                                       allowed[static_cast<size_t>(accepted->back())] = 0;
                                   },
                               .accept = [accepted](int32_t id) { accepted->push_back(id); }};
  Answered answer = wait_for(*scheduler.submit({request}));
  EXPECT_EQ(answer.ids, *accepted);
  for (size_t i = 0; i < answer.ids.size(); ++i)
    EXPECT_TRUE(answer.ids[i] == 20 || answer.ids[i] == static_cast<int32_t>(3 + i)) << answer.ids[i];
  request.choice.constraint.allow = [](std::vector<uint8_t>&) {};
  Answered none = wait_for(*scheduler.submit({request}));
  EXPECT_EQ(none.last.finish, Finish::Failed);
  EXPECT_NE(none.last.error.find("allows no further token"), std::string::npos);
}

TEST_F(SchedulerTest, TimeIsKept) {
  Engine e = engine();
  SchedulerOptions o = options();
  o.streams = 1;
  Scheduler scheduler(e, o);
  auto first = scheduler.submit({ask(words(20, 1), 4000)});
  AnswerRequest hurried = ask(words(20, 2), 10);
  hurried.timeout_s = 0.05;
  EXPECT_EQ(wait_for(*scheduler.submit({hurried})).last.finish, Finish::TimedOut);
  first->cancel();
  EXPECT_EQ(wait_for(*first).last.finish, Finish::Cancelled);
}

TEST_F(SchedulerTest, TheNextIsWhoHasFewerAnswersRunningOrComesFirst) {
  Engine e = engine();
  SchedulerOptions o = options();
  o.streams = 2;
  Scheduler scheduler(e, o);
  auto of = [&](const std::string& user, int64_t tokens, int priority = 0) {
    AnswerRequest request = ask(words(20, 1), tokens);
    request.user = user, request.priority = priority;
    return scheduler.submit({request});
  };
  auto a = of("ann", 3000), b = of("ann", 400);
  while (b->take(0).written == 0) b->wait(100ms);
  auto third = of("ann", 600), other = of("bob", 600), urgent = of("ann", 20, -1);
  while (other->take(0).place != 2) other->wait(100ms);
  EXPECT_EQ(wait_for(*urgent).last.finish, Finish::Length);
  Answered bob = wait_for(*other);
  EXPECT_EQ(bob.last.finish, Finish::Length);
  // ann's first still runs: her third, which came before bob's, begins when his has ended, however late this
  // thread looks.
  while (third->take(0).written == 0) third->wait(100ms);
  EXPECT_GE(third->take(0).waited_s, bob.last.waited_s + bob.last.prefill_s + bob.last.decode_s);
  a->cancel(), third->cancel();
  EXPECT_EQ(wait_for(*third).last.finish, Finish::Cancelled);
}

TEST_F(SchedulerTest, ReadingsOutliveTheScheduler) {
  Engine e = engine();
  TemporaryDirectory folder;
  SchedulerOptions o = options();
  o.cache_folder = folder.path, o.cache_limit = int64_t{1} << 30;
  AnswerRequest request = ask(words(1700, 9), 8);
  std::vector<int32_t> first;
  {
    Scheduler scheduler(e, o);
    first = wait_for(*scheduler.submit({request})).ids;
    EXPECT_TRUE(scheduler.drain(10));
  }
  Scheduler scheduler(e, o);
  Answered again = wait_for(*scheduler.submit({request}));
  EXPECT_EQ(again.last.stored, 1536);  // whole chunks of 512
  EXPECT_EQ(again.ids, first);
}

TEST_F(SchedulerTest, TextsOfOneClassOfLengthsShareFrequencies) {
  Engine e = engine("dynamic_ntk:factor=2,original=64");
  Scheduler scheduler(e, options());
  std::vector<int32_t> prompt = words(800, 1);
  auto first = wait_for(*scheduler.submit({ask(prompt, 8)}));
  prompt.push_back(3);
  auto second = wait_for(*scheduler.submit({ask(prompt, 40)}));
  EXPECT_GE(second.last.reused, 768);
  // Declared for 2,048 tokens.
  Sequence sequence(e, 2048);
  sequence.feed(words(800, 1));
  auto logits = sequence.logits();
  EXPECT_EQ(first.ids[0], std::max_element(logits.begin(), logits.end()) - logits.begin());
  AnswerRequest longer = ask(prompt, 40);
  longer.declared_length = 4000;
  EXPECT_EQ(wait_for(*scheduler.submit({longer})).last.reused, 0);
}

}  // namespace
}  // namespace longspan
