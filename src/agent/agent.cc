#include "agent/agent.h"

#include <algorithm>
#include <chrono>

#include "base/error.h"
#include "base/plural.h"
#include "base/text.h"

namespace longspan::agent {

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// What ends the loop before a step, if anything does.
bool ended(const Agent& agent, const Facts& known, Outcome& out) {
  const Budget& b = agent.budget;
  auto end = [&](End what, std::string sentence) {
    out.end = what;
    out.sentence = std::move(sentence);
    return true;
  };
  if (!agent.goal.facts.empty() && holds(agent.goal.facts, known))
    return end(End::Reached, fmt::format("the goal is reached after {}", counted(out.steps, "step")));
  if (agent.go_on && !agent.go_on()) return end(End::Interrupted, "interrupted");
  if (b.steps > 0 && out.steps >= b.steps)
    return end(End::Steps, fmt::format("the budget of {} is spent (--steps)", counted(b.steps, "step")));
  if (b.tokens > 0 && out.read + out.written >= b.tokens)
    return end(End::Tokens, fmt::format("the budget of {} is spent: {} were read and {} written (--tokens)",
                                        counted(b.tokens, "token"), grouped(out.read), grouped(out.written)));
  if (b.seconds > 0 && out.seconds >= b.seconds)
    return end(End::Seconds, fmt::format("the budget of {} is spent (--seconds)", human_seconds(b.seconds)));
  return false;
}

/// What is taken for known after a call: what the tool says, else what its skill would change.
Facts facts_after(const ToolResult& result, const std::vector<Skill>& skills, const Facts& known,
                  const ToolCall& call) {
  if (result.failed || !result.facts.empty()) return result.facts;
  Facts changed;
  for (const Skill& skill : skills) {
    if (skill.call != call || !holds(skill.needs, known)) continue;
    Facts after = known;
    take_effect(skill, after);
    for (const auto& [name, n] : after)
      if (count(known, name) != n) changed[name] = n;
    break;
  }
  return changed;
}

std::vector<Choice> choices_of(const std::vector<Skill>& skills, const Facts& known) {
  std::vector<Choice> out;
  for (const Skill& skill : applicable(skills, known)) out.push_back({skill.name, skill.call});
  return out;
}

std::vector<std::string> names_of(const std::vector<Choice>& choices) {
  std::vector<std::string> names;
  for (const Choice& choice : choices) names.push_back(choice.name);
  return names;
}

void offer_nearest(const Agent& agent, History& history) {
  std::vector<std::string> names;
  std::vector<Tool> tools;
  for (size_t i : agent.nearest_tools(state_of(agent.goal, history.turns().back()))) {
    names.push_back(agent.tools.tools[i].name);
    tools.push_back(agent.tools.tools[i]);
  }
  history.offer_tools(names, tools_text(tools));
}

}  // namespace

const char* name(End end) {
  const char* names[] = {"reached", "answered", "steps", "tokens", "seconds", "stuck", "interrupted"};
  return names[static_cast<int>(end)];
}

std::vector<Choice> choices_of(const SkillSet& skills, const Facts& known) {
  return choices_of(grounded(skills, known), known);
}

std::string state_of(const Goal& goal, const Turn& newest) { return goal.text + "\n" + newest.observation; }

Outcome run_agent(const Agent& agent, History& history) {
  Outcome out;
  auto start = Clock::now();
  ToolResult seen = agent.tools.observe ? agent.tools.observe() : ToolResult{"Nothing was done yet."};
  Turn turn{.observation = seen.text, .facts = seen.facts};
  for (;;) {
    auto step_start = Clock::now();
    // The choices of a turn depend on what is known with it: on what was forgotten and came back.
    history.add(std::move(turn));
    Facts known = history.known();
    std::vector<Skill> skills = grounded(agent.skills, known);
    std::vector<Choice> allowed = choices_of(skills, known);
    history.offer(names_of(allowed),
                  agent.advice ? agent.advice({agent.goal, history, known, allowed}).text : "");
    if (agent.nearest_tools && agent.skills.rows.empty()) offer_nearest(agent, history);
    known = history.known();
    out.forgotten = history.first();
    out.seconds = seconds_since(start);
    if (ended(agent, known, out)) break;
    if (allowed.empty() && !agent.skills.rows.empty()) {
      out.end = End::Stuck;
      out.sentence = "no skill can be done with what is known: " + excerpt(facts_text(known), 200);
      break;
    }
    Decision decision = agent.policy({agent.goal, history, known, allowed});
    out.read += decision.read;
    out.written += decision.written;
    out.forgotten = history.first();
    if (!decision.stop.empty()) {
      bool go_on = !agent.go_on || agent.go_on();
      out.end = go_on ? End::Stuck : End::Interrupted;
      out.sentence = go_on ? decision.stop : "interrupted";
      break;
    }
    history.choose(decision.text);
    if (decision.answered) {
      out.end = End::Answered;
      out.answer = decision.text;
      out.sentence = fmt::format("answered after {}", counted(out.steps, "step"));
      break;
    }
    Step step{.number = ++out.steps, .turn = history.turns().back(), .call = decision.call};
    step.history = history.tokens();
    step.forgotten = history.first();
    step.read = decision.read;
    step.written = decision.written;
    out.history = std::max(out.history, step.history);
    step.result = agent.tools.run(decision.call);
    step.seconds = seconds_since(step_start);
    if (agent.on_step) agent.on_step(step);
    turn = {.observation = step.result.text, .facts = facts_after(step.result, skills, known, decision.call)};
  }
  out.seconds = seconds_since(start);
  return out;
}

}  // namespace longspan::agent
