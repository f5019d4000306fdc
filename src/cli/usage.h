// Command lines that cannot be parsed: which word is at fault, and what was probably meant.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace longspan::cli {

/// One sentence about the parse that failed with `error`. An option or command that does not exist comes
/// before anything that is missing: a misspelt --file must not be reported as "--file is required". `words`:
/// the arguments as they were typed.
std::string usage_problem(const CLI::App& app, const std::vector<std::string>& words,
                          const CLI::ParseError& error);

/// "there is no command askk (did you mean ask?)", or what stands in longspan for a command of another
/// program.
std::string unknown_command(const CLI::App& app, const std::string& name);

/// The command that was parsed last: of `longspan eval diff ...` that is diff.
const CLI::App& innermost(const CLI::App& app);

/// "longspan eval diff".
std::string full_name(const CLI::App& app);

/// A validator for one of a few names; its sentence tells the nearest.
CLI::Validator one_of(std::vector<std::string> names);

}  // namespace longspan::cli
