// Pictures of summaries and differences: gnuplot commands and a suitable size. A picture with nothing to show
// has no commands.
#pragma once

#include <string>

#include "eval/diff.h"
#include "eval/summary.h"

namespace longspan {

struct Picture {
  std::string commands;
  int width = 960, height = 420;
};

/// A grid of the summary: lengths across, depths down; 0 % red through yellow to 100 % green, grey where
/// there is no case.
Picture heat_map(const Grid& grid, const std::string& title);
/// Score over `key` ("length", "depth", or another numeric field) with its interval as a band; over length
/// also a thin line for each task when there are few.
Picture score_by(const Summary& summary, const std::string& key);
/// Bars with intervals for the tasks of this unit.
Picture score_by_task(const Summary& summary, Unit unit);
Picture loss_by_position(const Summary& summary);
/// Points with intervals for the whole, its tasks and its lengths: green is better, red worse, grey noise.
Picture changes(const RunDifference& diff);

/// "needle hat": the cases that a grid is restricted to; "" for all.
std::string grid_part(const Grid& grid);

}  // namespace longspan
