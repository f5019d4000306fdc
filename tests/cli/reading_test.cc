// `ask` in one process after another: the document is read once, the answers are the same, and whatever
// happens to the files on disk changes nothing but the time.
#include <set>

#include "cli/program.h"

namespace longspan {
namespace {

class Reading : public ProgramTest {
 protected:
  static constexpr int kDocument = 1900;  // characters, each of them a token

  std::string document(int characters = kDocument) {
    std::string text;
    for (int i = 0; std::ssize(text) < characters; ++i)
      text += "the fox " + std::to_string(i) + " jumps over a lazy dog. ";
    text.resize(static_cast<size_t>(characters));
    return write("document" + std::to_string(characters), text);
  }

  /// Arguments of one question about the document of another process.
  std::vector<std::string> ask(const std::string& question, const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments = {"ask", model_, "--file", file_, "-n", "12", "--json", question};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }
  Json answer(const std::string& question, const std::vector<std::string>& more = {}) {
    Outcome r = run(ask(question, more));
    EXPECT_EQ(r.status, 0) << r.err;
    err_ = r.err;
    return r.status == 0 ? r.json() : Json();
  }

  static std::vector<fs::path> files(const fs::path& folder, const char* ending = ".reading") {
    std::vector<fs::path> found;
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(folder, ignored))
      if (entry.path().extension() == ending) found.push_back(entry.path());
    return found;
  }

  void SetUp() override {
    ProgramTest::SetUp();
    model_ = tiny_model(4096);
    file_ = document();
  }

  std::string model_, file_, err_;
  fs::path store() const { return dir_ / "cache" / "readings"; }
};

TEST_F(Reading, AnotherProcessDoesNotReadTheDocumentAgain) {
  const std::vector<std::vector<std::string>> settings = {
      {},
      {"--position", "yarn:factor=2"},
      {"--position", "dynamic_ntk:factor=2,original=1024", "--context", "4096"},
      {"--position", "rerope:window=256"},
      {"--position", "rerope:window=256", "--cache-type", "k=f32,v=bf16"},
      {"--compute", "f32", "--cache-type", "f32"}};
  for (const auto& more : settings) {
    SCOPED_TRACE(more.empty() ? "" : more[1]);
    auto alone = more;
    alone.push_back("--no-cache");
    Json first = answer("who jumps?", more), second = answer("what is lazy, then?", more);
    EXPECT_EQ(first["stored_tokens"], 0);
    EXPECT_GE(second["stored_tokens"], kDocument);
    EXPECT_EQ(second["reused_tokens"], second["stored_tokens"]);
    Json expected = answer("what is lazy, then?", alone);
    EXPECT_EQ(expected["stored_tokens"], 0);
    EXPECT_EQ(second["answer"], expected["answer"]);
    EXPECT_EQ(first["answer"], answer("who jumps?", alone)["answer"]);
  }
  EXPECT_EQ(files(store()).size(), settings.size());
}

// Questions of different lengths meet the same frequencies, and what they meet reaches far enough.
TEST_F(Reading, AFactorThatIsLeftToTheLengthIsOneForAllQuestions) {
  model_ = tiny_model(1024);
  const std::string longer = "what is lazy, then, and why does it let the fox jump over it so often?";
  for (const char* position : {"yarn", "ntk:factor=2*auto", "dynamic_ntk:factor=auto"}) {
    SCOPED_TRACE(position);
    std::vector<std::string> more = {"--position", position}, alone = {"--position", position, "--no-cache"};
    Json first = answer("who?", more);
    std::string factor = err_.substr(err_.find("--position "), err_.find(" for ") - err_.find("--position "));
    Json second = answer(longer, more);
    EXPECT_NE(err_.find(factor + " for "), std::string::npos) << err_;
    EXPECT_GE(second["stored_tokens"], kDocument);
    EXPECT_EQ(second["answer"], answer(longer, alone)["answer"]);
    EXPECT_EQ(first["answer"], answer("who?", alone)["answer"]);
    double times =
        std::stod(factor.substr(factor.rfind('=') + 1)) / (factor.starts_with("--position ntk") ? 2 : 1);
    EXPECT_GE(times * 1024, second["prompt_tokens"].get<double>() + 12);
    EXPECT_LE(times * 1024, second["prompt_tokens"].get<double>() + 12 + 512);
    // A question that is longer than what is left for it gets a larger factor, and reads for itself.
    std::string longest(600, '?');
    Json third = answer(longest, more);
    EXPECT_EQ(err_.find(factor + " for "), std::string::npos) << err_;
    EXPECT_EQ(third["stored_tokens"], 0);
    EXPECT_EQ(third["answer"], answer(longest, alone)["answer"]);
  }
}

TEST_F(Reading, TheFolderIsTheUsersChoice) {
  fs::path mine = dir_ / "mine" / "deeper";
  answer("who jumps?", {"--cache", mine.string()});
  EXPECT_EQ(files(mine).size(), 1u);
  EXPECT_TRUE(files(store()).empty());
  EXPECT_EQ(fs::status(mine).permissions() & fs::perms::all, fs::perms::owner_all);
  EXPECT_GE(answer("what is lazy?", {"--cache", mine.string()})["stored_tokens"], kDocument);
  answer("who jumps?", {"--no-cache"});
  EXPECT_FALSE(fs::exists(store()));
  Outcome bad = run(ask("who?", {"--cache", file_}));
  EXPECT_EQ(bad.status, 1);
  EXPECT_TRUE(bad.one_sentence()) << bad.err;
  answer("who jumps?", {"--cache-size", "1k", "--cache", (dir_ / "small").string()});
  EXPECT_NE(err_.find("--cache-size"), std::string::npos) << err_;
  EXPECT_TRUE(files(dir_ / "small").empty());
  // A short text is not kept.
  file_ = document(300);
  answer("who jumps?");
  EXPECT_TRUE(files(store()).empty());
}

// What an answer was written without is there for the next question and on the disk.
TEST_F(Reading, EvictionLeavesTheDocumentWhole) {
  const std::vector<std::string> evict = {"--evict", "snapkv:keep=64,window=8"};
  Json plain = answer("what is lazy?", {"--no-cache"});
  Json alone = answer("what is lazy?", {evict[0], evict[1], "--no-cache"});
  EXPECT_NE(alone["answer"], plain["answer"]);
  Json first = answer("who jumps?", evict), second = answer("what is lazy?", evict);
  EXPECT_EQ(first["stored_tokens"], 0);
  EXPECT_GE(second["stored_tokens"], kDocument);
  EXPECT_EQ(second["answer"], alone["answer"]);
  EXPECT_EQ(answer("what is lazy?")["answer"], plain["answer"]);
  Outcome both = run(ask("who jumps?", {"-Q", "what is lazy?", evict[0], evict[1], "--no-cache"}));
  ASSERT_EQ(both.status, 0) << both.err;
  EXPECT_EQ(parse_json(both.out.substr(both.out.find('\n') + 1), "2")["answer"], alone["answer"]);
  for (const char* wrong : {"snapkv:keep=8", "h2o"})
    EXPECT_EQ(run(ask("who?", {"--evict", wrong})).status, 2);
  Outcome refused = run(ask("who?", {evict[0], evict[1], "--position", "alibi"}));
  EXPECT_EQ(refused.status, 1);
  EXPECT_TRUE(refused.one_sentence()) << refused.err;
  EXPECT_NE(refused.err.find("leave --evict out"), std::string::npos) << refused.err;
}

TEST_F(Reading, FrequenciesThatFollowTheTextAreNotKept) {
  answer("who jumps?", {"--position", "dynamic_ntk:factor=2,length=current"});
  EXPECT_NE(err_.find("dynamic_ntk with length=current"), std::string::npos) << err_;
  EXPECT_TRUE(files(store()).empty());
}

TEST_F(Reading, ADamagedFileIsNamedAndReadAgain) {
  Json expected = answer("who jumps?");
  ASSERT_EQ(files(store()).size(), 1u);
  fs::path file = files(store())[0];
  std::string bytes = read_file(file);
  bytes[bytes.size() - 5000] ^= 4;
  std::ofstream(file, std::ios::binary) << bytes;
  Json again = answer("who jumps?");
  EXPECT_EQ(again["stored_tokens"], 0);
  EXPECT_NE(err_.find(file.string() + ": is damaged"), std::string::npos) << err_;
  EXPECT_EQ(again["answer"], expected["answer"]);
  EXPECT_GE(answer("who jumps?")["stored_tokens"], kDocument);  // it was kept again
}

TEST_F(Reading, AnotherModelUnderTheSameNameReadsForItself) {
  answer("who jumps?");
  fs::path weights = fs::path(model_) / "model.safetensors";
  auto time = fs::last_write_time(weights);
  std::string bytes = read_file(weights);
  for (size_t i = bytes.size() / 2; i < bytes.size(); i += 64) bytes[i] ^= 1;  // low bits of F32 weights
  std::ofstream(weights, std::ios::binary | std::ios::in) << bytes;
  fs::last_write_time(weights, time);
  EXPECT_EQ(answer("who jumps?")["stored_tokens"], 0);
  EXPECT_EQ(files(store()).size(), 2u);
}

// As soon as the writer has begun, at random moments until it is done; every second one at once, because only
// the system says how long writing takes. Goes on until one was killed in the midst of it.
TEST_F(Reading, KilledAtAnyMomentWhileWriting) {
  file_ = document(3900);
  fs::path folder = dir_ / "killed";
  const std::vector<std::string> more = {"--cache", folder.string(), "--cache-type", "f32"};
  Json expected = answer("what is lazy?", {"--no-cache", "--cache-type", "f32"});
  const char* asked = std::getenv("LONGSPAN_TRIALS");
  int trials = asked ? std::atoi(asked) : 8, kills = 0, half = 0;
  Random random(20261128);
  for (int runs = 0; kills < trials || half == 0; ++runs) {
    ASSERT_LT(runs, 20 * trials + 20) << kills << " runs were killed, " << half << " of them while writing";
    fs::remove_all(folder);
    auto writing = [&](pid_t) {
      if (files(folder, ".part").empty()) return false;
      if (runs % 2) std::this_thread::sleep_for(std::chrono::microseconds(random.below(6000)));
      return true;
    };
    Outcome killed = run_until(writing, SIGKILL, ask("who jumps?", more));
    if (killed.status == 0) continue;
    ++kills;
    half += !files(folder, ".part").empty();
    Json next = answer("what is lazy?", more);
    ASSERT_EQ(next["answer"], expected["answer"]);
    ASSERT_EQ(err_.find("damaged"), std::string::npos) << err_;
    ASSERT_TRUE(files(folder, ".part").empty() || next["stored_tokens"] > 0);
    ASSERT_GE(answer("what is lazy?", more)["stored_tokens"], 3900);
  }
}

TEST_F(Reading, QuestionsComeFromAFileAndStandBesideTheirAnswers) {
  std::string questions = write("questions", "who jumps?\r\n\n  {\"question\": \"what is lazy?\"}\n");
  std::vector<std::string> arguments = {"ask", model_, "--file", file_, "-n", "4", "--questions", questions};
  Outcome text = run(arguments);
  ASSERT_EQ(text.status, 0) << text.err;
  EXPECT_TRUE(text.out.starts_with("Question: who jumps?\n")) << text.out;
  EXPECT_NE(text.out.find("\n\nQuestion: what is lazy?\n"), std::string::npos) << text.out;
  arguments.push_back("--json");
  Outcome json = run(arguments);
  size_t end = json.out.find('\n');
  EXPECT_EQ(parse_json(json.out.substr(0, end), "1")["question"], "who jumps?");
  EXPECT_EQ(parse_json(json.out.substr(end + 1), "2")["question"], "what is lazy?");
  arguments[7] = "-";
  Outcome piped = run(arguments, "what is lazy?\n");
  ASSERT_EQ(piped.status, 0) << piped.err;
  EXPECT_EQ(piped.json()["question"], "what is lazy?");
  // An answer does not depend on the questions before it, nor on where the document came from.
  EXPECT_EQ(piped.json()["answer"], parse_json(json.out.substr(end + 1), "2")["answer"]);
  arguments[3] = "-";
  EXPECT_NE(run(arguments, "who?").err.find("cannot both be standard input"), std::string::npos);
  arguments[3] = file_, arguments[7] = write("broken", "who?\n{\"query\": \"who?\"}\n");
  Outcome broken = run(arguments);
  EXPECT_EQ(broken.status, 1);
  EXPECT_NE(broken.err.find("broken, line 2"), std::string::npos) << broken.err;
  arguments.push_back("who?");
  EXPECT_EQ(run(arguments).status, 2);
}

TEST_F(Reading, AnAnswerThatTheLimitStoppedIsRemarked) {
  Outcome one = run({"ask", model_, "--file", file_, "-n", "3", "--json", "who jumps?"});
  ASSERT_EQ(one.status, 0) << one.err;
  ASSERT_EQ(one.json()["stop"], "length");
  EXPECT_NE(one.err.find("stopped at -n 3\n"), std::string::npos) << one.err;
}

}  // namespace
}  // namespace longspan
