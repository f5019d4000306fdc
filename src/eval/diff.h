// Two runs of a suite side by side, paired by case: what changed, and whether it is more than noise.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "eval/summary.h"

namespace longspan {

enum class Verdict { Noise, Better, Worse };  // noise: the interval holds 0, or p > 0.05
const char* name_of(Verdict verdict);

/// From run a to run b, in the unit.
struct Change {
  double a = 0, b = 0;
  Estimate change;
  double p = 1;
  Unit unit = Unit::Percent;
  Verdict verdict = Verdict::Noise;
};

struct TaskChange {
  std::string name;
  Change change;
};
struct ChangeBy {
  CellValue value;
  Change change;
};

/// A setting in which the runs differ; keys of nested objects are joined by dots, null where it is absent.
struct SettingChange {
  std::string key;
  Json a, b;
};

struct RunDifference {
  std::string suite;
  std::string a, b;  // folders
  Scoring scoring = Scoring::kCompat;
  size_t pairs = 0, only_a = 0, only_b = 0;  // cases
  Change all;
  std::optional<Change> loss;  // of a suite that has answers, too
  std::vector<TaskChange> tasks;
  std::vector<std::pair<std::string, std::vector<ChangeBy>>> by;
  std::vector<SettingChange> settings;
};

/// Losses are in bits a byte when the runs count the tokens of a case differently. Error when the suites
/// differ or no case is in both.
RunDifference compare_runs(const RunResults& a, const RunResults& b);

Json to_json(const RunDifference& diff);
/// For a terminal.
std::string diff_table(const RunDifference& diff);

}  // namespace longspan
