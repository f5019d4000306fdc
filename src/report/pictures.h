// What is drawn of a summary or a difference: commands for gnuplot with the size that suits them. Pictures
// without anything to show have no commands.
#pragma once

#include <string>

#include "base/json.h"

namespace longspan {

struct Picture {
  std::string commands;
  int width = 960, height = 420;
};

/// A grid of the summary: lengths across, depths down, 0 % red over yellow to 100 % green, grey where no case
/// is.
Picture heat_map(const Json& grid, const std::string& title);
/// Score over `key` ("length", "depth", or another with numbers) with its band; over length also a thin line
/// for each of a few tasks.
Picture score_by(const Json& summary, const std::string& key);
/// Bars of the tasks of `unit` with their intervals.
Picture score_by_task(const Json& summary, const std::string& unit);
Picture loss_by_position(const Json& summary);
/// Points with intervals: the whole, its tasks and lengths; green better, red worse, grey noise.
Picture changes(const Json& diff);

/// "8K" for 8192, "1,000" for 1000.
std::string length_text(const Json& length);
/// "needle, en": what a grid shows beside its task; "" for all cases.
std::string grid_part(const Json& grid);

}  // namespace longspan
