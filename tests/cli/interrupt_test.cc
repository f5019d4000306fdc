// Ctrl-C while a command runs: it ends with status 130, and what was made until then is kept. The signal
// comes after a sign that the command is at work (bytes that it wrote, processor time that it used), never
// after a while.
#include <fstream>
#include <sstream>

#include "cli/program.h"

namespace longspan {
namespace {

class Interrupt : public ProgramTest {
 protected:
  std::function<bool(pid_t)> has_bytes(const fs::path& file, uintmax_t least) {
    return [=](pid_t) {
      std::error_code error;
      return fs::exists(file, error) && fs::file_size(file, error) >= least;
    };
  }

  /// Whether the process handles SIGINT itself, and has used `seconds` of processor time since it was first
  /// seen to.
  std::function<bool(pid_t)> has_worked(double seconds) {
    auto begin = std::make_shared<double>(-1);
    return [=](pid_t process) {
      if (!handles_sigint(process)) return false;
      double used = processor_seconds(process);
      if (*begin < 0) *begin = used;
      return used - *begin >= seconds;
    };
  }

 private:
  static bool handles_sigint(pid_t process) {
    std::ifstream status("/proc/" + std::to_string(process) + "/status");
    for (std::string line; std::getline(status, line);)
      if (line.starts_with("SigCgt:"))
        return std::stoull(line.substr(7), nullptr, 16) & (uint64_t{1} << (SIGINT - 1));
    return false;
  }
  static double processor_seconds(pid_t process) {
    std::ifstream stat("/proc/" + std::to_string(process) + "/stat");
    std::string line;
    std::getline(stat, line);
    std::istringstream fields(line.substr(line.rfind(')') + 1));  // the name before it may hold anything
    std::string skipped;
    for (int i = 0; i < 11; ++i) fields >> skipped;
    double user = 0, system = 0;
    fields >> user >> system;
    return (user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
  }
};

TEST_F(Interrupt, AskKeepsTheBeginningOfItsAnswer) {
  std::vector<std::string> ask = {"ask",    tiny_model(1 << 20),
                                  "--file", write("doc", "a fox and a dog"),
                                  "who?",   "--compute",
                                  "f32",    "--temperature",
                                  "1",      "--seed",
                                  "3"};
  auto with_limit = [&](const char* tokens) {
    std::vector<std::string> arguments = ask;
    arguments.insert(arguments.end(), {"-n", tokens});
    return arguments;
  };
  Outcome r = run_until(has_bytes(dir_ / "stdout", 20), SIGINT, with_limit("1000000"));
  EXPECT_EQ(r.status, 130) << r.err;
  ASSERT_TRUE(r.out.ends_with('\n'));
  r.out.pop_back();
  EXPECT_GE(r.out.size(), 20u);
  std::string whole = run(with_limit(std::to_string(r.out.size()).c_str())).out;
  EXPECT_TRUE(whole.starts_with(r.out)) << whole << "\n" << r.out;
}

TEST_F(Interrupt, ScoreTellsWhatItHasReadSoFar) {
  std::string text;
  while (text.size() < 1'000'000) text += "the quick fox jumps over a lazy dog. ";
  std::vector<std::string> score = {"score",  tiny_model(1 << 20), "--file", write("text", text),
                                    "--json", "--compute",         "f32",    "--chunk",
                                    "64"};
  Outcome r = run_until(has_worked(0.5), SIGINT, score);
  EXPECT_EQ(r.status, 130) << r.err;
  EXPECT_NE(r.err.find("interrupted"), std::string::npos) << r.err;
  auto tokens = r.json()["tokens"].get<int64_t>();
  ASSERT_GT(tokens, 1);
  ASSERT_LT(tokens, 500'000);
  EXPECT_EQ(r.json()["logprobs"].size(), static_cast<size_t>(tokens - 1));
}

TEST_F(Interrupt, EvalKeepsTheCasesThatAreDone) {
  std::string lines;
  for (int i = 0; i < 2000; ++i)
    lines += R"({"q": "who sleeps? )" + std::to_string(i) + R"(", "a": "dog"})" + "\n";
  write("many.jsonl", lines);
  std::string suite = write("many.toml", R"(name = "many"
[[task]]
name = "many"
maker = "file"
prompt = "{q}"
new_tokens = 100
metrics = ["presence"]
[task.make]
file = "{task}.jsonl"
references = "a"
)");
  fs::path out = dir_ / "out";
  std::vector<std::string> eval = {"eval",        suite, tiny_model(1024), "--data",
                                   dir_.string(), "-o",  out.string()};
  Outcome r = run_until(has_bytes(out / "results.jsonl", 1), SIGINT, eval);
  EXPECT_EQ(r.status, 130) << r.err;
  EXPECT_NE(r.err.find("the same command goes on from here"), std::string::npos) << r.err;
  Json summary = parse_json_file(out / "summary.json");
  EXPECT_FALSE(summary["complete"].get<bool>());
  std::ifstream results(out / "results.jsonl");
  int64_t kept = 0;
  for (std::string line; std::getline(results, line); ++kept)
    EXPECT_TRUE(parse_json(line, "line").is_object());
  EXPECT_EQ(summary["cases"], kept);
  EXPECT_GE(kept, 1);
  EXPECT_LT(kept, 2000);
}

}  // namespace
}  // namespace longspan
