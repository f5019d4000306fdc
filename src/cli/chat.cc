// chat: questions as a user types them, and the commands between them.
#include <algorithm>
#include <memory>
#include <optional>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/conversation.h"
#include "cli/interrupt.h"
#include "cli/line_editor.h"
#include "cli/output.h"
#include "cli/window.h"

namespace longspan::cli {

namespace {

/// A line that begins with its name is obeyed.
struct ChatCommand {
  const char* name;
  const char* argument;  // "": takes none
  const char* what;
  void (*run)(Conversation& conversation, const std::string& argument, const Options& o);
};

void help(Conversation&, const std::string&, const Options&);

constexpr ChatCommand kCommands[] = {
    {"/file", "PATH", "adds a document",
     [](Conversation& c, const std::string& path, const Options&) { c.add_file(path); }},
    {"/save", "FILE", "writes the conversation to a file",
     [](Conversation& c, const std::string& path, const Options&) { c.save(path); }},
    {"/load", "FILE", "goes on with a conversation that was saved",
     [](Conversation& c, const std::string& path, const Options&) { c.load(path); }},
    {"/stats", "", "tokens, window, speed and memory",
     [](Conversation& c, const std::string&, const Options&) { fmt::print(stderr, "{}", c.statistics()); }},
    {"/reset", "", "forgets the conversation, not its documents",
     [](Conversation& c, const std::string&, const Options& o) {
       c.reset();
       remark(o, "forgotten");
     }},
    {"/help", "", "this list", help},
    {"/exit", "", "leaves, as /quit and Ctrl-D do", nullptr},
    {"/quit", "", "", nullptr},
};

void help(Conversation&, const std::string&, const Options&) {
  for (const ChatCommand& command : kCommands)
    if (*command.what)
      fmt::print(stderr, "{:<12} {}\n", fmt::format("{} {}", command.name, command.argument), command.what);
  fmt::print(
      stderr,
      "A line that ends in \\ goes on in the next one; \"\"\" begins and ends a message of several lines.\n"
      "Ctrl-C stops an answer.\n");
}

/// ~/ is the user's home, as in a shell.
std::string with_home(const std::string& path) {
  const char* home = std::getenv("HOME");
  return path.starts_with("~/") && home ? home + path.substr(1) : path;
}

/// False: exit.
bool obey(const std::string& line, Conversation& conversation, const Options& o) {
  size_t end = std::min(line.find_first_of(" \t"), line.size());
  std::string name = line.substr(0, end), argument;
  if (size_t first = line.find_first_not_of(" \t", end); first != std::string::npos)
    argument = line.substr(first, line.find_last_not_of(" \t") + 1 - first);
  auto named = [&](const ChatCommand& command) { return name == command.name; };
  auto command = std::find_if(std::begin(kCommands), std::end(kCommands), named);
  if (command == std::end(kCommands)) {
    fmt::print(stderr, "there is no command {}; /help lists them\n", in_quotes(name));
    return true;
  }
  if (!command->run) return false;
  if (*command->argument && argument.empty())
    fail("{} needs to know which file: {} {}", name, name, command->argument);
  if (!*command->argument && !argument.empty()) fail("{} takes nothing after it", name);
  command->run(conversation, with_home(argument), o);
  return true;
}

std::filesystem::path history_file() {
  try {
    return cache_dir() / "chat_history";
  } catch (const Error&) {
    return {};
  }
}

std::vector<std::string> command_names() {
  std::vector<std::string> names;
  for (const ChatCommand& command : kCommands) names.emplace_back(command.name);
  return names;
}

int chat(ChatOptions& o) {
  check_sampling(o.sampling);
  o.sampling.grammar = read_grammar(o);
  choose_seed(o, o.sampling);
  for (const std::string& file : o.files) check_chat_file(file);
  Engine engine = open_engine(o, o.context > 0 ? Lengths::Known : Lengths::Unknown);
  stretch(engine, o, o.context);
  Conversation conversation(engine, o);
  LineEditor editor(command_names(), history_file());
  if (editor.interactive()) remark(o, "Ask away; /help lists what else there is.");
  for (;;) {
    arm_interrupt();
    std::optional<std::string> message =
        read_message([&](bool first) { return editor.line(first ? "> " : ". "); });
    if (!message) break;
    if (message->find_first_not_of(" \t\r\n") == std::string::npos) continue;
    try {
      if (message->starts_with('/')) {
        if (!obey(*message, conversation, o)) return kExitDone;
      } else if (!conversation.turn(*message) && !editor.interactive()) {
        return kExitInterrupted;
      }
    } catch (const Error& e) {
      if (!editor.interactive()) throw;
      print_fault(e.what());
    }
  }
  if (editor.interactive()) fmt::print(stderr, "\n");
  return interrupted() ? kExitInterrupted : kExitDone;
}

}  // namespace

Run define_chat(CLI::App& app) {
  auto o = std::make_shared<ChatOptions>();
  add_model_argument(app, *o);
  add_file_option(app, *o, o->files, "a document to talk about, or several; read again when it changes");
  app.add_option("--memory", o->memory, "folder that keeps every turn; the conversation outgrows its window");
  app.add_option("--embedder", o->embedder.name, "of the memory: file, directory, or name; default minilm");
  app.add_option("-n", o->n, "tokens of an answer at most; default 512")
      ->transform(whole_number(1, int64_t{1} << 30));
  add_chat_options(app, *o);
  add_sampling_options(app, o->sampling);
  add_grammar_options(app, *o);
  add_draft_option(app, *o);
  add_window_options(app, *o);
  add_cache_options(app, *o);
  add_engine_options(app, *o);
  add_output_options(app, *o);
  // The help fits a screen; commands.cc names these below the others.
  for (const char* rare : {"--chunk", "--kernels", "--attention"}) app.get_option(rare)->group("");
  return [o] { return chat(*o); };
}

}  // namespace longspan::cli
