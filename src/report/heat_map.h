// Heat maps of scores: a table on a page, and the same as an SVG file. We draw them, not gnuplot: every cell
// is a sharp rectangle that shows its figure and says in words what it is, and a page has them without
// gnuplot.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace longspan {

struct HeatCell {
  double value = 0;   // 0 to 100: its colour on the house scale
  std::string text;   // short, inside the cell
  std::string words;  // the whole of it: "length 2K, depth 50 %: 80.0 % of 5 cases"
};

struct HeatMap {
  std::string title, across, down;         // of the map, its columns and its rows
  std::vector<std::string> columns, rows;  // their names
  /// Neighbouring columns under a common heading: name and number of columns; none: no such headings.
  std::vector<std::pair<std::string, size_t>> groups = {};
  std::vector<std::vector<std::optional<HeatCell>>> cells = {};  // [row][column]; none: no case
  std::string scale = {};                                        // what the colours mean: "score in per cent"
};

/// The map as a table. `number`: its place among the data "grids" of the page; cells are then buttons with
/// data-grid, data-row and data-column that resources/pages/cases.js opens.
std::string heat_map_table(const HeatMap& map, std::optional<size_t> number = {});
/// An SVG file with its own style sheet.
std::string heat_map_svg(const HeatMap& map);

}  // namespace longspan
