// Who chooses: a planner, or chance. (The model is in model_policy.h.)
#pragma once

#include <cstdint>

#include "agent/agent.h"

namespace longspan::agent {

/// Follows a plan step by step and searches anew when what is known differs from what the plan expected.
/// Where nothing known leads to the goal it goes to the nearest place that the skills' [explore] names, and
/// where there is none it stops with the planner's fault. `skills` outlives the policy.
Policy plan_policy(const SkillSet& skills);

/// Any of what is allowed, the same for the same seed. Error where nothing says what is allowed.
Policy random_policy(uint64_t seed);

}  // namespace longspan::agent
