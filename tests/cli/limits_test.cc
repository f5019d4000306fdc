// What a run needs against what there is, before it begins: memory, lengths in k, factors that follow the
// length, advice that methods hold, and outputs that cannot be written.
#include <map>

#include "base/memory.h"
#include "cli/commands.h"
#include "cli/program.h"

namespace longspan {
namespace {

class Limits : public ProgramTest {
 protected:
  static std::string story(size_t characters) {
    std::string text;
    while (text.size() < characters) text += "the quick brown fox jumps over the lazy dog. ";
    text.resize(characters);
    return text;
  }
  void expect_fault(const Outcome& r, int status, const std::vector<std::string>& parts) {
    EXPECT_EQ(r.status, status) << r.err;
    EXPECT_TRUE(r.one_sentence()) << r.err;
    EXPECT_EQ(r.out, "");
    for (const std::string& part : parts)
      EXPECT_NE(r.err.find(part), std::string::npos) << part << " in " << r.err;
  }
  /// Runs the program with its output going where `output` says; the status and what it said.
  Outcome redirected(const std::vector<std::string>& arguments, const std::string& output) {
    std::string command = "cd " + quoted(dir_.string()) +
                          " && LONGSPAN_CACHE=" + quoted((dir_ / "cache").string()) + " " +
                          quoted(LONGSPAN_PROGRAM);
    for (const std::string& a : arguments) command += " " + quoted(a);
    command += " </dev/null " + output + " 2>" + quoted((dir_ / "stderr").string());
    int status = std::system(command.c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), "", read_file(dir_ / "stderr")};
  }
};

TEST_F(Limits, LengthsAreAcceptedInThousands) {
  std::string model = tiny_model(64);
  EXPECT_EQ(run({"plan", model, "--to", "1k", "--json"}).json()["window"]["asked"], 1024);
  EXPECT_EQ(run({"info", model, "--context", "2K", "--json"}).json()["context"], 2048);
  std::string text = write("text", story(1500));
  EXPECT_EQ(
      run({"score", model, "--file", text, "--length", "1k", "--context", "1M", "--json"}).json()["tokens"],
      1024);
  Json rows = run({"compare", model, "--file", text, "--methods", "none", "--lengths", "1k,512", "--tail",
                   "32", "--passkeys", "0", "--json"})
                  .json()["rows"];
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[1]["length"], 1024);
  Json plan =
      run({"plan", model, "--to", "256", "--position", "dynamic_ntk:factor=2,length=1k", "--json"}).json();
  EXPECT_NE(plan["method"].get<std::string>().find("length=1024"), std::string::npos) << plan["method"];
}

TEST_F(Limits, OtherLengthsAreNamedAsNoWholeNumber) {
  std::string model = tiny_model(64);
  for (const char* text : {"32q", "1.5k", "-1", "k", "1e3"})
    expect_fault(run({"plan", model, "--to=" + std::string(text)}), 2,
                 {"--to", "\"" + std::string(text) + "\" is not a whole number such as 4096 or 4k"});
  expect_fault(run({"plan", model, "--to", "1"}), 2, {"\"1\" is less than 2"});
  expect_fault(run({"info", model, "--context", "0"}), 2, {"\"0\" is less than 1"});
  expect_fault(run({"compare", model, "--file", "t", "--methods", "none", "--lengths", "8k,x"}), 2,
               {"\"x\" is not a whole number"});
}

/// 150 characters are 150 tokens: 150 / 64 times the window.
TEST_F(Limits, AFactorFollowsTheText) {
  std::string model = tiny_model(64), text = write("text", story(150));
  Json wanted = run({"score", model, "--file", text, "--position", "yarn:factor=2.34375", "--json"}).json();
  for (const char* position : {"yarn", "yarn:factor=auto"}) {
    Outcome r = run({"score", model, "--file", text, "--position", position, "--json"});
    ASSERT_EQ(r.status, 0) << r.err;
    EXPECT_NE(r.err.find("--position yarn:factor=2.34375 for 150 tokens"), std::string::npos) << r.err;
    EXPECT_EQ(r.json()["logprobs"], wanted["logprobs"]);
  }
  // Within the window nothing is stretched.
  Outcome within = run({"score", model, "--file", text, "--length", "64", "--position", "yarn", "--json"});
  EXPECT_NE(within.err.find("yarn:factor=1 for 64 tokens"), std::string::npos) << within.err;
  Outcome generated = run({"generate", model, "--file", text, "-n", "42", "--position", "linear", "--json"});
  ASSERT_EQ(generated.status, 0) << generated.err;
  EXPECT_NE(generated.err.find("linear:factor=3 for 192 tokens"), std::string::npos) << generated.err;
  Outcome ask =
      run({"ask", model, "--file", text, "-n", "8", "--position", "ntk:factor=2*auto", "--json", "who?"});
  ASSERT_EQ(ask.status, 0) << ask.err;
  std::string needed = std::to_string(ask.json()["prompt_tokens"].get<int>() + 8);
  EXPECT_NE(ask.err.find(" for " + needed + " tokens"), std::string::npos) << ask.err;
}

TEST_F(Limits, AFactorFollowsEveryLengthThatIsKnown) {
  std::string model = tiny_model(64), text = write("text", story(300));
  Json plan = run({"plan", model, "--to", "256", "--position", "linear", "--json"}).json();
  EXPECT_NE(plan["method"].get<std::string>().find("factor=4"), std::string::npos) << plan["method"];
  EXPECT_EQ(
      run({"info", model, "--context", "256", "--position", "yarn:factor=auto", "--json"}).json()["window"],
      256);
  EXPECT_EQ(
      run({"bench", model, "-p", "96", "-n", "0", "-d", "32", "-r", "1", "--position", "linear"}).status, 0);
  Outcome extended = run({"extend", model, "--position", "yarn:factor=auto", "--to", "256", "-o",
                          (dir_ / "new").string(), "--json"});
  ASSERT_EQ(extended.status, 0) << extended.err;
  EXPECT_EQ(extended.json()["window"], 256);
  Outcome chat = run({"chat", model, "-n", "4", "--position", "yarn", "--context", "256"}, "a dog\n");
  EXPECT_EQ(chat.status, 0) << chat.err;
  expect_fault(run({"chat", model, "-n", "4", "--position", "yarn"}, "a dog\n"), 1, {"give factor=F"});
  write("one.jsonl", R"({"text": "a dog", "answers": ["a"]})"
                     "\n");
  std::string suite = write("one.toml", R"(name = "one"
[[task]]
name = "one"
maker = "file"
prompt = "{text}"
new_tokens = 4
metrics = ["presence"]
[task.make]
file = "{task}.jsonl"
references = "answers"
)");
  Outcome eval = run({"eval", suite, model, "--data", dir_.string(), "--context", "1k", "--position", "yarn",
                      "-o", (dir_ / "eval").string()});
  EXPECT_EQ(eval.status, 0) << eval.err;
  EXPECT_NE(eval.err.find("--position yarn:factor=16 for 1,024 tokens"), std::string::npos) << eval.err;
  EXPECT_NE(read_file(dir_ / "eval" / "settings.json").find("factor=16"), std::string::npos);
  expect_fault(run({"eval", "needle", model, "--position", "yarn"}), 1,
               {"give --lengths, --context, or factor=F"});
}

TEST_F(Limits, NothingIsAdvisedThatNoMethodHolds) {
  std::string model = tiny_model(64);
  auto advice = [&](size_t tokens, std::vector<std::string> more = {}) {
    std::vector<std::string> arguments = {"score", model, "--file", write("text", story(tokens))};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run(arguments);
  };
  expect_fault(advice(512), 1, {"yarn:factor=8.0", "--truncate", "--context 512"});
  Outcome far = advice(513);
  expect_fault(far, 1,
               {"8 times the trained window of 64", "--truncate", "passages", "longspan plan", "--to 513"});
  EXPECT_EQ(far.err.find("yarn"), std::string::npos) << far.err;
  // Less than the model reaches: no factor below 1.
  Outcome less = advice(40, {"--context", "30"});
  expect_fault(less, 1, {"give a larger --context (the model reaches 64)"});
  EXPECT_EQ(less.err.find("factor"), std::string::npos) << less.err;
  expect_fault(advice(40, {"--position", "yarn:factor=0.7"}), 1, {"factor must be at least 1, not 0.7"});
  expect_fault(run({"extend", model, "--position", "yarn", "--to", "32", "-o", (dir_ / "x").string()}), 1,
               {"within the trained window of 64"});
  Json plan = run({"plan", model, "--to", "1000", "--json"}).json();
  EXPECT_TRUE(plan["untrained"]["method"].is_null()) << plan["untrained"];
}

/// The tiny model keeps 256 bytes a token in F32: 2^30 of them are 256 GiB.
TEST_F(Limits, WhatDoesNotFitTheMemoryIsRefusedBeforeItBegins) {
  if (available_memory().value_or(0) > int64_t{200} << 30) GTEST_SKIP() << "this machine has room for it";
  std::string model = tiny_model(64), text = write("text", story(40));
  const std::string many = std::to_string(int64_t{1} << 30);
  std::vector<std::string> huge = {"--context", "2048M", "--cache-type", "f32", "-n", many};
  auto with_huge = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), huge.begin(), huge.end());
    return arguments;
  };
  std::vector<std::string> parts = {"need 256",   "GiB of memory", "free",
                                    "tokens fit", "--truncate",    "--cache-type F16"};
  expect_fault(run(with_huge({"generate", model, "--file", text})), 1, parts);
  expect_fault(run(with_huge({"ask", model, "--file", text, "who?"})), 1, parts);
  expect_fault(run(with_huge({"chat", model}), "a dog\n"), 1, parts);
  Outcome bench = run({"bench", model, "-p", "16", "-n", "0", "-d", many, "--cache-type", "f32"});
  EXPECT_EQ(bench.status, 1) << bench.err;
  EXPECT_NE(bench.err.find("-p, -n, -d or -b"), std::string::npos) << bench.err;
  // Side by side, too: 2^20 texts of 1,040 tokens.
  EXPECT_EQ(run({"bench", model, "-p", "16", "-n", "0", "-d", "1024", "-b", "1048576"}).status, 1);
}

/// Every command, asked for something that it prints on stdout.
TEST_F(Limits, AFullOrClosedOutputIsAnError) {
  std::string model = tiny_model(512), text = write("text", story(150)), folder = (dir_ / "new").string();
  const std::map<std::string, std::vector<std::string>> commands = {
      {"fetch", {"--help"}},
      {"info", {model}},
      {"methods", {}},
      {"frequencies", {model}},
      {"plan", {model, "--to", "1024"}},
      {"tokenize", {model, "a dog", "--json"}},
      {"detokenize", {model, "5", "6"}},
      {"score", {model, "--file", text}},
      {"attention", {model, "--file", text}},
      {"generate", {model, "--prompt", "a dog", "-n", "2"}},
      {"ask", {model, "--file", text, "-n", "2", "who?"}},
      {"chat", {"--help"}},  // without input it prints nothing else
      {"corpus", {"stats", "--model", model, text}},
      {"compare",
       {model, "--file", text, "--methods", "none", "--lengths", "64", "--tail", "8", "--passkeys", "0"}},
      {"eval", {"list"}},
      {"bench", {model, "-p", "8", "-n", "0", "-r", "1"}},
      {"extend", {model, "--position", "yarn", "--to", "1024", "-o", folder, "--json"}},
      {"convert", {model, "--type", "f16", "-o", folder + "2", "--json"}},
      {"merge", {"--help"}},
      {"train", {"--help"}},
  };
  for (const cli::Command& command : cli::commands()) {
    auto at = commands.find(command.name);
    if (at == commands.end()) continue;  // has a test of its own room
    std::vector<std::string> arguments = at->second;
    arguments.insert(arguments.begin(), command.name);
    for (const auto& [output, reason] :
         {std::pair{">/dev/full", "No space left on device"}, std::pair{">&-", "Bad file descriptor"}}) {
      fs::remove_all(folder), fs::remove_all(folder + "2");
      Outcome r = redirected(arguments, output);
      EXPECT_EQ(r.status, 1) << command.name << " " << output << ": " << r.err;
      bool help = arguments.back() == "--help";  // of the library that reads the options, without a reason
      EXPECT_NE(r.err.find(std::string("longspan: stdout: ") + (help ? "" : reason)), std::string::npos)
          << command.name << " " << output << ": " << r.err;
    }
  }
  Outcome json = redirected({"score", model, "--file", text, "--json", "-q"}, ">/dev/full");
  EXPECT_EQ(json.status, 1);
  EXPECT_EQ(json.err, "longspan: stdout: No space left on device; the output is not complete\n");
  EXPECT_EQ(redirected({"--version"}, ">/dev/full").status, 1);
  EXPECT_EQ(redirected({"--help"}, ">/dev/full").status, 1);
}

TEST_F(Limits, AReaderThatHasSeenEnoughEndsTheProgramQuietly) {
  std::string first = quoted((dir_ / "first").string()), status = quoted((dir_ / "status").string());
  for (const char* ignore : {"", "trap '' PIPE; "}) {
    std::string command = std::string("{ ") + ignore + quoted(LONGSPAN_PROGRAM) + " eval list; echo $? >" +
                          status + "; } 2>" + quoted((dir_ / "stderr").string()) + " | head -1 >" + first;
    ASSERT_EQ(std::system(("bash -c " + quoted(command)).c_str()), 0);
    EXPECT_EQ(read_file(dir_ / "stderr"), "");
    EXPECT_NE(read_file(dir_ / "first"), "");
  }
}

}  // namespace
}  // namespace longspan
