#include "agent/policies.h"

#include <memory>

#include "agent/planner.h"
#include "base/error.h"
#include "base/random.h"

namespace longspan::agent {

namespace {

struct Following {
  std::vector<Skill> steps;  // what is left of the plan
  Facts expected;            // what should be known when the next one is done
  std::string fault;
};

Following search(const SkillSet& skills, const Goal& goal, const Facts& known) {
  Plan plan = make_plan(skills, known, goal.facts);
  if (plan.fault.empty()) return {plan.steps, known, ""};
  Following nearest{{}, known, plan.fault};
  for (const Facts& place : exploring_goals(skills, known)) {
    Plan way = make_plan(skills, known, place);
    if (!way.steps.empty() && (nearest.steps.empty() || way.steps.size() < nearest.steps.size()))
      nearest.steps = std::move(way.steps);
  }
  if (nearest.steps.empty() && skills.explore) nearest.fault += ", and no place is left to explore";
  return nearest;
}

}  // namespace

Policy plan_policy(const SkillSet& skills) {
  auto plan = std::make_shared<Following>();
  return [plan, &skills](const Situation& now) {
    if (plan->steps.empty() || plan->expected != now.known) *plan = search(skills, now.goal, now.known);
    if (plan->steps.empty()) return Decision{.text = "", .call = {}, .stop = plan->fault};
    Skill next = plan->steps.front();
    plan->steps.erase(plan->steps.begin());
    take_effect(next, plan->expected);
    return Decision{.text = next.name, .call = next.call};
  };
}

Policy random_policy(uint64_t seed) {
  auto random = std::make_shared<Random>(seed);
  return [random](const Situation& now) {
    if (now.allowed.empty()) fail("nothing says what is allowed: a policy by chance needs skills (--skills)");
    const Choice& choice = now.allowed[random->below(now.allowed.size())];
    return Decision{.text = choice.name, .call = choice.call};
  };
}

}  // namespace longspan::agent
