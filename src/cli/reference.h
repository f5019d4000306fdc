// What the program says about itself: the reference in Markdown, man pages, and completions for bash, zsh and
// fish. All of it is made from the parser that reads the command line, so that nothing can drift.
#pragma once

#include <string>
#include <vector>

#include "cli/commands.h"

namespace longspan::cli {

struct OptionText {
  std::vector<std::string> names;    // "-f", "--file"; of an argument its name
  std::string value;                 // "TEXT", "N", "X"; "" of a flag
  std::string what;                  // one line
  std::vector<std::string> choices;  // when it takes one of a few words
  bool required = false, repeated = false;
};

struct CommandText {
  std::string name;  // "ask", "eval diff"
  std::string what;
  std::string notes;  // the text below the options, example included
  std::vector<OptionText> arguments, options;
  std::vector<CommandText> inner;
};

/// Of every command that --help names.
std::vector<CommandText> command_texts(const CLI::App& app);

/// "longspan ask [OPTIONS] MODEL QUESTION..."
std::string synopsis(const CommandText& command);

struct EnvironmentVariable {
  const char *name, *what;
};
/// Everything that the program reads from its environment.
std::vector<EnvironmentVariable> environment_variables();

std::string reference_markdown(const std::vector<CommandText>& commands);
/// longspan.1, or with a command longspan-COMMAND.1.
std::string man_page(const std::vector<CommandText>& commands);
std::string man_page(const CommandText& command);

std::string bash_completion(const std::vector<CommandText>& commands);
std::string zsh_completion(const std::vector<CommandText>& commands);
std::string fish_completion(const std::vector<CommandText>& commands);

}  // namespace longspan::cli
