// agent: what a run prints, records and replays, and what it refuses.
#include <set>

#include "base/error_text.h"
#include "cli/program.h"
#include "embed/embedder.h"

namespace longspan {
namespace {

std::vector<Json> lines_of(const std::string& text) {
  std::vector<Json> out;
  for (size_t at = 0, end; (end = text.find('\n', at)) != text.npos; at = end + 1)
    out.push_back(parse_json(text.substr(at, end - at), "line"));
  return out;
}

class AgentProgram : public ProgramTest {
 protected:
  Outcome act(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "agent");
    return run(arguments);
  }
  std::string path(const char* name) { return (dir_ / name).string(); }
  std::string mcp_server() {
    return "python3 " + std::string(LONGSPAN_SOURCE) + "/tests/agent/mcp_server.py";
  }
  std::string wood_skills() {
    return write("wood.toml",
                 "[[skill]]\nname = \"chop\"\ncall = { tool = \"chop\" }\nproduces = { wood = 1 }\n");
  }
};

TEST_F(AgentProgram, APlanIsRecordedAndReplayed) {
  Outcome made = act({"stone_pickaxe", "--world", "crafting", "--seed", "3", "--policy", "plan",
                      "--transcript", path("run.jsonl")});
  ASSERT_EQ(made.status, 0) << made.err;
  EXPECT_TRUE(made.out.starts_with("1. ")) << made.out;
  expect_says(made.out, "make stone_pickaxe\n> Done: make stone_pickaxe. You are at the ");
  expect_says(made.err, "the goal is reached after ");

  std::vector<Json> lines = lines_of(read_file(dir_ / "run.jsonl"));
  EXPECT_EQ(lines.front()["seed"], 3);
  EXPECT_EQ(lines.back()["end"], "reached");
  EXPECT_EQ(lines.back()["steps"], lines.size() - 2);
  Outcome again = act({"--replay", path("run.jsonl")});
  EXPECT_EQ(again.status, 0) << again.err;
  expect_says(again.out, " steps done again, 0 with another result\n");

  // In another world the first calls already differ.
  Outcome other = act({"--replay", path("run.jsonl"), "--seed", "4", "--json"});
  EXPECT_EQ(other.status, 1);
  EXPECT_GT(lines_of(other.out).back()["different"], 0);

  Outcome twice =
      act({"sticks", "--world", "crafting", "--policy", "plan", "--transcript", path("run.jsonl")});
  EXPECT_EQ(twice.status, 1);
  expect_says(twice.err, "run.jsonl already exists");
}

TEST_F(AgentProgram, AnyModelChoosesAmongWhatIsPossible) {
  for (const std::vector<std::string>& more :
       {std::vector<std::string>{}, {"--advise"}, {"--temperature", "1"}, {"--history-tokens", "3500"}}) {
    std::vector<std::string> arguments = {tiny_model(8192), "crown", "--world", "crafting", "--seed", "1",
                                          "--steps",        "8",     "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    Outcome made = act(arguments);
    EXPECT_EQ(made.status, 1) << made.err;
    std::vector<Json> lines = lines_of(made.out);
    ASSERT_EQ(lines.size(), 9u) << made.out << made.err;
    for (int i = 0; i < 8; ++i) {
      Json choices = lines[static_cast<size_t>(i)]["choices"];
      EXPECT_NE(std::find(choices.begin(), choices.end(), lines[static_cast<size_t>(i)]["choice"]),
                choices.end());
    }
    EXPECT_EQ(lines.back()["sentence"], "the budget of 8 steps is spent (--steps)");
    if (more.empty()) {
      // Nothing was read twice: what was read is what the history has, and a few tokens where an answer was
      // written as other tokens than the prompt gives it.
      EXPECT_LT(lines.back()["read"].get<int64_t>(), lines.back()["history"].get<int64_t>() + 100);
    }
  }
}

TEST_F(AgentProgram, AWindowThatIsFullIsSaid) {
  Outcome made = act({tiny_model(4096), "crown", "--world", "crafting", "--steps", "50", "--json"});
  EXPECT_EQ(made.status, 1);
  expect_says(lines_of(made.out).back()["sentence"], "--history-tokens N forgets the oldest turns");
  Outcome tokens = act({tiny_model(4096), "crown", "--world", "crafting", "--tokens", "100", "--json",
                        "--history-tokens", "4096"});
  expect_says(lines_of(tokens.out).back()["sentence"], "the budget of 100 tokens is spent");
}

class AgentMemory : public AgentProgram {
 protected:
  static std::string embedder() { return (fs::path(LONGSPAN_GOLDEN) / "embed" / "mean").string(); }
  /// Arguments for a run with a memory in the folder `name`.
  std::vector<std::string> with_memory(std::vector<std::string> arguments, const char* name = "memory") {
    for (const std::string& more : {std::string("--world"), std::string("crafting"), std::string("--memory"),
                                    path(name), std::string("--embedder"), embedder(), std::string("--json")})
      arguments.push_back(more);
    return arguments;
  }
};

TEST_F(AgentMemory, WhatIsForgottenComesBack) {
  std::vector<std::string> plan = {"crown", "--seed", "1", "--policy", "plan", "--history-tokens", "4096"};
  Outcome made = act(with_memory(plan));
  EXPECT_EQ(made.status, 0) << made.err;
  std::vector<Json> steps = lines_of(made.out);
  Json end = steps.back();
  steps.pop_back();
  Outcome whole = act({"crown", "--seed", "1", "--policy", "plan", "--world", "crafting", "--json"});
  EXPECT_LE(end["history"], 4096);
  EXPECT_GT(lines_of(whole.out).back()["history"], 8000);
  bool came_back = false;
  for (const Json& step : steps) {
    std::vector<int64_t> recalled = step["recalled"];
    EXPECT_TRUE(std::is_sorted(recalled.begin(), recalled.end()));
    for (int64_t number : recalled) EXPECT_LE(number, step["forgotten"]);
    came_back |= !recalled.empty();
  }
  EXPECT_TRUE(came_back);
  // Each forgotten turn is there whole.
  Json listed = run({"index", path("memory"), "--list", "--json"}).json();
  EXPECT_EQ(listed["kind"], "steps of an agent");
  EXPECT_EQ(listed["documents"].size(), end["forgotten"]);
  Json hits = run({"index", path("memory"), "--search", "The inscription says", "--json"}).json()["hits"];
  ASSERT_FALSE(hits.empty());
  for (const Json& hit : hits) {
    const Json& step = steps[std::stoul(hit["file"].get<std::string>()) - 1];
    expect_says(step["observation"].get<std::string>() + "\n\n" + step["choice"].get<std::string>(),
                hit["text"]);
  }

  Outcome again = act(with_memory(plan));
  EXPECT_EQ(again.status, 1);
  EXPECT_TRUE(again.one_sentence()) << again.err;
  expect_says(again.err, "of an earlier run; give --memory a new folder");
}

TEST_F(AgentMemory, AModelGoesOnBeyondItsWindow) {
  std::string model = tiny_model(4096);
  Outcome made = act(with_memory({model, "crown", "--seed", "1", "--steps", "25"}));
  EXPECT_EQ(made.status, 1) << made.err;
  std::vector<Json> lines = lines_of(made.out);
  EXPECT_EQ(lines.back()["sentence"], "the budget of 25 steps is spent (--steps)") << made.err;
  EXPECT_GT(lines.back()["forgotten"], 0);
  EXPECT_LE(lines.back()["history"], 4096);
  EXPECT_FALSE(lines[24]["recalled"].empty());
}

TEST_F(AgentMemory, FaultsAreOneSentence) {
  auto fails = [&](const std::vector<std::string>& arguments, const std::string& sentence) {
    Outcome made = act(arguments);
    EXPECT_EQ(made.status, 1) << made.err;
    EXPECT_TRUE(made.one_sentence()) << made.err;
    expect_says(made.err, sentence);
  };
  std::vector<std::string> plan = {"sticks",   "--policy", "plan",   "--world",
                                   "crafting", "--memory", path("m")},
                           cut = plan, lost = plan;
  fails(plan, "how many tokens it has, with --history-tokens");
  cut.insert(cut.end(), {"--history-tokens", "4096", "--embedder", embedder()});
  lost.insert(lost.end(), {"--history-tokens", "4096", "--embedder", "/nowhere/embedder"});
  fails(lost, "/nowhere/embedder");
  write("text", "some text");
  ASSERT_EQ(run({"index", path("m"), path("text"), "--embedder", embedder(), "-q"}).status, 0);
  fails(cut, "is an index of documents, not of steps of an agent");
  fs::remove_all(path("m"));
  ASSERT_EQ(run({"chat", tiny_model(1024), "--memory", path("m"), "--embedder", embedder(), "-q"}).status, 0);
  fails(cut, "is an index of conversation, not of steps of an agent");
  fs::remove_all(path("m"));
  fs::create_directory(path("m"));
  write("m/other", "a file");
  fails(cut, "is a folder of other files");
}

TEST_F(AgentProgram, SkillsOverAnMcpServer) {
  Outcome made = act({"wood", "--mcp", mcp_server(), "--skills", wood_skills(), "--policy", "plan", "--yes"});
  EXPECT_EQ(made.status, 0) << made.err;
  EXPECT_EQ(made.out, "1. chop\n> one more\n");
  Outcome dead = act(
      {"wood", "--mcp", mcp_server() + " version", "--skills", wood_skills(), "--policy", "plan", "--yes"});
  EXPECT_EQ(dead.status, 1);
  EXPECT_TRUE(dead.one_sentence()) << dead.err;
}

TEST_F(AgentProgram, ToolsAreProgramsThatAreAskedFor) {
  std::string tools =
      write("tools.json", R"([{"name": "chop", "command": ["echo", "{\"facts\": {\"wood\": 5}}"]}])");
  Outcome made = act({"wood >= 4", "--tools", tools, "--skills", wood_skills(), "--policy", "plan", "--yes"});
  EXPECT_EQ(made.status, 0) << made.err;
  // Standard input of the tests is a file.
  Outcome unasked = act({"wood", "--tools", tools, "--skills", wood_skills(), "--policy", "plan"});
  EXPECT_EQ(unasked.status, 1);
  expect_says(unasked.err, "--yes allows all calls");
}

TEST_F(AgentProgram, FaultsAreOneSentence) {
  auto fails = [&](const std::vector<std::string>& arguments, const std::string& sentence, int status = 1) {
    Outcome made = act(arguments);
    EXPECT_EQ(made.status, status) << made.err;
    EXPECT_TRUE(made.one_sentence()) << made.err;
    expect_says(made.err, sentence);
  };
  fails({}, "MODEL", 2);
  fails({"m", "--world", "crafting"}, "GOAL", 2);
  fails({"--policy", "plan", "--world", "crafting"}, "GOAL", 2);
  fails({"sticks", "--policy", "plann", "--world", "crafting"}, "did you mean plan?", 2);
  fails({"sticks", "--policy", "plan"}, "say what the agent acts on");
  fails({"sticks", "--policy", "plan", "--world", "craftin"}, "did you mean crafting?");
  fails({"stick", "--policy", "plan", "--world", "crafting", "--tools", "x"}, "say what the agent acts on");
  fails({"two sticks", "--policy", "plan", "--world", "crafting"}, "goals of the skills: sticks");
  fails({"a", "--policy", "plan", "--tools", "/nowhere.json", "--yes"}, "/nowhere.json");
  fails({"a", "--policy", "plan", "--mcp", "\"unclosed", "--yes"}, "is no command");
  fails({"a", "--policy", "plan", "--mcp", "/nowhere/server", "--yes"}, "cannot be started");
  fails({"a", "--policy", "plan", "--mcp", mcp_server(), "--yes"},
        "--policy plan needs to know what tools do");
  fails({"--replay", write("t.jsonl", "{}\n")}, "expected the transcript of an agent");
  fails({"--replay", write("u.jsonl", "{\"transcript\": \"longspan agent 1\"}\n")}, "say where they are");
  fails({"/nowhere", "sticks", "--world", "crafting"}, "/nowhere");
  fails({"sticks", "--policy", "plan", "--world", "crafting", "--tools-nearest", "2"},
        "for a model that may call any tool");
  fails({"/nowhere", "sticks", "--world", "crafting", "--tools-nearest", "2"},
        "for a model that may call any tool");
  fails({"/nowhere", "sticks", "--mcp", mcp_server(), "--yes", "--tools-nearest", "2", "--embedder", "/none"},
        "/none");
}

/// A model that has the letters of JSON calls tools by their schemas.
class AgentSlow : public AgentProgram {};

TEST_F(AgentSlow, AModelCallsToolsByTheirSchemas) {
  fs::path model = cache_dir() / "smollm2" / "SmolLM2-135M-Instruct.Q4_1.gguf";
  if (!fs::exists(model)) GTEST_SKIP() << model << " is absent: run longspan fetch smollm2";
  Outcome made = act({model.string(), "What is 2 plus 40? Use the tool.", "--mcp", mcp_server(), "--yes",
                      "--steps", "2", "--json"});
  std::vector<Json> lines = lines_of(made.out);
  ASSERT_GE(lines.size(), 2u) << made.err;
  for (const Json& line : lines) {
    if (line.contains("end")) continue;
    EXPECT_EQ(parse_json(line["choice"].get<std::string>(), "choice"), line["call"]);
    EXPECT_TRUE(line["call"]["arguments"].is_object());
    EXPECT_TRUE(line["tools"].empty());
  }
}

/// The tools offered are those whose descriptions are nearest to the goal and the observation, behind
/// LLM-Embedder's pair of instructions for tools; what is not offered is not called.
TEST_F(AgentSlow, TheNearestToolsAreOffered) {
  fs::path model = cache_dir() / "smollm2" / "SmolLM2-135M-Instruct.Q4_1.gguf";
  if (!fs::exists(model)) GTEST_SKIP() << model << " is absent: run longspan fetch smollm2";
  fs::path bge = fs::path(LONGSPAN_GOLDEN) / "embed" / "bge";
  fs::copy(bge, dir_ / "llm-embedder", fs::copy_options::recursive);
  Json tools = Json::array();
  std::vector<std::string> names = {"king", "dog", "window", "capital", "search", "document"}, texts;
  for (const std::string& name : names) {
    tools.push_back(
        {{"name", name}, {"description", "what the " + name + " is"}, {"command", {"echo", name}}});
    texts.push_back(name + ": what the " + name + " is");
  }
  Outcome made =
      act({model.string(), "find the capital", "--tools", write("tools.json", dump_json(tools)), "--yes",
           "--steps", "3", "--tools-nearest", "2", "--embedder", path("llm-embedder"), "--json"});
  std::vector<Json> lines = lines_of(made.out);
  ASSERT_GE(lines.size(), 2u) << made.err;
  Embedder plain(bge, {.task = "none", .pooling = "cls"});
  auto nearest = [&](const std::string& before_query, const std::string& before_key,
                     const std::string& state) {
    std::vector<std::string> all = {before_query + state};
    for (const std::string& text : texts) all.push_back(before_key + text);
    std::vector<float> v = plain.embed(all, EmbedSide::Key);
    size_t width = v.size() / all.size();
    std::vector<std::pair<double, std::string>> found;
    for (size_t i = 0; i < names.size(); ++i) {
      double product = 0;
      for (size_t j = 0; j < width; ++j) product += static_cast<double>(v[j]) * v[(i + 1) * width + j];
      found.emplace_back(-product, names[i]);
    }
    std::sort(found.begin(), found.end());
    return std::set<std::string>{found[0].second, found[1].second};
  };
  for (const Json& line : lines) {
    if (line.contains("end")) continue;
    std::set<std::string> offered = line["tools"];
    std::string state = "find the capital\n" + line["observation"].get<std::string>();
    EXPECT_EQ(offered, nearest("Transform this user request for fetching helpful tool descriptions: ",
                               "Transform this tool description for retrieval: ", state));
    EXPECT_NE(offered, nearest("", "", state)) << "the instructions do not matter here";
    EXPECT_TRUE(offered.contains(line["call"]["tool"]));
  }
}

}  // namespace
}  // namespace longspan
