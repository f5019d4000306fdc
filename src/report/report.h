// Pages and pictures of runs. Times and costs stay out of them, so that a resumed run gives the same page.
#pragma once

#include <filesystem>

#include "eval/diff.h"
#include "eval/summary.h"

namespace longspan {

/// Writes summary.json (`summary`: of summarise) and report.html, and draws what there is to draw (SVG and
/// PNG beside it): needle-TASK (heat map, depths down, lengths across, red to green), score-by-length,
/// score-by-depth, score-by-task, loss-by-position. The page holds the pictures, tables, known scores,
/// settings, and a line for every case that opens its prompt, answer and references. A picture that gnuplot
/// cannot draw is a sentence on the page.
void write_report(const RunResults& run, const Summary& summary);

/// diff.html (`diff`: of compare_runs) with the table, bars of changes with their intervals, and the cases
/// that changed most.
void write_diff_page(const std::filesystem::path& file, const RunDifference& diff, const RunResults& a,
                     const RunResults& b);

}  // namespace longspan
