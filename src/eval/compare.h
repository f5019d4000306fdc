// compare: the suite "compare" (resources/suites) for methods x lengths on one text. Loss is measured on the
// same last `tail` tokens of a window while the context before them grows, so that only the reach of a method
// differs between lengths; pass keys show whether it retrieves.
//
// Each method at each length is a run like those of `eval`. On disk it is a run folder whose name holds a
// digest of everything that affects its results: finished cases are never run again, and other settings get
// another folder.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "eval/run.h"
#include "position/stretch.h"

namespace longspan {

struct CompareSettings {
  std::vector<std::string> methods;  // as split_methods gives them
  std::vector<int64_t> lengths;      // tokens of a window; ascending, each once
  int64_t tail = 1024;               // tokens scored at the end of each window
  int64_t windows = 1;               // places in the text; the last one ends with it
  int64_t passkeys = 4;              // depths of a pass key at each length; 0: none
  uint64_t seed = 0;                 // of the pass key's number
};

/// Specs of "none, yarn:factor=4,beta_fast=32; ntk": separated by commas, semicolons and blanks; a key=value
/// belongs to the spec before it. Error when one is named twice.
std::vector<std::string> split_methods(std::string_view list);

/// What stretch_method makes of a method; one that follows the length by itself and was given no factor
/// gets 2.
StretchedMethod compared_method(const std::string& method, const PositionConfig& model, int64_t length);

/// One method at one length: a run of the suite.
struct CompareRow {
  std::string method;  // as asked for
  StretchedMethod stretched;
  int64_t length = 0;
  int64_t kv_bytes = 0, memory_bytes = 0;  // predicted; memory: the whole program with this window
  RunSettings settings = {};
  std::string folder = {};  // name of the run's folder; two specs with the same meaning share it
};

struct ComparePlan {
  CompareSettings settings;
  int64_t text_tokens = 0;
  std::string model;                 // canonical path
  std::vector<CompareRow> rows;      // method by method, lengths ascending
  std::map<int64_t, RunPlan> cases;  // by length, the same for every method
  const RunPlan& cases_of(const CompareRow& row) const { return cases.at(row.length); }
};

/// Checks everything before anything is computed: specs, lengths against text and memory, pass keys. `model`
/// is the file or directory that the engine was opened from. `known`: see plan_run.
ComparePlan plan_compare(const Engine& engine, const std::filesystem::path& model, const std::string& text,
                         const CompareSettings& settings, const RunSettings& known);

/// Results of every row, by the name of its folder.
using CompareResults = std::map<std::string, ResultStore>;
/// Opens the runs below `folder`, creating those that are missing; "": in memory only.
CompareResults open_results(const ComparePlan& plan, const std::filesystem::path& folder);

/// How many cases of the plan are finished, and how many there are.
struct CompareProgress {
  int64_t known = 0, all = 0;
};
CompareProgress count_cases(const ComparePlan& plan, const CompareResults& results);

/// Runs the cases that are not finished. Progress counts their tokens; false when it asked to stop (the
/// current case is lost, those before it are kept).
bool run_compare(const Engine& engine, const ComparePlan& plan, CompareResults& results,
                 const Progress& progress = {});

}  // namespace longspan
