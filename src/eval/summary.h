// From results to figures: scores of tasks, categories, lengths and depths with their confidence intervals.
// Nothing here depends on time or order: a run that was killed and resumed gives the same summary.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "eval/results.h"
#include "eval/statistics.h"
#include "suites/known_scores.h"

namespace longspan {

enum class Unit { Percent, Nats, BitsPerByte };
/// "%", "nats", "bits a byte".
const char* name_of(Unit unit);

/// What is said of a group of cases. Of answers and choices: the mean of the scoring that counts, in per
/// cent; of losses: nats per counted token.
struct Score {
  Estimate value;
  Unit unit = Unit::Percent;
  std::optional<double> compat, clean;              // of answers and choices, in per cent
  std::optional<double> perplexity, bits_per_byte;  // of losses; the latter where all cases know their bytes
};

/// The cases whose cell has this value.
struct ScoreBy {
  CellValue value;
  Score score;
};
/// By the name of the cell's field.
using ScoresBy = std::vector<std::pair<std::string, std::vector<ScoreBy>>>;

/// Cases that a reader should know about.
struct Warnings {
  int64_t cut = 0, stopped_by_length = 0, empty = 0;
};

struct TaskSummary {
  std::string name, category;
  std::string metric;  // "rouge_1", "geometric_mean of rouge_1, rouge_2": what the score is
  int64_t planned = 0;
  std::optional<Score> score;                                // none while no case is done
  std::vector<std::pair<std::string, double>> metrics = {};  // means in per cent, where there are several
  Warnings warnings = {};
  std::vector<ScoreBy> by_length = {};  // where the task has several lengths
};

struct CategorySummary {
  std::string name;
  int64_t tasks = 0;
  Score score;
};

struct GridCell {
  double score = 0;  // per cent
  int64_t n = 0;
};
/// Scores of a task by depth and length, or by depth and whatever field `across` names.
struct Grid {
  std::string task;
  Cell of;             // the fields that all of its cases share; none: all cases of the task
  std::string across;  // "length", "lines"
  std::vector<CellValue> lengths, depths;
  std::vector<std::vector<std::optional<GridCell>>> cells = {};  // [depth][length]
};

/// Losses by position in the window.
struct CurvePoint {
  double first = 0, last = 0;  // positions
  double nats = 0;             // a token
  double tokens = 0;
};
struct LossCurve {
  std::string task;
  std::optional<CellValue> length;
  std::vector<CurvePoint> points;  // in order
};

struct Cost {
  int64_t tokens = 0;                  // of all prompts
  std::optional<int64_t> read_tokens;  // not found in the cache; none when a server did not say
  std::optional<double> reuse;         // share of the tokens that were found there
  double seconds = 0;
};

struct Summary {
  std::string suite, dialect;
  Scoring scoring = Scoring::kCompat;
  Unit unit = Unit::Percent;
  std::optional<Score> score;  // mean of the categories' means; of a suite of losses, of all counted tokens
  std::optional<Score> loss;   // of a suite that has both
  int64_t cases = 0, planned = 0;
  Warnings warnings;
  std::vector<TaskSummary> tasks;
  std::vector<CategorySummary> categories;
  ScoresBy by;
  std::vector<Grid> grids;  // of each task all cases, then one for each needle and language of several
  std::vector<LossCurve> curves;
  std::vector<KnownScore> known;
  RunSettings settings;
  Cost cost;
  bool complete() const { return cases >= planned; }
};

Summary summarise(const RunResults& run);

/// summary.json.
Json to_json(const Summary& summary);
Json to_json(const std::vector<Grid>& grids);

/// For a terminal.
std::string summary_table(const Summary& summary);

/// The entries by a field; empty when there are none.
const std::vector<ScoreBy>& by_field(const Summary& summary, const std::string& field);

}  // namespace longspan
