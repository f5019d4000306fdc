// Runs other programs, with an argument vector and never through a shell.
#pragma once

#include <string>
#include <vector>

namespace longspan::cli {

struct ProcessResult {
  int status = 0;      // exit status; 127 when the program was not found; 128 + signal when a signal ended it
  std::string output;  // stdout and stderr as they came
};

/// Runs argv[0] (looked up in PATH) and waits for it. `show` passes its output on to stderr as it comes.
ProcessResult run_process(const std::vector<std::string>& argv, bool show = false);

}  // namespace longspan::cli
