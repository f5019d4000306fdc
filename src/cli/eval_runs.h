// eval list and eval diff: what can be run, and what runs say side by side.
#pragma once

#include <string>
#include <vector>

#include "cli/options.h"

namespace longspan::cli {

/// A line for each suite, those that run without data first; or all about the named ones.
int list_suites(const Options& o, const std::vector<std::string>& names);

struct DiffOptions {
  std::vector<std::string> runs;  // folders; the first is what the others are compared with
  std::string out;                // a page; of several runs one each
  bool fail_if_worse = false;
  double threshold = 0;  // points (losses: nats) that a run may lose
};
/// Exit status 1 when --fail-if-worse finds a run significantly worse, and by more than the threshold.
int diff_runs(const Options& o, const DiffOptions& d);

}  // namespace longspan::cli
