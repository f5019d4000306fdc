// Scores that others published, shown next to those measured here: resources/known_scores/*.toml.
//
//   [[table]]
//   suite = "ruler"
//   dialect = "official"            # of the suite; "": of a suite that has none
//   source = "README of NVIDIA/RULER"
//   task = ""                       # with `lengths`: the task of all columns, "" for the suite's mean
//   lengths = [4096, 8192]          # columns are lengths in tokens ...
//   tasks = ["narrativeqa", ""]     # ... or tasks; "" is the suite's mean, a category's name its mean
//   [table.models]
//   "Llama3.1-8B" = [95.5, 93.8]    # nan: not published
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace longspan {

struct KnownScore {
  std::string model;
  std::string task;    // name or category of the suite's tasks; "": mean of the suite
  int64_t length = 0;  // tokens; 0: over all lengths
  double score = 0;    // as the suite prints it: per cent; perplexity as it is
  std::string source;
};

/// In the order of the tables; empty when none are known. Only scores of the same dialect are comparable.
std::vector<KnownScore> known_scores(std::string_view suite, std::string_view dialect);

}  // namespace longspan
