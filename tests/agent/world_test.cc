// The crafting world: the same for the same seed, closed to what is not possible, and solvable.
#include "agent/world.h"

#include "agent/agent.h"
#include "agent/policies.h"
#include "folder.h"

namespace longspan::agent {
namespace {

int64_t no_tokens(const std::string&, const std::string&) { return 100; }

/// The planner where no policy is given.
Outcome play(const std::string& goal, Policy policy, const World& world, int64_t steps, int64_t limit = 0) {
  History history(limit, 0, no_tokens);
  Agent agent{
      .goal = read_goal(goal, world.skills), .tools = world.tools, .skills = world.skills, .policy = {}};
  agent.policy = policy ? policy : plan_policy(agent.skills);
  agent.budget.steps = steps;
  return run_agent(agent, history);
}

TEST(World, TheSameSeedAndCallsGiveTheSameTexts) {
  World a = make_world("crafting", 7), b = make_world("crafting", 7), c = make_world("crafting", 8);
  ToolResult first = a.tools.observe();
  EXPECT_EQ(first, b.tools.observe());
  EXPECT_NE(first, c.tools.observe());
  EXPECT_EQ(a.tools.run({"look"}), b.tools.run({"look"}));
  // observe() begins anew.
  EXPECT_EQ(a.tools.observe(), first);
}

TEST(World, WhatIsNotPossibleChangesNothing) {
  World world = make_world("crafting", 1);
  Facts before = world.tools.observe().facts;
  for (const ToolCall& call : {ToolCall{"go", {{"place", "nowhere"}}},
                               {"go", {}},
                               {"go", 3},
                               {"fly", {}},
                               {"make", {{"thing", "crown"}}},
                               {"gather", {{"thing", "gold"}}},
                               {"say", {{"word", "amber"}}},
                               {"make", {{"thing", "planks"}}}}) {
    ToolResult result = world.tools.run(call);
    EXPECT_TRUE(result.failed) << call_text(call);
    EXPECT_EQ(result.facts, before) << call_text(call);
  }
  expect_says(world.tools.run({"make", {{"thing", "planks"}}}).text, "That takes 1 wood.");
}

TEST(World, OnlyTheWordThatWasReadOpensTheGate) {
  World world = make_world("crafting", 3);
  ToolResult seen = world.tools.observe();
  std::string word;
  for (const auto& [name, n] : seen.facts)
    if (name.starts_with("word:")) word = name.substr(5);
  ASSERT_NE(word, "");
  expect_says(seen.text, "the gate opens to the word " + word);
  Outcome there = play("open:gate", {}, world, 200);
  EXPECT_EQ(there.end, End::Reached) << there.sentence;
}

TEST(World, EveryGoalCanBeReached) {
  for (const char* goal : {"sticks", "stone_pickaxe", "crown"})
    for (uint64_t seed = 0; seed < 12; ++seed) {
      Outcome out = play(goal, {}, make_world("crafting", seed), 200);
      EXPECT_EQ(out.end, End::Reached) << goal << ", seed " << seed << ": " << out.sentence;
    }
}

TEST(World, AHistoryThatIsCutCostsSteps) {
  int64_t whole = 0, cut = 0;
  for (uint64_t seed = 0; seed < 8; ++seed) {
    whole += play("crown", {}, make_world("crafting", seed), 300).steps;
    cut += play("crown", {}, make_world("crafting", seed), 300, 4000).steps;
  }
  EXPECT_GT(cut, whole);
}

TEST(World, ChanceIsTheSameForTheSameSeed) {
  World world = make_world("crafting", 2);
  Outcome a = play("sticks", random_policy(5), world, 60), b = play("sticks", random_policy(5), world, 60);
  EXPECT_EQ(a.steps, b.steps);
  EXPECT_EQ(a.sentence, b.sentence);
}

TEST(World, AnUnknownOneIsNamed) {
  expect_says(error_of([] { make_world("craftin", 0); }), "did you mean crafting?");
}

}  // namespace
}  // namespace longspan::agent
