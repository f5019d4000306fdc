// compare: the suite "compare" (resources/suites) under methods x lengths on one text. Loss is measured on
// the same last `tail` tokens of a window while the context before them grows, so that only the reach of a
// method changes between lengths; pass keys tell whether it retrieves.
//
// Each method at each length is a run as `eval` makes them, and on disk a folder of one, named by all that
// decides its results: what is there is never computed again, and other settings get another folder.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "eval/run.h"

namespace longspan {

struct CompareSettings {
  std::vector<std::string> methods;  // as split_methods gives them
  std::vector<int64_t> lengths;      // tokens of a window; ascending, each once
  int64_t tail = 1024;               // tokens scored at the end of each window
  int64_t windows = 1;               // places in the text; the last one ends with it
  int64_t passkeys = 4;              // depths of a pass key at each length; 0: none
  uint64_t seed = 0;                 // of the pass key's number
};

/// Specs of "none, yarn:factor=4,beta_fast=32; ntk": commas, semicolons and blanks separate, but a key=value
/// belongs to the spec before it. Error when one is named twice.
std::vector<std::string> split_methods(std::string_view list);

/// A method made ready for one length.
struct StretchedMethod {
  std::string spec;  // what --position would be told; "none": the model as it is
  PositionConfig position;
};
/// With s = max(1, length / trained window): a value "auto" becomes s and "2*auto" becomes 2 s; a required
/// factor that is missing becomes s, or 2 where the method follows the length by itself. "none" is the
/// model's own method. Error as parse_position says, or when there is no trained window to divide by.
StretchedMethod stretch_method(const std::string& method, const PositionConfig& model, int64_t length);

/// One method at one length: a run of the suite.
struct CompareRow {
  std::string method;  // as asked for
  StretchedMethod stretched;
  int64_t length = 0;
  int64_t kv_bytes = 0, memory_bytes = 0;  // predicted; memory: the whole program with this window
  RunSettings settings = {};
  std::string folder = {};  // name of the run's folder; two specs that say the same share it
};

struct ComparePlan {
  CompareSettings settings;
  int64_t text_tokens = 0;
  std::string model;                 // canonical path
  std::vector<CompareRow> rows;      // method by method, lengths ascending
  std::map<int64_t, RunPlan> cases;  // by length, the same for every method
  const RunPlan& cases_of(const CompareRow& row) const { return cases.at(row.length); }
};

/// Everything that could be wrong is found here: specs, lengths against text and memory, pass keys. `model`
/// is the file or directory the engine was opened from. `known`: what the caller knows (run.h: plan_run).
ComparePlan plan_compare(const Engine& engine, const std::filesystem::path& model, const std::string& text,
                         const CompareSettings& settings, const RunSettings& known);

/// Results of every row by the name of its folder.
using CompareResults = std::map<std::string, ResultStore>;
/// Those below `folder`, made where they are missing; "": none, and nothing is kept beyond their life.
CompareResults open_results(const ComparePlan& plan, const std::filesystem::path& folder);

/// Cases of the plan that the results hold already, and all of them.
struct CompareProgress {
  int64_t known = 0, all = 0;
};
CompareProgress count_cases(const ComparePlan& plan, const CompareResults& results);

/// Computes the cases that the results lack. Progress counts tokens of these; false when it asked to stop
/// (the case in hand is lost, those before it are kept).
bool run_compare(const Engine& engine, const ComparePlan& plan, CompareResults& results,
                 const Progress& progress = {});

}  // namespace longspan
