// Figures of summaries and differences as text, the same for terminal and page.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "eval/diff.h"
#include "eval/summary.h"

namespace longspan {

/// Foreign text with control characters replaced by blanks.
std::string one_line(std::string text);
/// 8192 -> "8,192", 0.5 -> "0.5", texts on one line.
std::string value_text(const CellValue& value);
/// The same for a setting; null -> "-", objects and lists as JSON.
std::string setting_text(const Json& value);
/// "8K" for 8192, else as value_text.
std::string length_text(const CellValue& length);

/// Per cent with one digit, losses with four; "-" when there is none.
std::string figure(std::optional<double> x, Unit unit);
std::string signed_figure(double x, Unit unit);
/// "52.1 to 60.9" (low to high); "-" where the interval is a point.
std::string range_of(const Score& score);
std::string change_range(const Change& change);
/// "better", "worse", "not significant".
std::string verdict_text(const Change& change);
/// Score, range, compat and clean; "-" for each that is missing.
std::vector<std::string> score_cells(const std::optional<Score>& score);
/// Pairs, a, b, change, range, p and verdict.
std::vector<std::string> change_cells(const Change& change);
/// "120", or "120 of 544" of planned ones.
std::string count_of(const TaskSummary& task);
/// The metric that is the task's score, with the means of all metrics where there are several.
std::string metric_text(const TaskSummary& task);

/// "needle, clean scoring: 63.2 % (60.1 to 66.0), 544 cases"; "incomplete: 120 of 544 cases".
std::string headline(const Summary& summary);
std::string diff_headline(const RunDifference& diff);
/// Sentences about cases that were cut, stopped or empty, tasks left out, and cases still to run.
std::vector<std::string> remarks(const Summary& summary);

}  // namespace longspan
