// What came of one case: a line of results.jsonl, {"case": ID, "result": {...}}.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "score/metrics.h"
#include "suites/cases.h"
#include "suites/cell.h"

namespace longspan {

/// A metric of one answer in both scorings, each in 0..1.
struct MetricScore {
  std::string metric;
  double compat = 0, clean = 0;
  double of(Scoring scoring) const { return scoring == Scoring::kClean ? clean : compat; }
};

/// A prompt as the page shows it: all of it, or both ends of a long one.
struct ShownPrompt {
  std::string text;                 // all, or the beginning
  std::optional<std::string> tail;  // the end, if the middle was left out
};

/// Losses of the tokens at some positions of a window.
struct PositionBucket {
  int64_t first = 0, last = 0;  // positions in the window, the same bounds in every window
  double sum = 0;               // of -log p, natural log
  int64_t count = 0;            // tokens counted, > 0
};

struct CaseResult {
  std::string id, task;
  CaseKind kind = CaseKind::Answer;
  Cell cell;
  std::string source;
  int64_t prompt_tokens = 0;
  int64_t read_tokens = 0;  // of the prompt, not found in the cache; -1: a server did not say
  int64_t cut_tokens = 0;   // of the prompt, by truncation
  double seconds = 0;
  std::vector<MetricScore> scores;  // none of a Loss

  // Answer and Choice
  std::vector<std::string> references;  // the choices of a Choice
  ShownPrompt prompt;

  // Answer
  int64_t new_tokens = 0;
  std::string stop;  // "length", "end", "stop"
  std::string prediction;
  std::optional<std::string> answer;  // what was scored, where postprocessing changed the prediction

  // Choice
  std::vector<double> logprobs, neutral_logprobs;  // of each choice; the latter with a neutral prompt
  std::vector<int64_t> choice_bytes;
  int64_t correct = 0;  // index

  // Loss
  double nll = 0;      // sum over the counted tokens, natural log
  int64_t tokens = 0;  // counted, > 0
  int64_t bytes = 0;   // of the counted tokens; 0: unknown
  std::vector<PositionBucket> buckets;

  /// Null when the case has no such score.
  const MetricScore* score(const std::string& metric) const;
};

/// The object under "result".
Json to_json(const CaseResult& result);
/// The line with its line feed.
std::string result_line(const CaseResult& result);
/// Error opens with `where` and says what is damaged.
CaseResult read_result_line(std::string_view line, const std::string& where);

}  // namespace longspan
