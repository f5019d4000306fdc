// chat: a conversation, line by line, optionally about a file. The cache is kept: each turn feeds only what
// is new. For methods that depend on the length, the declared length doubles whenever it is outgrown, and the
// history is read again.
#include <unistd.h>

#include <algorithm>
#include <iostream>
#include <limits>
#include <memory>
#include <optional>

#include "base/error.h"
#include "base/file.h"
#include "cli/answering.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/window.h"

namespace longspan::cli {

namespace {

constexpr int64_t kFirstStep = 2048;

struct ChatOptions : Options {
  std::vector<std::string> files;
  int64_t n = 512;
  SamplingOptions sampling;
};

class Conversation {
 public:
  Conversation(Engine& engine, const ChatOptions& o)
      : engine_(engine),
        o_(o),
        window_(window_tokens(engine.config(), o)),
        steps_(position_spec(engine.config().position, engine.config().head_shape(), 0).depends_on_length) {
    read_document();
  }

  void reset() { turns_.clear(); }

  /// One question and its answer. False after Ctrl-C. After an Error the question is removed from the
  /// history.
  bool turn(const std::string& question) {
    read_document();
    turns_.push_back({"user", question});
    try {
      return reply();
    } catch (...) {
      turns_.pop_back();
      throw;
    }
  }

 private:
  bool reply() {
    std::vector<int32_t> ids = fitting_prompt();
    make_room(static_cast<int64_t>(ids.size()) + o_.n);
    Prefill prefill = feed_prompt(*sequence_, ids, o_);
    if (!prefill.complete) {
      turns_.pop_back();
      return false;
    }
    Generation g = answer(*sequence_, engine_, o_.n, chat_sampling(engine_.chat(), o_.sampling), o_);
    turns_.push_back({"assistant", g.text});
    report_answer(o_, {{"answer", g.text}}, prefill, g);
    return g.reason != StopReason::Interrupted;
  }

  /// Reads the file if it has changed.
  void read_document() {
    if (o_.files.empty()) return;
    std::string stamp;
    for (const std::string& file : o_.files) stamp += file_stamp(file) + "\n";
    if (stamp == stamp_) return;
    document_ = read_text(o_, o_.files);
    if (!stamp_.empty())
      remark(o_, "{} has changed and is read again",
             o_.files.size() == 1 ? o_.files.front() : "one of the files");
    stamp_ = stamp;
  }

  /// The file goes into the first question, so that the template sees an ordinary conversation.
  std::vector<int32_t> prompt(const std::string& document) const {
    std::vector<ChatMessage> messages;
    if (!o_.system.empty()) messages.push_back({"system", o_.system});
    messages.insert(messages.end(), turns_.begin(), turns_.end());
    if (!document.empty()) {
      ChatMessage& first = messages[o_.system.empty() ? 0 : 1];
      first.content = document_message(document, first.content);
    }
    return engine_.prompts().encode(messages);
  }

  /// With --truncate the oldest questions are dropped first, then parts of the document; without it, Error.
  std::vector<int32_t> fitting_prompt() {
    std::vector<int32_t> ids = prompt(document_);
    auto over = [&] { return static_cast<int64_t>(ids.size()) > window_ - o_.n; };
    int64_t dropped = 0;
    while (over() && !o_.truncate.empty() && turns_.size() > 1) {
      turns_.erase(turns_.begin(), turns_.begin() + 2);
      ids = prompt(document_);
      ++dropped;
    }
    if (dropped > 0)
      remark(o_, "forgot the {} oldest question{} to fit the window", dropped, dropped == 1 ? "" : "s");
    if (over() && document_.empty())
      refuse_length(engine_, o_, static_cast<int64_t>(ids.size()) + o_.n, o_.n);
    if (over())
      ids = fit_document(engine_, o_, document_, o_.n, [this](const std::string& d) {
              return Prompts{prompt(d)};
            }).front();
    else
      check_memory(engine_, {.tokens = std::ssize(ids) + o_.n});
    return ids;
  }

  /// A sequence with a declared length of at least `tokens`.
  void make_room(int64_t tokens) {
    if (sequence_ && sequence_->declared_length() >= tokens) return;
    int64_t step = steps_ ? kFirstStep : window_;
    while (step < tokens) step *= 2;
    step = std::min(step, window_);
    if (sequence_ && !sequence_->ids().empty())
      remark(o_, "the conversation outgrew {} tokens: reading it again for {}",
             grouped(sequence_->declared_length()), grouped(step));
    sequence_.emplace(engine_, step);
  }

  Engine& engine_;
  const ChatOptions& o_;
  int64_t window_;
  bool steps_;
  std::string document_, stamp_;
  std::vector<ChatMessage> turns_;
  std::optional<Sequence> sequence_;
};

/// False: exit.
bool obey(const std::string& line, Conversation& conversation, const Options& o) {
  if (line == "/exit" || line == "/quit") return false;
  if (line == "/reset") {
    conversation.reset();
    remark(o, "forgotten");
  } else {
    fmt::print(stderr, "{}/reset forgets the conversation, /exit leaves, Ctrl-C stops an answer\n",
               line == "/help" ? "" : fmt::format("no command {}: ", line));
  }
  return true;
}

int chat(ChatOptions& o) {
  check_sampling(o.sampling);
  choose_seed(o, o.sampling);
  for (const std::string& file : o.files) {
    if (file == "-") fail("chat reads your questions from standard input; give --file a real file");
    if (std::error_code ignored; std::filesystem::is_fifo(file, ignored))
      fail("{}: is a pipe, but chat reads its file again whenever it changes; give it a regular file", file);
  }
  Engine engine = open_engine(o, o.context > 0 ? Lengths::Known : Lengths::Unknown);
  stretch(engine, o, o.context);
  Conversation conversation(engine, o);
  bool terminal = ::isatty(STDIN_FILENO);
  if (terminal) remark(o, "Ask away; /help lists what else there is.");
  std::string line;
  for (;;) {
    arm_interrupt();
    if (terminal) fmt::print(stderr, "> ");
    if (!std::getline(std::cin, line)) break;
    if (line.ends_with('\r')) line.pop_back();  // typed or piped on Windows
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    if (line.starts_with('/')) {
      if (!obey(line, conversation, o)) return kExitDone;
      continue;
    }
    try {
      if (!conversation.turn(line) && !terminal) return kExitInterrupted;
    } catch (const Error& e) {
      if (!terminal) throw;
      print_fault(e.what());
    }
  }
  if (terminal) fmt::print(stderr, "\n");
  return interrupted() ? kExitInterrupted : kExitDone;
}

}  // namespace

Run define_chat(CLI::App& app) {
  auto o = std::make_shared<ChatOptions>();
  add_model_argument(app, *o);
  add_file_option(app, *o, o->files, "a document to talk about, or several; read again when it changes");
  app.add_option("-n", o->n, "tokens of an answer at most; default 512")
      ->transform(whole_number(1, int64_t{1} << 30));
  add_chat_options(app, *o);
  add_sampling_options(app, o->sampling);
  add_window_options(app, *o);
  add_engine_options(app, *o);
  add_output_options(app, *o);
  return [o] { return chat(*o); };
}

}  // namespace longspan::cli
