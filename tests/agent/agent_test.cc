// The loop: what ends it, what is known, how a history is cut and comes back, and transcripts.
#include "agent/agent.h"

#include "agent/policies.h"
#include "agent/transcript.h"
#include "base/file.h"
#include "folder.h"

namespace longspan::agent {
namespace {

int64_t ten_tokens(const std::string&, const std::string&) { return 10; }

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
  History history(40, 0, ten_tokens, [](const std::vector<Turn>& turns, size_t first) {
    EXPECT_LT(first, turns.size());
    return std::vector<size_t>{0, 99};
  });
  for (int i = 0; i < 6; ++i)
    history.add({.observation = "o" + std::to_string(i), .facts = {{"f" + std::to_string(i), 1}, {"n", i}}});
  EXPECT_EQ(history.turns().back().recalled, std::vector<size_t>{0});
  Facts known = history.known();
  EXPECT_EQ(count(known, "f0"), 1);
  EXPECT_EQ(count(known, "f1"), 0);
  EXPECT_EQ(count(known, "n"), 5);
}

/// A token for each byte.
int64_t bytes(const std::string& message, const std::string& choice) {
  return std::ssize(message) + std::ssize(choice);
}

/// A turn has 16 bytes, and 17 with its choice; an older one that came back 44.
TEST(History, WhatComesBackHasHalfOfWhatTheTaskLeaves) {
  History history(250, 50, bytes, [](const std::vector<Turn>&, size_t first) {
    return first == 9 ? std::vector<size_t>{5, 2, 5, 9, 7} : std::vector<size_t>{1};
  });
  EXPECT_EQ(history.recalled_part(), 100);
  auto turn = [&](int i) {
    history.add({.observation = "observation " + std::to_string(i % 10)});
    EXPECT_LE(history.tokens(), 250);
  };
  for (int i = 0; i < 11; ++i) {
    turn(i);
    history.choose("c");
    EXPECT_EQ(history.first(), 0u) << "all of it fits";
  }
  EXPECT_EQ(history.tokens(), 50 + 11 * 17);
  // 253 are too many: task and newest turns get 150 now, of which at most three quarters are taken. Of the
  // others come back those that matter most, in their order.
  turn(11);
  EXPECT_EQ(history.first(), 9u);
  EXPECT_EQ(history.turns().back().recalled, (std::vector<size_t>{2, 5}));
  EXPECT_EQ(history.tokens(), 50 + 2 * 17 + 16 + 2 * 44);
  EXPECT_EQ(recalled_message(history.turns(), 2), "Earlier, in turn 3:\n> observation 2\nThen: c\n");
  history.choose("c");
  turn(12);
  EXPECT_EQ(history.first(), 9u);
  EXPECT_EQ(history.tokens(), 50 + 3 * 17 + 16 + 2 * 44);
  // Where the prompt is longer than its parts, what came back goes first.
  EXPECT_TRUE(history.forget_one());
  EXPECT_EQ(history.turns().back().recalled, std::vector<size_t>{5});
  EXPECT_EQ(history.first(), 9u);
  EXPECT_EQ(history.tokens(), 50 + 3 * 17 + 16 + 44);
  // What can be done takes 44 more, so that turns go; then it is asked again what matters.
  history.offer({std::string(34, 'x')}, "");
  EXPECT_EQ(history.first(), 12u);
  EXPECT_EQ(history.turns().back().recalled, std::vector<size_t>{1});
  EXPECT_EQ(history.tokens(), 50 + 16 + 44 + 44);
  EXPECT_TRUE(history.forget_one());
  EXPECT_FALSE(history.forget_one());
  EXPECT_EQ(history.tokens(), 50 + 16 + 44);
}

TEST(History, ATurnWhoseFactsWereToldAnewDoesNotComeBack) {
  History history(50, 0, ten_tokens, [](const std::vector<Turn>&, size_t) {
    return std::vector<size_t>{0, 1, 2, 3};
  });
  history.add({.observation = "mill", .facts = {{"wood@mill", 5}, {"wood", 0}}});
  history.add({.observation = "a text"});
  history.add({.observation = "lake", .facts = {{"stone@lake", 2}, {"wood", 0}}});
  history.add({.observation = "mill", .facts = {{"wood@mill", 0}, {"wood", 5}}});
  for (int i = 0; i < 4; ++i) history.add({.observation = "hill", .facts = {{"wood", 5}}});
  EXPECT_EQ(history.first(), 7u);
  EXPECT_EQ(history.turns().back().recalled, (std::vector<size_t>{1, 2, 3}));
  EXPECT_EQ(history.known(), (Facts{{"stone@lake", 2}, {"wood", 5}, {"wood@mill", 0}}));
}

/// The axe was lost, and one went elsewhere, in turns that are forgotten and do not come back.
TEST(History, WhatIsOutOfDateIsNotKnown) {
  History history(40, 0, ten_tokens, [](const std::vector<Turn>&, size_t) { return std::vector<size_t>{0}; });
  history.add({.observation = "mill", .facts = {{"at:mill", 1}, {"axe", 1}, {"stone@mill", 5}}});
  history.add({.observation = "lake", .facts = {{"at:mill", 0}, {"at:lake", 1}, {"axe", 0}}});
  for (int i = 0; i < 4; ++i) history.add({.observation = "nothing new"});
  EXPECT_GT(history.first(), 1u);
  ASSERT_EQ(history.turns().back().recalled, std::vector<size_t>{0});
  EXPECT_EQ(history.known(), (Facts{{"stone@mill", 5}}));
}

/// Walks until it may open the door, which needs a code that was seen first.
Outcome open_a_door(int64_t limit, const Recall& recall, std::string& recalled) {
  Agent agent{.goal = {"open", "open the door", {{"open", 1}}},
              .tools = {},
              .skills = skills_of(R"(
[[skill]]
name = "walk"
call = { tool = "walk" }
produces = { walked = 1 }
[[skill]]
name = "open the door"
call = { tool = "open" }
needs = { code = 1, walked = 9 }
produces = { open = 1 }
)"),
              .policy = [](const Situation& now) {
                const Choice& last = now.allowed.back();
                return Decision{.text = last.name, .call = last.call};
              }};
  agent.tools.observe = [] { return ToolResult{"the code is 7", false, {{"code", 1}}}; };
  agent.tools.run = [walked = 0](const ToolCall& call) mutable {
    return call.tool == "walk" ? ToolResult{"a corridor", false, {{"walked", ++walked}}}
                               : ToolResult{"the door is open", false, {{"open", 1}}};
  };
  agent.budget.steps = 30;
  agent.on_step = [&](const Step& step) {
    recalled += step.turn.recalled.empty() ? "" : std::to_string(step.number) + " ";
  };
  History history(limit, 0, ten_tokens, recall);
  return run_agent(agent, history);
}

TEST(Agent, WhatComesBackDecidesWhatIsPossible) {
  std::string recalled;
  EXPECT_EQ(open_a_door(0, {}, recalled).steps, 10);
  EXPECT_EQ(open_a_door(50, {}, recalled).end, End::Steps);
  EXPECT_EQ(recalled, "");
  Outcome out = open_a_door(
      50,
      [](const std::vector<Turn>& turns, size_t first) {
        EXPECT_TRUE(turns.back().choices.empty()) << "what is possible depends on what comes back";
        return first > 0 ? std::vector<size_t>{0} : std::vector<size_t>{};
      },
      recalled);
  EXPECT_EQ(out.end, End::Reached);
  EXPECT_EQ(out.steps, 10);
  // Five turns fit; from the sixth on the first one is no longer among them.
  EXPECT_EQ(recalled, "6 7 8 9 10 ");
}

TEST(History, OfferedToolsTakeRoomOnlyInTheNewestTurn) {
  History history(100, 20, bytes);
  history.add({.observation = "o1"});
  history.offer_tools({"a", "b"}, std::string(40, 'x'));
  EXPECT_EQ(history.tokens(), 20 + 5 + 40);
  history.choose("c");
  history.add({.observation = "o2"});
  EXPECT_EQ(history.tokens(), 20 + 6 + 5);
  history.offer_tools({"b"}, std::string(70, 'x'));
  EXPECT_EQ(history.first(), 1u) << "the older turn has no room beside them";
  EXPECT_EQ(history.tokens(), 20 + 5 + 70);
}

TEST(Agent, OnlyTheNearestToolsAreOffered) {
  Agent agent{.goal = {"", "count the words", {}}, .tools = workshop().tools, .skills = {}, .policy = {}};
  std::string states;
  agent.nearest_tools = [&](const std::string& state) {
    states += state + "; ";
    return std::vector<size_t>{1, 3};
  };
  agent.policy = [](const Situation& now) {
    const Turn& turn = now.history.turns().back();
    EXPECT_EQ(turn.tools, (std::vector<std::string>{"chop", "build"}));
    EXPECT_EQ(turn.tools_text, tools_text({{"chop", ""}, {"build", ""}}));
    return Decision{.text = "chop", .call = {"chop"}};
  };
  agent.budget.steps = 2;
  History history(0, 0, ten_tokens);
  run_agent(agent, history);
  EXPECT_EQ(states,
            "count the words\na workshop; count the words\ndone: chop; count the words\ndone: chop; ");
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
