// agent: a task that is worked on step by step with tools, by a model, a planner, or chance.
#include "agent/agent.h"

#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <iostream>
#include <optional>

#include "agent/command_tools.h"
#include "agent/mcp.h"
#include "agent/model_policy.h"
#include "agent/policies.h"
#include "agent/transcript.h"
#include "agent/world.h"
#include "base/error.h"
#include "base/file.h"
#include "base/plural.h"
#include "cli/answering.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/retrieving.h"
#include "cli/usage.h"
#include "cli/window.h"
#include "retrieval/nearest.h"

namespace longspan::cli {

namespace {

struct AgentOptions : Options {
  std::string goal, world, tools, skills, policy = "model", transcript, replay, memory;
  EmbedderChoice embedder;
  std::vector<std::string> mcp;
  agent::Budget budget;
  double tool_seconds = 30;
  int64_t history_tokens = 0, tools_nearest = 0, n = 256;
  bool advise = false, yes = false;
  SamplingOptions sampling;
};

/// Words as a shell would part them, quotes included; nothing else of a shell.
std::vector<std::string> command_words(const std::string& text) {
  std::vector<std::string> words;
  char quote = 0;
  bool open = false;
  for (char c : text) {
    if (quote ? c == quote : c == '\'' || c == '"') {
      quote = quote ? 0 : c;
      if (!open) words.emplace_back();
      open = true;
    } else if (!quote && (c == ' ' || c == '\t')) {
      open = false;
    } else {
      if (!open) words.emplace_back();
      open = true;
      words.back() += c;
    }
  }
  if (quote || words.empty() || words[0].empty())
    fail("--mcp {} is no command; give its words in one text as in --mcp \"python3 server.py\"",
         in_quotes(text));
  return words;
}

/// Shows each call and waits for y; "a" allows all that follow.
agent::ToolSet asked(agent::ToolSet set, const AgentOptions& o) {
  if (o.yes) return set;
  if (::isatty(STDIN_FILENO) != 1)
    fail(
        "nobody can be asked before a tool runs, since standard input is no terminal; --yes allows all "
        "calls");
  auto all = std::make_shared<bool>(false);
  auto run = set.run;
  set.run = [run, all](const agent::ToolCall& call) {
    if (!*all) {
      fmt::print(stderr, "Run {}? [y]es, [n]o, [a]ll: ", excerpt(agent::call_text(call), 2000));
      std::string answer;
      bool typed = wait_readable(STDIN_FILENO) && std::getline(std::cin, answer);
      if (!typed || answer.empty() || (answer[0] != 'y' && answer[0] != 'a'))
        return agent::ToolResult{"the user did not allow this call", true};
      *all = answer[0] == 'a';
    }
    return run(call);
  };
  return set;
}

struct Surroundings {
  agent::ToolSet tools;
  agent::SkillSet skills;
};

Surroundings surroundings(const AgentOptions& o) {
  Surroundings out;
  if (!o.world.empty()) {
    agent::World world = agent::make_world(o.world, o.seed);
    out = {std::move(world.tools), std::move(world.skills)};
  } else {
    agent::ChildLimits limits{.seconds = o.tool_seconds, .go_on = [] { return !interrupted(); }};
    std::vector<agent::ToolSet> sets;
    if (!o.tools.empty()) sets.push_back(agent::command_tools(o.tools, limits));
    for (const std::string& command : o.mcp) sets.push_back(agent::mcp_tools(command_words(command), limits));
    out.tools = asked(agent::joined(std::move(sets)), o);
  }
  if (!o.skills.empty()) out.skills = agent::read_skills_file(o.skills);
  return out;
}

Json about(const AgentOptions& o, const agent::Goal& goal, const agent::ToolSet& tools) {
  Json names = Json::array();
  for (const agent::Tool& tool : tools.tools) names.push_back(tool.name);
  return {{"goal", goal.text},
          {"facts", Json(goal.facts)},
          {"policy", o.policy},
          {"model", o.model.empty() ? Json() : Json(o.model)},
          {"advise", o.advise},
          {"history_tokens", o.history_tokens},
          {"memory", o.memory.empty() ? Json() : Json(o.memory)},
          {"world", o.world.empty() ? Json() : Json(o.world)},
          {"seed", o.seed},
          {"tools", std::move(names)}};
}

void show_step(const AgentOptions& o, const agent::Step& step) {
  if (o.json) return print_json(agent::to_json(step));
  print_now(fmt::format("{}. {}\n{}\n", step.number, excerpt(step.turn.choice, 1000),
                        agent::quoted(step.result.text)));
}

/// With --tools-nearest: finds the tools that are nearest to a state; empty where all of them are offered.
std::function<std::vector<size_t>(const std::string&)> tool_search(const AgentOptions& o,
                                                                   const std::vector<agent::Tool>& tools) {
  if (o.tools_nearest == 0 || std::ssize(tools) <= o.tools_nearest) return {};
  std::vector<std::string> texts;
  for (const agent::Tool& tool : tools) texts.push_back(tool.name + ": " + tool.description);
  auto nearest =
      std::make_shared<retrieval::NearestTexts>(open_embedder(o, settled(o.embedder, {}, kToolTask)), texts);
  return [nearest, most = static_cast<size_t>(o.tools_nearest)](const std::string& state) {
    return nearest->find(state, most);
  };
}

/// Turns that were forgotten are put into the memory; for a new turn come back those that are near to the
/// goal and what is observed now.
agent::Recall recall_from(const AgentOptions& o, const agent::Goal& goal) {
  constexpr int64_t kMostRecalled = 256;
  if (o.memory.empty()) return {};
  std::shared_ptr<retrieval::Memory> memory = open_memory(o, o.memory, o.embedder, retrieval::kSteps);
  if (memory->turns() > 0)
    fail("{}: holds {} of an earlier run; give --memory a new folder", o.memory,
         counted(memory->turns(), "step"));
  return [memory, goal](const std::vector<agent::Turn>& turns, size_t first) {
    for (auto i = static_cast<size_t>(memory->turns()); i < first; ++i)
      memory->add(turns[i].observation, turns[i].choice);
    std::vector<size_t> numbers;
    for (const retrieval::Turn& turn :
         memory->recall(agent::state_of(goal, turns.back()), static_cast<int64_t>(first) + 1, kMostRecalled))
      numbers.push_back(static_cast<size_t>(turn.number) - 1);
    return numbers;
  };
}

/// Runs the agent with whatever chooses, and tells what came of it.
int work(const AgentOptions& o, agent::Agent agent, agent::History& history) {
  std::optional<agent::TranscriptWriter> transcript;
  if (!o.transcript.empty()) transcript.emplace(o.transcript, about(o, agent.goal, agent.tools));
  agent.budget = o.budget;
  agent.go_on = [] { return !interrupted(); };
  agent.on_step = [&](const agent::Step& step) {
    if (transcript) transcript->step(step);
    show_step(o, step);
  };
  if (o.advise) agent.advice = agent::plan_policy(agent.skills);
  agent::Outcome out;
  try {
    out = agent::run_agent(agent, history);
  } catch (const Error&) {
    if (interrupted()) return kExitInterrupted;
    throw;
  }
  if (transcript) transcript->end(out);
  if (o.json) {
    print_json(agent::to_json(out));
  } else {
    if (out.end == agent::End::Answered) print_now(excerpt(out.answer, 10000) + "\n");
    remark(o, "{}; {} of history{}{}", out.sentence, counted(out.history, "token"),
           out.forgotten > 0
               ? fmt::format(", {} forgotten", counted(static_cast<int64_t>(out.forgotten), "turn"))
               : "",
           o.policy == "model"
               ? fmt::format("; {} tokens read, {} written", grouped(out.read), grouped(out.written))
               : "");
  }
  if (out.end == agent::End::Interrupted) return kExitInterrupted;
  return out.end == agent::End::Reached || out.end == agent::End::Answered ? kExitDone : kExitFault;
}

/// --policy plan and random: a model only counts tokens, when there is one.
int work_without_model(const AgentOptions& o, agent::Agent agent) {
  if (!o.memory.empty() && o.history_tokens == 0)
    fail(
        "--memory brings back what a short history forgets; say how many tokens it has, with "
        "--history-tokens");
  std::string task = agent::task_message(agent.goal, agent.skills, agent.tools.tools);
  agent::Recall recall = recall_from(o, agent.goal);
  agent.policy = o.policy == "plan" ? agent::plan_policy(agent.skills) : agent::random_policy(o.seed);
  if (o.model.empty()) {
    agent::History history(
        o.history_tokens, agent::guessed_tokens(task),
        [](const std::string& message, const std::string& choice) {
          return agent::guessed_tokens(message + choice) + 8;
        },
        recall);
    return work(o, agent, history);
  }
  OpenedModel opened = open_model(o, false);
  agent::History history(o.history_tokens, agent::tokens_of(opened.setup.prompts, task),
                         agent::turn_measure(opened.setup.prompts), recall);
  return work(o, agent, history);
}

/// Tokens that the history may have: what was asked for, else the window, or what the memory holds of it.
int64_t history_window(Engine& engine, const AgentOptions& o) {
  int64_t asked = o.history_tokens > 0 ? o.history_tokens : o.context;
  stretch(engine, o, asked);
  int64_t window = window_tokens(engine.config(), o);
  if (asked > window)
    fail("--history-tokens is {}, the window is {}; --position or --context make it longer", grouped(asked),
         grouped(window));
  if (asked > 0) {
    check_memory(engine, {.tokens = asked});
    return asked;
  }
  int64_t fits = engine.memory_for({.tokens = window}).longest;
  if (fits < window)
    remark(o, "the memory holds {} tokens of the window of {}", grouped(fits), grouped(window));
  return std::min(window, fits);
}

int work_with_model(AgentOptions& o, const agent::Agent& without_policy) {
  check_sampling(o.sampling);
  o.sampling.seed = o.seed;
  agent::Recall recall = recall_from(o, without_policy.goal);
  auto nearest_tools = tool_search(o, without_policy.tools.tools);
  Engine engine = open_engine(o, o.history_tokens > 0 || o.context > 0 ? Lengths::Known : Lengths::Unknown);
  agent::Agent agent = without_policy;  // whose policy holds a text on the engine, and ends before it
  agent.nearest_tools = std::move(nearest_tools);
  agent::ModelOptions options{.window = history_window(engine, o),
                              .may_forget = o.history_tokens > 0 || recall,
                              .most_tokens = agent.skills.rows.empty() ? o.n : std::min<int64_t>(o.n, 64),
                              .system = o.system,
                              .sampling = chat_sampling(engine.chat(), o.sampling),
                              .go_on = [] { return !interrupted(); }};
  std::string task = agent::task_message(
      agent.goal, agent.skills, agent.nearest_tools ? std::vector<agent::Tool>{} : agent.tools.tools);
  std::vector<std::string> remarks;
  agent.policy = agent::model_policy(engine, task, agent.tools.tools, options, remarks);
  for (const std::string& sentence : remarks) remark(o, "{}", sentence);
  agent::History history(options.may_forget ? options.window - options.most_tokens : 0,
                         agent::tokens_of(engine.prompts(), task), agent::turn_measure(engine.prompts()),
                         recall);
  return work(o, agent, history);
}

int run_again(AgentOptions& o) {
  agent::Transcript transcript = agent::read_transcript(read_file(o.replay), o.replay);
  const Json& first = transcript.about;
  if (o.tools.empty() && o.mcp.empty() && o.world.empty() && first.contains("world") &&
      first["world"].is_string())
    o.world = first["world"];
  if (!o.seed_given && first.contains("seed") && first["seed"].is_number_unsigned()) o.seed = first["seed"];
  if (o.tools.empty() && o.mcp.empty() && o.world.empty())
    fail("{}: its tools are not of a world; say where they are, with --tools or --mcp", o.replay);
  if (transcript.cut) remark(o, "{}: its last line is not whole and was left out", o.replay);
  Surroundings all = surroundings(o);
  int64_t different = 0;
  int64_t done = agent::replay(
      transcript, all.tools,
      [&](const agent::RecordedStep& step, const agent::ToolResult& now) {
        ++different;
        if (o.json) return print_json({{"step", step.number}, {"was", step.result.text}, {"now", now.text}});
        print_now(fmt::format("step {}, {}, differs: it was\n{}\nand is now\n{}\n", step.number,
                              excerpt(agent::call_text(step.call), 200), agent::quoted(step.result.text),
                              agent::quoted(now.text)));
      },
      [] { return !interrupted(); });
  if (o.json)
    print_json({{"steps", done}, {"different", different}});
  else
    print_now(fmt::format("{} done again, {} with another result\n", counted(done, "step"), different));
  if (interrupted()) return kExitInterrupted;
  return different > 0 ? kExitFault : kExitDone;
}

int act(AgentOptions& o) {
  arm_interrupt();
  if (!o.replay.empty()) return run_again(o);
  if (!o.world.empty() + (!o.tools.empty() || !o.mcp.empty()) != 1)
    fail("say what the agent acts on: --tools FILE and --mcp COMMAND, or --world {}",
         fmt::join(agent::world_names(), ", "));
  Surroundings all = surroundings(o);
  bool plans = o.policy != "model" || o.advise;
  if (plans && all.skills.rows.empty())
    fail("{} needs to know what tools do; give their skills with --skills FILE",
         o.advise ? "--advise" : "--policy " + o.policy);
  if (o.tools_nearest > 0 && (o.policy != "model" || !all.skills.rows.empty()))
    fail("--tools-nearest is for a model that may call any tool, without skills and other policies");
  agent::Goal goal =
      all.skills.rows.empty() ? agent::Goal{o.goal, o.goal, {}} : agent::read_goal(o.goal, all.skills);
  agent::Agent agent{
      .goal = goal, .tools = std::move(all.tools), .skills = std::move(all.skills), .policy = {}};
  return o.policy == "model" ? work_with_model(o, agent) : work_without_model(o, agent);
}

/// One word is the goal where no model chooses.
void settle_words(AgentOptions& o) {
  if (!o.replay.empty()) return;
  if (o.policy != "model" && o.goal.empty()) std::swap(o.model, o.goal);
  if (o.goal.empty()) throw CLI::RequiredError(o.policy == "model" && o.model.empty() ? "MODEL" : "GOAL");
}

}  // namespace

Run define_agent(CLI::App& app) {
  auto o = std::make_shared<AgentOptions>();
  app.add_option("MODEL", o->model,
                 "GGUF file, directory, or name; only counts tokens where it does not choose");
  app.add_option("GOAL", o->goal, "the task; with skills a goal of theirs, or facts: \"wood >= 3, axe\"");
  app.parse_complete_callback([o] { settle_words(*o); });
  app.add_option("--tools", o->tools, "a JSON file of tools, each with its command");
  app.add_option("--mcp", o->mcp, "a Model Context Protocol server: \"COMMAND ARGS\"; may be repeated")
      ->allow_extra_args(false);
  app.add_option("--world", o->world, "a built-in world: crafting; --seed N says which one");
  app.add_option("--skills", o->skills, "what tools need and change, in TOML or JSON: choices, and plans");
  app.add_option("--policy", o->policy, "who chooses: model (default), plan or random, which need no model")
      ->transform(one_of({"model", "plan", "random"}));
  app.add_flag("--advise", o->advise, "show the model the planner's next step");
  app.add_option("--steps", o->budget.steps, "end after N steps; default 100")
      ->transform(whole_number(1, int64_t{1} << 30));
  app.add_option("--tokens", o->budget.tokens,
                 "end after the model read and wrote N tokens; default no limit")
      ->transform(whole_number(1, int64_t{1} << 50));
  app.add_option("--seconds", o->budget.seconds, "end after N seconds; default no limit")
      ->check(CLI::Range(0.001, 1e9).description(""));
  app.add_option("--history-tokens", o->history_tokens,
                 "keep the newest turns that fit N tokens; default all")
      ->transform(whole_number(256, int64_t{1} << 40));
  app.add_option("--memory", o->memory,
                 "new folder that keeps what is forgotten; what matters for a step comes back");
  app.add_option("--tools-nearest", o->tools_nearest,
                 "offer a model only the N tools nearest to goal and observation")
      ->transform(whole_number(1, int64_t{1} << 20));
  app.add_option("--embedder", o->embedder.name,
                 "for memory and tools: file, directory, or name; default minilm");
  app.add_option("--transcript", o->transcript, "write every step to this new file, as JSON lines");
  app.add_option("--replay", o->replay, "run the calls of a transcript again and compare their results");
  app.add_flag("--yes", o->yes, "run tools without asking before each call");
  app.add_option("--tool-seconds", o->tool_seconds, "time that a call may take; default 30")
      ->check(CLI::Range(0.1, 86400.0).description(""));
  app.add_option("-n", o->n, "tokens of a choice at most; default 256")->transform(whole_number(8, 65536));
  app.add_option("--temperature", o->sampling.temperature, "0 (default): always the likeliest token");
  add_chat_options(app, *o);
  app.add_option("--context", o->context, "use a window of N tokens (32k, 1M), even beyond the model's")
      ->transform(whole_number(1, int64_t{1} << 40));
  add_engine_options(app, *o);
  add_output_options(app, *o);
  for (const char* rare : {"--chunk", "--compute", "--kernels", "--weights", "--cache-type",
                           "--chat-template", "--device", "--system", "--tool-seconds"})
    app.get_option(rare)->group("");
  return [o] { return act(*o); };
}

}  // namespace longspan::cli
