// Runs the built program as a user would, on a tiny random model with a vocabulary of single characters.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "base/random.h"

namespace longspan {

namespace fs = std::filesystem;

struct Outcome {
  int status = -1;
  std::string out, err;
  Json json() const { return parse_json(out, "stdout"); }
  /// The one sentence of a fault.
  bool one_sentence() const { return err.starts_with("longspan: ") && err.find('\n') == err.size() - 1; }
};

/// A directory of the test's own, which is also the cache, holding tiny models.
class ProgramTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto* info = testing::UnitTest::GetInstance()->current_test_info();
    dir_ = fs::temp_directory_path() / ("longspan-" + std::to_string(::getpid()) + "-" + info->name());
    fs::create_directories(dir_);
  }
  void TearDown() override { fs::remove_all(dir_); }

  static std::string quoted(const std::string& text) {
    std::string out = "'";
    for (char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return out + "'";
  }

  /// `input` becomes standard input; `environment` is put before the command ("PATH=...").
  Outcome run(const std::vector<std::string>& arguments, const std::string& input = "",
              const std::string& environment = "") {
    write("stdin", input);
    std::string command = "LONGSPAN_CACHE=" + quoted((dir_ / "cache").string()) + " " + environment + " " +
                          quoted(LONGSPAN_PROGRAM);
    for (const std::string& a : arguments) command += " " + quoted(a);
    auto file = [&](const char* name) { return quoted((dir_ / name).string()); };
    command += " <" + file("stdin") + " >" + file("stdout") + " 2>" + file("stderr");
    int status = std::system(command.c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), read_file(dir_ / "stdout"),
            read_file(dir_ / "stderr")};
  }

  /// Starts the program, its output going to dir_/stdout and dir_/stderr. To be waited for.
  pid_t start(const std::vector<std::string>& arguments) {
    std::string out = (dir_ / "stdout").string(), err = (dir_ / "stderr").string();
    std::vector<const char*> argv = {LONGSPAN_PROGRAM};
    for (const std::string& a : arguments) argv.push_back(a.c_str());
    argv.push_back(nullptr);
    pid_t child = ::fork();
    if (child == 0) {
      ::dup2(::open("/dev/null", O_RDONLY), 0);
      ::dup2(::open(out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644), 1);
      ::dup2(::open(err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644), 2);
      ::execv(argv[0], const_cast<char* const*>(argv.data()));
      ::_exit(127);
    }
    return child;
  }

  /// Runs the program; the signal comes as soon as `ready(its process)` says so. Its status is -1 when the
  /// signal ended it.
  Outcome run_until(const std::function<bool(pid_t)>& ready, int signal,
                    const std::vector<std::string>& arguments) {
    pid_t child = start(arguments);
    int status = 0;
    while (::waitpid(child, &status, WNOHANG) == 0) {
      if (ready(child)) {
        ::kill(child, signal);
        ::waitpid(child, &status, 0);
        break;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read_file(dir_ / "stdout"),
            read_file(dir_ / "stderr")};
  }

  /// Kills the run that `begin` names at a random moment, LONGSPAN_TRIALS times (default 3); `check` goes on
  /// with what is left and compares. A run that ended before its moment is no trial: the moments of the next
  /// ones come earlier.
  void kill_at_any_moment(const std::function<std::vector<std::string>()>& begin,
                          const std::function<void()>& check) {
    using Clock = std::chrono::steady_clock;
    const char* asked = std::getenv("LONGSPAN_TRIALS");
    int trials = asked ? std::atoi(asked) : 3, kills = 0;
    std::chrono::duration<double> longest = std::chrono::seconds(2);
    Random random(20261125);
    for (int runs = 0; kills < trials; ++runs) {
      ASSERT_LT(runs, 20 * trials + 20) << "all but " << kills << " runs ended before they were killed";
      std::vector<std::string> arguments = begin();
      auto start = Clock::now();
      auto moment = start + longest * random.uniform();
      Outcome run = run_until([&](pid_t) { return Clock::now() >= moment; }, SIGKILL, arguments);
      ASSERT_TRUE(run.status == 0 || run.status == -1) << run.err;
      if (run.status == 0) {
        longest = std::min<std::chrono::duration<double>>(longest, Clock::now() - start);
        continue;
      }
      ++kills;
      check();
      if (HasFatalFailure()) FAIL() << "after kill " << kills;
    }
  }

  std::string write(const std::string& name, const std::string& text) {
    std::ofstream(dir_ / name, std::ios::binary) << text;
    return (dir_ / name).string();
  }

  /// A Hugging Face directory: random weights of tests/golden/model, its window set to `window`.
  std::string tiny_model(int window) {
    fs::path golden = fs::path(LONGSPAN_GOLDEN) / "model" / "gqa",
             model = dir_ / ("tiny" + std::to_string(window));
    fs::create_directories(model);
    fs::copy_file(golden / "model.safetensors", model / "model.safetensors",
                  fs::copy_options::overwrite_existing);
    Json config = parse_json_file(golden / "config.json");
    config["max_position_embeddings"] = window;
    config["eos_token_id"] = 2;
    write_file_atomic(model / "config.json", dump_json(config));
    write_file_atomic(model / "tokenizer.json", dump_json(tokenizer(config["vocab_size"])));
    write_file_atomic(
        model / "tokenizer_config.json",
        dump_json({{"eos_token", "<|end|>"},
                   {"chat_template",
                    "{% for m in messages %}<|start|>{{ m['role'] }}\n{{ m['content'] }}<|end|>\n{% endfor %}"
                    "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"}}));
    return model.string();
  }

 private:
  /// Byte-level BPE without merges: a token for each character that the tests use.
  static Json tokenizer(int vocabulary) {
    Json vocab = {{"<|zero|>", 0}, {"<|start|>", 1}, {"<|end|>", 2}};
    std::vector<std::string> pieces = {"\u0120", "\u010a"};
    for (char c : std::string("abcdefghijklmnopqrstuvwxyz0123456789.,?:RTQ")) pieces.emplace_back(1, c);
    for (const std::string& piece : pieces) vocab[piece] = vocab.size();
    while (static_cast<int>(vocab.size()) < vocabulary)
      vocab["spare" + std::to_string(vocab.size())] = vocab.size();
    Json added = Json::array();
    for (int id : {0, 1, 2})
      added.push_back({{"id", id},
                       {"content", id == 0   ? "<|zero|>"
                                   : id == 1 ? "<|start|>"
                                             : "<|end|>"},
                       {"single_word", false},
                       {"lstrip", false},
                       {"rstrip", false},
                       {"normalized", false},
                       {"special", true}});
    Json byte_level = {
        {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}};
    return {{"version", "1.0"},
            {"truncation", nullptr},
            {"padding", nullptr},
            {"added_tokens", added},
            {"normalizer", nullptr},
            {"pre_tokenizer", byte_level},
            {"post_processor", nullptr},
            {"decoder", byte_level},
            {"model",
             {{"type", "BPE"},
              {"dropout", nullptr},
              {"unk_token", nullptr},
              {"continuing_subword_prefix", nullptr},
              {"end_of_word_suffix", nullptr},
              {"fuse_unk", false},
              {"byte_fallback", false},
              {"vocab", vocab},
              {"merges", Json::array()}}}};
  }

 protected:
  fs::path dir_;
};

}  // namespace longspan
