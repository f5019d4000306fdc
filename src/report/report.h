// Pages and pictures of runs. They hold no times and costs, so that a resumed run gives the same page.
#pragma once

#include <filesystem>

#include "eval/diff.h"
#include "eval/summary.h"

namespace longspan {

/// Writes summary.json and report.html, and draws beside them what the summary has: needle-TASK.svg (heat
/// map, depths down, lengths across), and as SVG and PNG score-by-length, score-by-depth, score-by-task,
/// loss-by-position. The page holds the charts, tables, known scores, settings, and a line for every case
/// that opens its prompt, answer and references. Without gnuplot it lacks the charts and says so.
void write_report(const RunResults& run, const Summary& summary);

/// A page with the table, the changes with their intervals, and the cases that changed most.
void write_diff_page(const std::filesystem::path& file, const RunDifference& diff, const RunResults& a,
                     const RunResults& b);

}  // namespace longspan
