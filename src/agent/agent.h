// The loop: observe, choose among what is allowed, act, and put what came out into the history. Whoever
// chooses is a function; what ends the loop is said in a sentence.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "agent/history.h"
#include "agent/skills.h"
#include "agent/tools.h"

namespace longspan::agent {

struct Choice {
  std::string name;
  ToolCall call;
};

/// What a policy sees.
struct Situation {
  const Goal& goal;
  History& history;  // which a policy with a window may make shorter
  const Facts& known;
  const std::vector<Choice>& allowed;  // empty: any call that a tool's schema allows
};

struct Decision {
  std::string text;  // as it stands in the history
  ToolCall call;
  int64_t read = 0, written = 0;  // tokens that it cost a model
  std::string stop = {};          // not empty: nothing is chosen, and why
  bool answered = false;          // `text` is the answer: no call is needed any more
};
using Policy = std::function<Decision(const Situation&)>;

/// 0: no limit.
struct Budget {
  int64_t steps = 100;
  int64_t tokens = 0;  // that a model reads and writes, in all steps together
  double seconds = 0;
};

enum class End { Reached, Answered, Steps, Tokens, Seconds, Stuck, Interrupted };
/// "reached", "answered", "steps", ...
const char* name(End end);

/// A turn and what it led to.
struct Step {
  int64_t number = 0;  // from 1
  Turn turn;
  ToolCall call;
  ToolResult result = {};
  int64_t read = 0, written = 0, history = 0;  // tokens; history: in the prompt of this turn
  size_t forgotten = 0;                        // turns that were no longer there
  double seconds = 0;
};

struct Outcome {
  End end = End::Stuck;
  std::string sentence;                                   // what ended it
  std::string answer;                                     // of Answered
  int64_t steps = 0, read = 0, written = 0, history = 0;  // tokens; history: the most that it had
  size_t forgotten = 0;
  double seconds = 0;
};

struct Agent {
  Goal goal;
  ToolSet tools;
  SkillSet skills = {};  // without rows: any call
  Policy policy;
  Policy advice = {};  // whose choice is shown as advice; may be empty
  // Numbers of the tools that are offered for a state (the goal, and what is observed), where any call may be
  // made; empty: all of them.
  std::function<std::vector<size_t>(const std::string& state)> nearest_tools = {};
  Budget budget = {};
  std::function<bool()> go_on = {};               // false: Ctrl-C
  std::function<void(const Step&)> on_step = {};  // as each ends
};

/// What is searched with for older turns and for tools.
std::string state_of(const Goal& goal, const Turn& newest);

/// Until the goal's facts hold (where it has any), the policy ends it, or a budget is spent. Facts that a
/// tool reports count; where it reports none and did not fail, the effects of the skill are taken as facts.
/// Error when a tool is gone; the steps before it were handed to on_step.
Outcome run_agent(const Agent& agent, History& history);

}  // namespace longspan::agent
