// Runs other programs, with an argument vector and never through a shell.
#pragma once

#include <string>
#include <vector>

namespace longspan::cli {

struct ProcessResult {
  int status = 0;      // exit status; 127 when the program was not found; 128 + signal when a signal ended it
  std::string output;  // stdout and stderr as they came; stdout alone when apart
  std::string errors;  // stderr when apart
};

/// Whether there is such a program: a path to a file that may be executed, or a name in a folder of PATH.
bool program_exists(const std::string& program);

/// Runs argv[0] (looked up in PATH) and waits for it. `apart`: stdout and stderr are kept apart.
ProcessResult run_process(const std::vector<std::string>& argv, bool apart = false);

}  // namespace longspan::cli
