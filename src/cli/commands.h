// THE table of commands. Adding one: a file with its define function, a declaration here, a row in
// commands.cc.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace longspan::cli {

constexpr int kExitDone = 0, kExitFault = 1, kExitUsage = 2,
              kExitInterrupted = 130;  // as a shell reports Ctrl-C

/// What a parsed command does; returns the exit status.
using Run = std::function<int()>;

struct Command {
  const char* name;
  const char* summary;       // its line in `longspan --help`
  const char* notes;         // the text below the options in `longspan NAME --help`, or ""
  const char* example;       // the last line of `longspan NAME --help`
  Run (*define)(CLI::App&);  // adds the options and returns what runs with them
};
std::span<const Command> commands();

/// The parser of all commands, and what each of them runs.
struct Program {
  std::unique_ptr<CLI::App> app;
  std::vector<std::pair<CLI::App*, Run>> runs;
};
Program make_program();

/// Parses, runs, and turns Error into one line on stderr and an exit status.
int run_program(int argc, const char* const* argv);

Run define_fetch(CLI::App&);
Run define_info(CLI::App&);
Run define_methods(CLI::App&);
Run define_frequencies(CLI::App&);
Run define_plan(CLI::App&);
Run define_tokenize(CLI::App&);
Run define_detokenize(CLI::App&);
Run define_score(CLI::App&);
Run define_attention(CLI::App&);
Run define_generate(CLI::App&);
Run define_ask(CLI::App&);
Run define_chat(CLI::App&);
Run define_agent(CLI::App&);
Run define_sql(CLI::App&);
Run define_embed(CLI::App&);
Run define_index(CLI::App&);
Run define_serve(CLI::App&);
Run define_corpus(CLI::App&);
Run define_compare(CLI::App&);
Run define_eval(CLI::App&);
Run define_bench(CLI::App&);
Run define_merge(CLI::App&);
Run define_train(CLI::App&);
Run define_extend(CLI::App&);
Run define_convert(CLI::App&);
Run define_reference(CLI::App&);

}  // namespace longspan::cli
