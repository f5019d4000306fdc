// The files in the folder of a run, and reading them back:
//   settings.json   everything that affects a score (run_settings.h)
//   results.jsonl   a line for each case, written when it ends: {"case": ID, "result": {...}}
//   (case_result.h); a
//                   shard I of N writes results.I-of-N.jsonl
#pragma once

#include <filesystem>
#include <vector>

#include "eval/case_result.h"
#include "eval/run_settings.h"

namespace longspan {

struct RunResults {
  std::filesystem::path folder;
  RunSettings settings;
  std::vector<CaseResult> cases;  // sorted by id, each once
};

/// Reads settings.json and every results*.jsonl of a folder. Error names file and line.
RunResults read_run(const std::filesystem::path& folder);

/// The case with this id; null when the run does not have it.
const CaseResult* find_case(const RunResults& run, const std::string& id);

}  // namespace longspan
