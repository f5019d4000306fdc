// Any bytes as what an agent reads from outside: a line of an MCP server and the result of a call, a
// transcript, skills with facts and a plan. The first byte chooses.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "agent/mcp.h"
#include "agent/planner.h"
#include "agent/transcript.h"
#include "base/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace longspan;
  using namespace longspan::agent;
  if (size == 0) return 0;
  std::string text(reinterpret_cast<const char*>(data) + 1, size - 1);
  try {
    if (data[0] % 4 == 0) {
      ToolResult result = read_call_result(read_message(text).body);
      if (quoted(result.text, 100).find("\n<") != std::string::npos) std::abort();
    } else if (data[0] % 4 == 1) {
      read_tools(parse_json(text, "fuzz"), "fuzz");
    } else if (data[0] % 4 == 2) {
      read_transcript(text, "fuzz");
    } else {
      SkillSet set = read_skills(parse_toml(text, "fuzz"));
      Facts known = {{"at:a", 1}, {"path:a>b", 1}, {"wood@b", 2}, {"wood", 1}};
      for (const Goal& goal : set.goals) {
        Plan plan = make_plan(set, known, goal.facts);
        Facts after = known;
        for (const Skill& step : plan.steps) {
          if (!holds(step.needs, after)) std::abort();
          take_effect(step, after);
        }
        if (plan.fault.empty() && !holds(goal.facts, after)) std::abort();
      }
    }
  } catch (const Error&) {
  }
  return 0;
}
