// Skills as rows, and plans: against a search of all states on small problems, and what is said where there
// is none.
#include "agent/planner.h"

#include <deque>
#include <set>

#include "base/random.h"
#include "folder.h"

namespace longspan::agent {
namespace {

/// Steps of a shortest plan, found by looking at every state; -1 when no state within `most` has the goal.
int64_t shortest(const SkillSet& set, const Facts& known, const Facts& goal, int64_t most) {
  std::vector<Skill> skills = grounded(set, known);
  std::deque<std::pair<Facts, int64_t>> open = {{known, 0}};
  std::set<Facts> seen = {known};
  for (; !open.empty(); open.pop_front()) {
    auto [facts, steps] = open.front();
    if (holds(goal, facts)) return steps;
    if (steps == most) continue;
    for (const Skill& skill : skills) {
      if (!holds(skill.needs, facts)) continue;
      Facts next = facts;
      take_effect(skill, next);
      if (seen.insert(next).second) open.emplace_back(next, steps + 1);
    }
  }
  return -1;
}

void expect_executable(const Plan& plan, Facts facts, const Facts& goal) {
  for (const Skill& step : plan.steps) {
    ASSERT_TRUE(holds(step.needs, facts)) << step.name;
    take_effect(step, facts);
  }
  EXPECT_TRUE(holds(goal, facts));
}

std::string names(const Plan& plan) {
  std::string out;
  for (const Skill& step : plan.steps) out += (out.empty() ? "" : ", ") + step.name;
  return out;
}

TEST(Skills, RowsBecomeSkillsByWhatIsKnown) {
  SkillSet set = skills_of(kWorkshop);
  std::vector<Skill> skills = grounded(set, workshop_facts());
  ASSERT_EQ(skills.size(), 5u);
  EXPECT_EQ(skills[0].name, "go to home");
  EXPECT_EQ(skills[1].name, "go to forest");
  EXPECT_EQ(skills[1].call, (ToolCall{"go", {{"place", "forest"}}}));
  EXPECT_EQ(skills[2].needs, (Facts{{"at:forest", 1}, {"wood@forest", 1}}));
  EXPECT_EQ(skills[4].call, (ToolCall{"build", {{"thing", "chair"}, {"legs", 4}}}));
  std::vector<Skill> now = applicable(skills, workshop_facts());
  ASSERT_EQ(now.size(), 1u);
  EXPECT_EQ(now[0].name, "go to forest");
}

TEST(Skills, VariablesAreWhatStandsBetween) {
  using Variables = std::map<std::string, std::string>;
  EXPECT_EQ(matched("path:{a}>{b}", "path:mill>lake"), (Variables{{"a", "mill"}, {"b", "lake"}}));
  EXPECT_EQ(matched("{a}@{a}", "x@y"), std::nullopt);
  EXPECT_EQ(matched("{a}@{a}", "x@x"), (Variables{{"a", "x"}}));
  EXPECT_EQ(matched("path:{a}", "path:"), std::nullopt);
  EXPECT_EQ(matched("path:{a}", "path:x>y"), std::nullopt);
  EXPECT_EQ(matched("wood", "wood"), Variables{});
  EXPECT_EQ(matched("a{", "a{"), Variables{});
  EXPECT_EQ(filled("{a} to {b} by {c}", {{"a", "1"}, {"b", "2"}}), "1 to 2 by {c}");
}

TEST(Skills, WhatIsProducedFillsOtherRows) {
  SkillSet set = skills_of(R"(
[[skill]]
name = "open {door}"
each = ["door:{door}"]
call = { tool = "open" }
produces = { "way:{door}" = 1 }
[[skill]]
name = "pass {door}"
each = ["way:{door}"]
call = { tool = "pass" }
needs = { "way:{door}" = 1 }
produces = { passed = 1 })");
  EXPECT_EQ(names(make_plan(set, {{"door:north", 1}}, {{"passed", 1}})), "open north, pass north");
}

TEST(Skills, FaultsNameFileLineAndKey) {
  auto fault = [](const std::string& toml) { return error_of([&] { skills_of(toml); }); };
  expect_says(fault(""), "skills.toml: there is no [[skill]]");
  expect_says(fault("[[skill]]\ncall = { tool = \"a\" }"), "name");
  expect_says(fault("[[skill]]\nname = \"a\"\ncall = { }"), "tool");
  expect_says(fault("[[skill]]\nname = \"a\"\ncall = { tool = \"a\" }\nneed = { x = 1 }"),
              "did you mean needs?");
  expect_says(fault("[[skill]]\nname = \"a\"\ncall = { tool = \"a\" }\nneeds = { x = 1.5 }"), "whole number");
  expect_says(fault("[[skill]]\nname = \"a\"\ncall = { tool = \"a\" }\nproduces = { x = 0 }"), "x");
}

TEST(Goals, AreNamesOrFacts) {
  SkillSet set = skills_of(kWorkshop);
  EXPECT_EQ(read_goal("chair", set).text, "build a chair");
  EXPECT_EQ(read_goal("wood >= 3, chair", set).facts, (Facts{{"chair", 1}, {"wood", 3}}));
  expect_says(error_of([&] { read_goal("chairs please", set); }), "goals of the skills: chair");
  expect_says(error_of([&] { read_goal("wood >= many", set); }), "no list of facts");
}

TEST(Planner, CountsWhatIsNeededAndGoesOnce) {
  SkillSet set = skills_of(kWorkshop);
  Plan plan = make_plan(set, workshop_facts(), {{"chair", 2}});
  EXPECT_EQ(plan.fault, "");
  expect_executable(plan, workshop_facts(), {{"chair", 2}});
  // Six planks are three times sawing.
  using Counts = std::vector<std::pair<std::string, int64_t>>;
  EXPECT_EQ(plan.counts(),
            (Counts{{"go to forest", 1}, {"chop", 3}, {"saw", 3}, {"go to home", 1}, {"build chair", 2}}));
  EXPECT_EQ(make_plan(set, {{"chair", 1}}, {{"chair", 1}}).steps.size(), 0u);
  EXPECT_EQ(names(make_plan(set, workshop_facts(), {{"at:forest", 1}})), "go to forest");
}

TEST(Planner, SaysWhatIsMissing) {
  SkillSet set = skills_of(kWorkshop);
  Facts known = workshop_facts();
  known.erase("hammer");
  Plan none = make_plan(set, known, {{"chair", 1}});
  EXPECT_TRUE(none.steps.empty());
  expect_says(none.fault, "hammer");
  known = workshop_facts();
  known["wood@forest"] = 1;
  expect_says(make_plan(set, known, {{"chair", 1}}).fault, "wood");
  EXPECT_EQ(make_plan(set, known, {{"throne", 1}}).fault, "nothing known makes throne");
  known.erase("table@home");
  EXPECT_EQ(make_plan(set, known, {{"chair", 1}}).fault,
            "nothing known makes chair: build chair asks for a known table@{place}");
}

TEST(Planner, NamesACycle) {
  SkillSet set = skills_of(R"(
[[skill]]
name = "lay"
call = { tool = "lay" }
needs = { hen = 1 }
produces = { egg = 1 }
[[skill]]
name = "hatch"
call = { tool = "hatch" }
consumes = { egg = 1 }
produces = { hen = 1 })");
  Plan none = make_plan(set, {}, {{"hen", 1}});
  EXPECT_TRUE(none.steps.empty());
  expect_says(none.fault, "hen");
  Plan two = make_plan(set, {{"hen", 1}}, {{"hen", 3}});
  expect_executable(two, {{"hen", 1}}, {{"hen", 3}});
  EXPECT_EQ(two.steps.size(), 4u);
}

/// Chains of recipes over places, each thing with one maker: as short as any plan can be.
TEST(Planner, ListsAreTheShortestWhereEachFactHasOneMaker) {
  for (uint64_t seed = 0; seed < 60; ++seed) {
    Random random(seed);
    std::string toml = R"(
exclusive = "at:"
[[skill]]
name = "go to {to}"
each = ["path:{from}>{to}"]
call = { tool = "go" }
consumes = { "at:{from}" = 1 }
produces = { "at:{to}" = 1 }
)";
    auto row = [&](const std::string& name, const std::string& rest) {
      toml += "[[skill]]\nname = \"" + name + "\"\ncall = { tool = \"t\" }\n" + rest;
    };
    Facts known = {{"at:p0", 1}};
    for (int i = 1; i < 4; ++i) {
      auto a = "p" + std::to_string(i), b = "p" + std::to_string(random.below(static_cast<uint64_t>(i)));
      known["path:" + a + ">" + b] = known["path:" + b + ">" + a] = 1;
    }
    for (const char* thing : {"a", "b"}) {
      known[std::string(thing) + "@p" + std::to_string(random.below(4))] = 4;
      row(std::string("take ") + thing, std::string("nearby = [\"") + thing + "\"]\nconsumes = { \"" + thing +
                                            "@{place}\" = 1 }\nproduces = { " + thing + " = 1 }\n");
    }
    auto number = [&](uint64_t most) { return std::to_string(1 + random.below(most)); };
    known["bench@p" + std::to_string(random.below(4))] = 1;
    row("make c", "consumes = { a = " + number(2) + " }\nproduces = { c = " + number(2) + " }\n");
    row("make d", "nearby = [\"bench\"]\nneeds = { c = 1 }\nconsumes = { b = " + number(2) +
                      " }\nproduces = { d = 1 }\n");
    Facts goal = {{"d", 1 + static_cast<int64_t>(random.below(2))}};
    SkillSet set = skills_of(toml);
    Plan plan = make_plan(set, known, goal);
    ASSERT_EQ(plan.fault, "") << seed;
    expect_executable(plan, known, goal);
    EXPECT_EQ(std::ssize(plan.steps), shortest(set, known, goal, 30)) << seed << ": " << names(plan);
  }
}

/// Making one input takes the other away: the search makes it again.
TEST(Planner, GetsBackWhatAnotherStepUses) {
  SkillSet set = skills_of(R"(
[[skill]]
name = "a"
call = { tool = "t" }
produces = { a = 1 }
[[skill]]
name = "b"
call = { tool = "t" }
consumes = { a = 1 }
produces = { b = 1 }
[[skill]]
name = "c"
call = { tool = "t" }
consumes = { a = 1, b = 1 }
produces = { c = 1 })");
  Plan plan = make_plan(set, {}, {{"c", 1}});
  expect_executable(plan, {}, {{"c", 1}});
  EXPECT_EQ(plan.steps.size(), 4u);
}

TEST(Planner, EndsWhereAPlanWouldBeTooLong) {
  SkillSet set = skills_of("[[skill]]\nname = \"a\"\ncall = { tool = \"t\" }\nproduces = { a = 1 }");
  Plan plan = make_plan(set, {}, {{"a", 1000000}});
  EXPECT_TRUE(plan.steps.empty());
  expect_says(plan.fault, "the search ended");
}

TEST(Skills, TooManyAreAnError) {
  SkillSet set = skills_of(
      "[[skill]]\nname = \"x\"\neach = [\"p:{a}\", \"p:{b}\", \"p:{c}\"]\ncall = { tool = \"t\" }\nproduces "
      "= { x = 1 }");
  Facts many;
  for (int i = 0; i < 60; ++i) many["p:" + std::to_string(i)] = 1;
  expect_says(error_of([&] { grounded(set, many); }), "more than 20,000 skills");
}

}  // namespace
}  // namespace longspan::agent
