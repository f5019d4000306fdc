// A world in text to be an agent in: places with paths between them, things that lie there, recipes, tools
// that others need, things of no use, and a word that is read early and wanted late. All of it is the rows of
// resources/agent/crafting.toml and a seed: the rules are the same skills that a planner reads, done to facts
// of which one sees those of the place where one is. The same seed and calls give the same texts.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "agent/skills.h"
#include "agent/tools.h"

namespace longspan::agent {

struct World {
  ToolSet tools;  // go, gather, make, say, look; observe() begins anew
  SkillSet skills;
};

/// Names of the worlds that there are: "crafting".
std::vector<std::string> world_names();
/// Error for a name that there is not.
World make_world(const std::string& name, uint64_t seed);

}  // namespace longspan::agent
