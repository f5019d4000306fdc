// Skills as rows of data: which tool call does it, what must be there before, and what it changes (STRIPS
// over counted facts, as in Plan4MC, Yuan et al. 2023). A row may have variables: {place} in its names stands
// for whatever the known facts put there, and the row becomes one skill for each way to fill it.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "agent/tools.h"
#include "base/settings.h"

namespace longspan::agent {

struct Skill {
  std::string name;
  ToolCall call;
  Facts needs = {};     // at least so many, also of what is consumed
  Facts consumes = {};  // so many are gone afterwards
  Facts produces = {};  // so many more are there
  bool operator==(const Skill&) const = default;
};

struct SkillRow {
  Skill skill;                         // with {variables}
  std::vector<std::string> each = {};  // facts whose names give the variables: "path:{from}>{to}"
};

struct Goal {
  std::string name, text;
  Facts facts;  // reached when there are so many
};

struct SkillSet {
  std::vector<SkillRow> rows;
  // Facts whose names begin with this exclude each other: where one is ("at:"). "": there are none.
  std::string exclusive = {};
  // Where nothing known leads to the goal, the nearest of these is one: "at:{place}" for each "place:{place}"
  // that lacks "visited:{place}".
  struct Explore {
    std::string each, lacks, goal;
  };
  std::optional<Explore> explore = {};
  std::vector<Goal> goals = {};
};

/// [[skill]] with name, call (tool, arguments), each, needs, consumes, produces, nearby; [[goal]] with name,
/// text, facts; [explore]; exclusive. nearby = ["furnace"] is each = "furnace@{place}" with the needs
/// "furnace@{place}" and "at:{place}". Keys of others are left in place when `whole` is false. Error with
/// file, line and key.
SkillSet read_skills(const TomlFile& file, bool whole = true);
/// A file that ends in .json, or TOML.
SkillSet read_skills_file(const std::filesystem::path& path);

/// What can be made of the rows by known facts and by what such skills produce, in the order of the rows.
/// Error beyond kMostSkills.
std::vector<Skill> grounded(const SkillSet& set, const Facts& known);
constexpr size_t kMostSkills = 20000;

/// Of these, the ones whose needs are met, each name once.
std::vector<Skill> applicable(const std::vector<Skill>& skills, const Facts& known);
/// What is known after it.
void take_effect(const Skill& skill, Facts& facts);

/// The unvisited goals of `explore`; none when the set has no such table.
std::vector<Facts> exploring_goals(const SkillSet& set, const Facts& known);

/// The goal of that name, or what a text says: "iron_pickaxe", "wood >= 3, axe". Error naming the goals.
Goal read_goal(const std::string& text, const SkillSet& set);

/// What the rows say, a line each, for whoever has to choose: "make torch: takes 1 coal, 1 stick; gives 4
/// torch".
std::string skills_text(const SkillSet& set);

/// A name with its variables filled; unknown ones stay as they are.
std::string filled(std::string text, const std::map<std::string, std::string>& variables);
/// How the names of facts give the variables of a pattern; nothing where a name does not match. A variable
/// stands for one or more characters other than : @ >.
std::optional<std::map<std::string, std::string>> matched(const std::string& pattern, const std::string& name,
                                                          std::map<std::string, std::string> variables = {});

}  // namespace longspan::agent
