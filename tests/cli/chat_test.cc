// `chat`: its commands in a pipe, and its line editor on a terminal.
#include <poll.h>
#include <pty.h>
#include <termios.h>

#include "cli/line_editor.h"
#include "cli/program.h"

namespace longspan {
namespace {

using cli::complete_word, cli::read_message;

std::vector<std::string> messages_of(std::vector<std::string> lines) {
  size_t at = 0;
  std::vector<std::string> messages;
  auto next = [&](bool) { return at < lines.size() ? std::optional(lines[at++]) : std::nullopt; };
  while (auto message = read_message(next)) messages.push_back(*message);
  return messages;
}

TEST(Messages, MayHaveSeveralLines) {
  using V = std::vector<std::string>;
  EXPECT_EQ(messages_of({"one", "", "two"}), (V{"one", "", "two"}));
  EXPECT_EQ(messages_of({"one\\", "two\\", "three", "four"}), (V{"one\ntwo\nthree", "four"}));
  EXPECT_EQ(messages_of({"one\\"}), (V{"one\n"}));
  EXPECT_EQ(messages_of({"\"\"\"one", "", "two\\", "three\"\"\"", "four"}),
            (V{"one\n\ntwo\\\nthree", "four"}));
  EXPECT_EQ(messages_of({"\"\"\"", "one", "\"\"\""}), (V{"one"}));
  EXPECT_EQ(messages_of({"\"\"\"one\"\"\"", "two"}), (V{"one", "two"}));
  EXPECT_EQ(messages_of({"\"\"\"", "cut off"}), (V{"cut off"}));
}

TEST(LineCompletion, GoesAsFarAsTheWordsAgree) {
  const std::vector<std::string> words = {"/save", "/stats", "/stop"};
  EXPECT_EQ(complete_word("/sa", words).insert, "ve ");
  EXPECT_EQ(complete_word("/st", words).insert, "");
  EXPECT_EQ(complete_word("/st", words).choices, (std::vector<std::string>{"/stats", "/stop"}));
  EXPECT_EQ(complete_word("/", words).insert, "s");
  EXPECT_TRUE(complete_word("/x", words).choices.empty());
  EXPECT_TRUE(complete_word("", words).choices.empty());
}

class Chat : public ProgramTest {
 protected:
  static std::vector<Json> lines(const std::string& out) {
    std::vector<Json> found;
    for (size_t at = 0, end; (end = out.find('\n', at)) != std::string::npos; at = end + 1)
      found.push_back(parse_json(out.substr(at, end - at), "line"));
    return found;
  }
  std::string document() {
    std::string text;
    while (text.size() < 900) text += "the quick fox jumps over a lazy dog. ";
    return write("document", text);
  }
};

TEST_F(Chat, GoesOnInAnotherProcess) {
  std::string model = tiny_model(4096), saved = (dir_ / "saved.json").string();
  std::vector<std::string> chat = {"chat", model, "-n", "4", "--json"}, about = chat;
  about.insert(about.end(), {"--file", document()});
  Outcome whole = run(about, "who jumps?\nwhat is lazy?\n");
  ASSERT_EQ(whole.status, 0) << whole.err;
  Outcome first = run(about, "who jumps?\n/save " + saved + "\n");
  ASSERT_EQ(first.status, 0) << first.err;
  Json json = parse_json_file(saved);
  EXPECT_EQ(json["messages"].size(), 2u);
  EXPECT_EQ(json["messages"][1]["content"], lines(first.out)[0]["answer"]);
  EXPECT_EQ(json["document"], read_file(document()));
  fs::remove(dir_ / "document");  // the saved conversation holds it
  Outcome second = run(chat, "/load " + saved + "\nwhat is lazy?\n/save " + saved + "\n");
  ASSERT_EQ(second.status, 0) << second.err;
  EXPECT_EQ(lines(second.out)[0]["answer"], lines(whole.out)[1]["answer"]);
  EXPECT_EQ(lines(second.out)[0]["prompt_tokens"], lines(whole.out)[1]["prompt_tokens"]);
  EXPECT_GE(lines(second.out)[0]["stored_tokens"], 900);
  EXPECT_EQ(parse_json_file(saved)["messages"].size(), 4u);
  // Nothing else is replaced or loaded.
  std::string other = write("other", "{\"messages\": []}");
  for (const char* command : {"/save ", "/load "}) {
    Outcome r = run(chat, command + other + "\n");
    EXPECT_EQ(r.status, 1);
    EXPECT_TRUE(r.one_sentence()) << r.err;
  }
  EXPECT_EQ(read_file(other), "{\"messages\": []}");
  json["messages"].erase(0);
  Outcome odd = run(chat, "/load " + write("odd", dump_json(json)) + "\n");
  EXPECT_EQ(odd.status, 1);
  EXPECT_TRUE(odd.one_sentence()) << odd.err;
}

TEST_F(Chat, TakesDocumentsAndTellsItsState) {
  std::string model = tiny_model(4096), file = document();
  std::vector<std::string> chat = {"chat", model, "-n", "4", "--json"};
  Outcome r = run(chat, "/file " + file + "\nwho jumps?\n/stats\n/help\n/nonsense\n");
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_GE(lines(r.out)[0]["prompt_tokens"], 900);
  EXPECT_NE(r.err.find("of a window of 4,096"), std::string::npos) << r.err;
  EXPECT_NE(r.err.find("of keys and values"), std::string::npos) << r.err;
  EXPECT_NE(r.err.find("/save FILE"), std::string::npos) << r.err;
  EXPECT_NE(r.err.find("no command \"/nonsense\""), std::string::npos) << r.err;
  chat.insert(chat.end(), {"--file", file});
  EXPECT_EQ(lines(run(chat, "who jumps?\n").out)[0]["answer"], lines(r.out)[0]["answer"]);
  EXPECT_EQ(run(chat, "/file no-such-file\n").status, 1);
  Outcome lines_joined = run(chat, "who\\\njumps?\n"), block = run(chat, "\"\"\"\nwho\njumps?\n\"\"\"\n");
  EXPECT_EQ(lines(lines_joined.out)[0]["prompt_tokens"], lines(r.out)[0]["prompt_tokens"]);
  EXPECT_EQ(lines(block.out)[0]["answer"], lines(lines_joined.out)[0]["answer"]);
}

/// The program on a terminal of its own.
class OnATerminal : public Chat {
 protected:
  /// `errors`: a file for stderr, which is then no terminal, so that lines are not edited.
  void begin(const std::vector<std::string>& arguments, const fs::path& errors = {}) {
    std::vector<const char*> argv = {LONGSPAN_PROGRAM};
    for (const std::string& a : arguments) argv.push_back(a.c_str());
    argv.push_back(nullptr);
    std::string cache = (dir_ / "cache").string();
    shown_.clear();
    seen_ = 0;
    child_ = ::forkpty(&terminal_, nullptr, nullptr, nullptr);
    if (child_ == 0) {
      ::setenv("LONGSPAN_CACHE", cache.c_str(), 1);
      ::setenv("TERM", "xterm", 1);
      if (!errors.empty()) ::dup2(::open(errors.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), STDERR_FILENO);
      ::execv(argv[0], const_cast<char* const*>(argv.data()));
      ::_exit(127);
    }
  }
  void type(const std::string& text) {
    ASSERT_EQ(::write(terminal_, text.data(), text.size()), std::ssize(text));
  }
  /// Reads until `text` has been shown once more.
  void await(const std::string& text) {
    while (shown_.find(text, seen_) == std::string::npos)
      if (!read_more()) give_up("\"" + text + "\" did not come");
    seen_ = shown_.find(text, seen_) + text.size();
  }
  /// The program's exit status, once it has ended.
  int ended() {
    while (read_more()) {
    }
    if (!hung_up_) give_up("the program did not end");
    int status = 0;
    ::waitpid(child_, &status, 0);
    ::close(terminal_);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

 private:
  /// Whether anything was shown within a minute.
  bool read_more() {
    pollfd poll{terminal_, POLLIN, 0};
    char bytes[4096];
    if (::poll(&poll, 1, 60'000) <= 0) return false;
    ssize_t got = ::read(terminal_, bytes, sizeof bytes);
    hung_up_ = got <= 0;
    if (got > 0) shown_.append(bytes, static_cast<size_t>(got));
    return got > 0;
  }
  [[noreturn]] void give_up(const std::string& why) {
    ::kill(child_, SIGKILL);
    ::waitpid(child_, nullptr, 0);
    throw std::runtime_error(why + ". Shown was: " + shown_);
  }

  bool hung_up_ = false;
  int terminal_ = -1;
  pid_t child_ = -1;
  std::string shown_;
  size_t seen_ = 0;
};

// Where lines are not edited, as in a build without libedit.
TEST_F(OnATerminal, NoCtrlCIsLostBeforeALine) {
  std::string model = tiny_model(512);
  fs::path errors = dir_ / "errors";
  auto await_prompt = [&](int prompts) {
    for (int tries = 0; tries < 600'000; ++tries) {
      std::string shown = fs::exists(errors) ? read_file(errors) : "";
      int seen = 0;
      for (size_t at = 0; (at = shown.find("> ", at)) != shown.npos; ++at) ++seen;
      if (seen >= prompts) return;
      ::usleep(100);
    }
    FAIL() << "no prompt";
  };
  for (int run = 0; run < 10; ++run) {
    fs::remove(errors);
    begin({"chat", model, "-n", "4"}, errors);
    await_prompt(1);
    type("\x03");
    EXPECT_EQ(ended(), 130);
  }
  // Lines that come together are read one by one, and Ctrl-C later is not lost either.
  fs::remove(errors);
  begin({"chat", model, "-n", "4", "--json"}, errors);
  await_prompt(1);
  type("who?\nwhat?\n");
  await("\"answer\"");
  await("\"answer\"");
  await_prompt(3);
  type("\x03");
  EXPECT_EQ(ended(), 130);
}

#ifdef LONGSPAN_LIBEDIT

TEST_F(OnATerminal, LinesAreEditedCompletedAndRemembered) {
  begin({"chat", tiny_model(512), "-n", "4"});
  await("> ");
  type("who jumpz\x7fs?\n");
  await(" at most");
  await("> ");
  type("\x1b[A\n");  // the question above
  await(" at most");
  await("> ");
  type("/sta\t\n");
  await("in 2 questions");
  await("> ");
  type("/save " + (dir_ / "sav").string());
  type("ed\n");
  await("2 questions saved");
  await("> ");
  type("forget this");
  await("forget this");
  type("\x03");  // Ctrl-C: the line, not the conversation
  await("> ");
  type("/exit\n");
  EXPECT_EQ(ended(), 0);
  Json messages = parse_json_file(dir_ / "saved")["messages"];
  ASSERT_EQ(messages.size(), 4u);
  EXPECT_EQ(messages[0]["content"], "who jumps?");
  EXPECT_EQ(messages[2]["content"], "who jumps?");
  // Another process has the history.
  begin({"chat", tiny_model(512), "-n", "4"});
  await("> ");
  type("\x1b[A\x1b[A\x1b[A\x1b[A");
  await("who jumps?");
  type("\x03");
  await("> ");
  type("\x03");  // on an empty line: leaves
  EXPECT_EQ(ended(), 130);
}

#endif

}  // namespace
}  // namespace longspan
