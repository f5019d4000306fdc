// The metrics of the suites, rows of a table. `compat` gives the score of the suite's own code, quirks
// included; `clean` the score its authors meant. Only compat scores may stand beside published ones.
// Every score is between 0 and 1; suites print 100 times the mean.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/json.h"
#include "score/segment.h"

namespace longspan {

enum class Scoring { kCompat, kClean };

/// What a metric sees besides prediction and reference.
struct MetricInput {
  const Json& fields;  // of the case: "all_classes" (LongBench), "needle" (NeedleBench)
  Scoring scoring = Scoring::kCompat;
  const Segmenter* segmenter = nullptr;
};

/// How the scores against several references become one. Best begins at 0.
enum class Across { kBest, kMean };

struct Metric {
  const char* name;
  double (*score)(std::u32string_view prediction, std::u32string_view reference, const MetricInput& input);
  Across across;
  bool needs_segmenter;
  const char* what;   // the formula in one line, for the report
  const char* clean;  // what clean does otherwise; "" if both modes agree
};

std::span<const Metric> metrics();

/// Error naming all metrics when there is none of this name.
const Metric& find_metric(std::string_view name);

/// The score of one case. Error when there is no reference, a field is missing or of another type, or the
/// metric segments Chinese and there is no segmenter.
double score(const Metric& metric, std::string_view prediction, std::span<const std::string> references,
             const MetricInput& input);

/// LongBench scores trec, triviaqa, samsum and lsht on the first line behind leading line feeds.
std::string_view first_line(std::string_view prediction);

}  // namespace longspan
