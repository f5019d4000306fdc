// From what is known to a goal: which skills, how often, in which order. Two searches. Backwards through the
// graph of skills (what makes the goal, what that needs, ...), as Plan4MC does: it gives the skills and their
// counts, and takes the cheapest maker where there are several. Then forwards through the orders in which
// these can be done, breadth first over the skills that only change an exclusive fact (going from place to
// place): the fewest of them. Where each fact has one maker the list is a shortest one.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "agent/skills.h"

namespace longspan::agent {

struct Plan {
  std::vector<Skill> steps;  // ready to be done one after the other
  std::string fault = {};    // why there is none: what nothing known makes, what it is needed for, a cycle

  /// How often each skill is done, in the order of the first times.
  std::vector<std::pair<std::string, int64_t>> counts() const;
};

/// A plan of no steps where the goal is reached already. The same known facts give the same plan.
Plan make_plan(const SkillSet& set, const Facts& known, const Facts& goal);

/// A plan of more steps than this is none, nor is one that takes so many attempts to find.
constexpr int64_t kMostPlanSteps = 2000, kMostAttempts = 20000;

}  // namespace longspan::agent
