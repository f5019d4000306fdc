// The loop: what ends it, what is known, how a history is cut and comes back, and transcripts.
#include "agent/agent.h"

#include "agent/policies.h"
#include "agent/transcript.h"
#include "base/file.h"
#include "folder.h"

namespace longspan::agent {
namespace {

int64_t ten_tokens(const Turn&, const History&) { return 10; }

/// Tools that say nothing of facts: what skills change is believed.
Agent workshop() {
  ToolSet tools;
  for (const char* name : {"go", "chop", "saw", "build"}) tools.tools.push_back({name, ""});
  tools.run = [](const ToolCall& call) { return ToolResult{"done: " + call.tool}; };
  tools.observe = [] { return ToolResult{"a workshop", false, workshop_facts()}; };
  Agent agent{.goal = {}, .tools = tools, .skills = skills_of(kWorkshop), .policy = {}};
  agent.goal = read_goal("chair", agent.skills);
  return agent;
}

TEST(Agent, APlanIsFollowedToTheGoal) {
  Agent agent = workshop();
  agent.policy = plan_policy(agent.skills);
  std::string done;
  agent.on_step = [&](const Step& step) { done += step.turn.choice + "; "; };
  History history(0, 0, ten_tokens);
  Outcome out = run_agent(agent, history);
  EXPECT_EQ(out.end, End::Reached);
  EXPECT_EQ(out.sentence, "the goal is reached after 7 steps");
  EXPECT_EQ(done, "go to forest; chop; chop; saw; saw; go to home; build chair; ");
  EXPECT_EQ(count(history.known(), "planks"), 1);
}

/// The first blows fail: the plan is searched anew and goes on.
TEST(Agent, ThePlanIsSearchedAnewWhereTheWorldDiffers) {
  Agent agent = workshop();
  agent.policy = plan_policy(agent.skills);
  int blows = 0;
  agent.tools.run = [&](const ToolCall& call) {
    if (call.tool == "chop" && ++blows < 3) return ToolResult{"missed", true};
    return ToolResult{"done"};
  };
  History history(0, 0, ten_tokens);
  EXPECT_EQ(run_agent(agent, history).steps, 9);
  EXPECT_EQ(blows, 4);
}

TEST(Agent, EachBudgetEndsItWithItsName) {
  auto end = [](Budget budget) {
    Agent agent = workshop();
    agent.policy = [](const Situation& now) {
      return Decision{now.allowed[0].name, now.allowed[0].call, 100, 10};
    };
    agent.budget = budget;
    History history(0, 0, ten_tokens);
    return run_agent(agent, history);
  };
  Outcome steps = end({.steps = 3});
  EXPECT_EQ(steps.sentence, "the budget of 3 steps is spent (--steps)");
  EXPECT_EQ(steps.steps, 3);
  Outcome tokens = end({.steps = 0, .tokens = 250});
  EXPECT_EQ(tokens.end, End::Tokens);
  EXPECT_EQ(tokens.sentence, "the budget of 250 tokens is spent: 300 were read and 30 written (--tokens)");
  Outcome seconds = end({.steps = 0, .tokens = 0, .seconds = 0.05});
  EXPECT_EQ(seconds.end, End::Seconds);
  expect_says(seconds.sentence, "(--seconds)");
}

TEST(Agent, CtrlCAndAPolicyThatGivesUp) {
  Agent agent = workshop();
  agent.policy = [](const Situation&) { return Decision{.text = "", .call = {}, .stop = "no idea"}; };
  History history(0, 0, ten_tokens);
  Outcome out = run_agent(agent, history);
  EXPECT_EQ(out.end, End::Stuck);
  EXPECT_EQ(out.sentence, "no idea");
  agent.go_on = [] { return false; };
  History other(0, 0, ten_tokens);
  EXPECT_EQ(run_agent(agent, other).end, End::Interrupted);
}

TEST(Agent, APlanThatIsImpossibleSaysWhy) {
  Agent agent = workshop();
  agent.policy = plan_policy(agent.skills);
  agent.tools.observe = [] {
    return ToolResult{"nothing", false, {{"at:home", 1}, {"table@home", 1}, {"wood", 2}}};
  };
  History history(0, 0, ten_tokens);
  Outcome out = run_agent(agent, history);
  EXPECT_EQ(out.end, End::Stuck);
  expect_says(out.sentence, "hammer");
}

TEST(History, TheOldestTurnsGoAndTheirFactsWithThem) {
  History history(100, 20, ten_tokens);
  for (int i = 0; i < 8; ++i) {
    history.add(
        {.observation = "o" + std::to_string(i), .facts = {{"f" + std::to_string(i), 1}, {"last", i}}});
    history.choose("c");
  }
  EXPECT_EQ(history.tokens(), 100);
  EXPECT_EQ(history.first(), 0u);
  history.add({.observation = "o8", .facts = {{"f8", 1}}});
  // Three quarters of 100: the task and five turns.
  EXPECT_EQ(history.tokens(), 70);
  EXPECT_EQ(history.first(), 4u);
  EXPECT_EQ(history.known(), (Facts{{"f4", 1}, {"f5", 1}, {"f6", 1}, {"f7", 1}, {"f8", 1}, {"last", 7}}));
  // The newest stays, whatever it takes.
  History small(5, 4, ten_tokens);
  small.add({.observation = "o"});
  EXPECT_EQ(small.first(), 0u);
  EXPECT_FALSE(small.forget_one());
}

TEST(History, WhatIsRecalledIsKnownAgainAndNewerFactsCount) {
  History history(40, 0, ten_tokens);
  for (int i = 0; i < 6; ++i)
    history.add({.observation = "o" + std::to_string(i), .facts = {{"f" + std::to_string(i), 1}, {"n", i}}},
                [](const std::vector<Turn>& turns, size_t first) {
                  EXPECT_LT(first, turns.size());
                  return std::vector<size_t>{0, 99};
                });
  EXPECT_EQ(history.turns().back().recalled, std::vector<size_t>{0});
  Facts known = history.known();
  EXPECT_EQ(count(known, "f0"), 1);
  EXPECT_EQ(count(known, "f1"), 0);
  EXPECT_EQ(count(known, "n"), 5);
  expect_says(turn_message(history.turns().back(), history.turns()), "Earlier, in turn 1:\n> o0\n> o5\n");
}

class Transcripts : public FolderTest {
 protected:
  std::string record(Agent agent, const std::string& name = "run.jsonl") {
    std::string path = (dir_ / name).string();
    TranscriptWriter writer(path, {{"goal", "chair"}});
    agent.policy = plan_policy(agent.skills);
    agent.on_step = [&](const Step& step) { writer.step(step); };
    History history(0, 0, ten_tokens);
    writer.end(run_agent(agent, history));
    return path;
  }
};

TEST_F(Transcripts, AreReadBackAndReplayed) {
  Agent agent = workshop();
  std::string text = read_file(record(agent));
  Transcript transcript = read_transcript(text, "run.jsonl");
  EXPECT_EQ(transcript.about["goal"], "chair");
  ASSERT_EQ(transcript.steps.size(), 7u);
  EXPECT_EQ(transcript.steps[6].call, (ToolCall{"build", {{"thing", "chair"}, {"legs", 4}}}));
  EXPECT_EQ(transcript.end["end"], "reached");
  EXPECT_FALSE(transcript.cut);

  std::string differences;
  auto differs = [&](const RecordedStep& step, const ToolResult& now) {
    differences += std::to_string(step.number) + ": " + step.result.text + " -> " + now.text + "\n";
  };
  EXPECT_EQ(replay(transcript, agent.tools, differs), 7);
  EXPECT_EQ(differences, "");
  agent.tools.run = [](const ToolCall& call) {
    return ToolResult{call.tool == "saw" ? "blunt" : "done: " + call.tool};
  };
  EXPECT_EQ(replay(transcript, agent.tools, differs), 7);
  EXPECT_EQ(differences, "4: done: saw -> blunt\n5: done: saw -> blunt\n");
  EXPECT_EQ(replay(transcript, agent.tools, differs, [] { return false; }), 0);
}

/// Whatever a kill leaves: all whole lines are steps.
TEST_F(Transcripts, EveryBeginningIsReadOrNamed) {
  std::string text = read_file(record(workshop()));
  size_t first = text.find('\n') + 1;
  for (size_t size = 0; size <= text.size(); ++size) {
    std::string part = text.substr(0, size);
    if (size < first) {
      expect_says(error_of([&] { read_transcript(part, "t"); }), "expected the transcript of an agent");
      continue;
    }
    Transcript read = read_transcript(part, "t");
    EXPECT_EQ(read.cut, part.back() != '\n');
    EXPECT_LE(read.steps.size(), 7u);
  }
}

TEST_F(Transcripts, AFileIsNotOverwritten) {
  std::string path = record(workshop());
  expect_says(error_of([&] { TranscriptWriter(path, {}); }),
              "already exists; give --transcript another name");
  expect_says(error_of([&] { TranscriptWriter(dir_ / "no" / "x", {}); }), "cannot be written");
}

TEST_F(Transcripts, LinesThatAreNoStepsAreNamed) {
  std::string head = "{\"transcript\": \"longspan agent 1\"}\n";
  auto fault = [&](const std::string& line) {
    return error_of([&] { read_transcript(head + line + "\n", "t"); });
  };
  expect_says(fault("{}"), "t, line 2 is {}, expected a step");
  expect_says(fault("3"), "t, line 2");
  expect_says(fault("{\"step\": 1, \"call\": {\"tool\": 3, \"arguments\": {}}, \"result\": {}}"),
              "t, line 2");
  expect_says(error_of([&] { read_transcript("{}\n", "t"); }), "t, line 1 is {}, expected the transcript");
}

}  // namespace
}  // namespace longspan::agent
