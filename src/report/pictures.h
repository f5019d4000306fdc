// Charts and heat maps of summaries and differences. A chart with nothing to show has no commands.
#pragma once

#include <string>

#include "eval/diff.h"
#include "eval/summary.h"
#include "report/heat_map.h"
#include "report/plot.h"

namespace longspan {

/// A grid of the summary: lengths (or what `across` names) across, depths down. Cells say how many cases they
/// are and Wilson's interval.
HeatMap heat_map(const Grid& grid, const std::string& title);
/// Score over `key` ("length", "depth", or another numeric field) with its interval as a band; over length
/// also a thin line for each task when there are few.
Picture score_by(const Summary& summary, const std::string& key);
/// Bars with intervals for the tasks of this unit.
Picture score_by_task(const Summary& summary, Unit unit);
Picture loss_by_position(const Summary& summary);
/// Points with intervals for the whole, its tasks and its lengths: in the inks better, worse, and muted for
/// noise.
Picture changes(const RunDifference& diff);

/// "needle hat": the cases that a grid is restricted to; "" for all.
std::string grid_part(const Grid& grid);

}  // namespace longspan
