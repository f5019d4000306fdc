// What `compare` found.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "eval/compare.h"

namespace longspan {

struct PasskeyFound {
  double depth = 0;  // 0: beginning of the text, 1: its end
  bool found = false;
  std::string number, answer;
};

/// Mean loss of the tokens at positions first .. last.
struct PositionLoss {
  int64_t first = 0, last = 0;
  double nll = 0;
};

/// One method at one length.
struct ComparedRow {
  std::string method;    // as asked for
  std::string spec;      // as stretched to the length
  std::string position;  // canonical
  int64_t length = 0;
  double nll = 0;                   // nats a token on the tail, mean over windows
  std::optional<double> nll_error;  // its standard error, of two windows or more
  double seconds = 0;               // to read the window
  int64_t kv_bytes = 0, memory_bytes = 0;
  std::vector<PasskeyFound> passkeys;     // by depth; none while one is still to be done
  std::vector<PositionLoss> by_position;  // of the longest length
  int64_t found() const;                  // pass keys
};

struct Comparison {
  std::string command;  // measures the same again
  CompareSettings settings;
  int64_t text_tokens = 0;
  std::string model, kernels, compute, cache;
  int64_t chunk = 0, threads = 0;
  bool complete = false;
  std::vector<ComparedRow> rows;  // those whose losses are all known
};

Comparison compare_summary(const ComparePlan& plan, const CompareResults& results);

/// What `--json` prints and compare.json holds.
Json to_json(const Comparison& comparison);
/// The object under "settings".
Json settings_json(const Comparison& comparison);

}  // namespace longspan
