// What is drawn of a summary or a difference: commands for gnuplot with the size that suits them. Pictures
// without anything to show have no commands.
#pragma once

#include <string>

#include "eval/diff.h"
#include "eval/summary.h"

namespace longspan {

struct Picture {
  std::string commands;
  int width = 960, height = 420;
};

/// A grid of the summary: lengths across, depths down, 0 % red over yellow to 100 % green, grey where no case
/// is.
Picture heat_map(const Grid& grid, const std::string& title);
/// Score over `key` ("length", "depth", or another with numbers) with its band; over length also a thin line
/// for each of a few tasks.
Picture score_by(const Summary& summary, const std::string& key);
/// Bars of the tasks of `unit` with their intervals.
Picture score_by_task(const Summary& summary, Unit unit);
Picture loss_by_position(const Summary& summary);
/// Points with intervals: the whole, its tasks and lengths; green better, red worse, grey noise.
Picture changes(const RunDifference& diff);

/// "needle, en": what a grid shows beside its task; "" for all cases.
std::string grid_part(const Grid& grid);

}  // namespace longspan
