// Heat maps: the colours of the scale, what a screen reader hears, and texts from outside.
#include "report/heat_map.h"

#include <gtest/gtest.h>

namespace longspan {
namespace {

HeatMap two_by_two() {
  HeatMap map{.title = "needle & \"hay\"",
              .across = "length in tokens",
              .down = "depth",
              .columns = {"1K", "<2K>"},
              .rows = {"0 %", "100 %"},
              .scale = "score in per cent"};
  map.cells = {{HeatCell{100, "100", "all of 3 cases"}, HeatCell{0, "0", "none of 3 cases"}},
               {std::nullopt, HeatCell{50, "50", "half"}}};
  return map;
}

void expect_part(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), text.npos) << part << "\nin\n" << text;
}

TEST(HeatMap, ATableSaysWhatEachCellIs) {
  std::string table = heat_map_table(two_by_two());
  expect_part(table, "<td style=\"background:#fde725;color:#000000\" title=\"all of 3 cases\">100</td>");
  expect_part(table, "<td style=\"background:#440154;color:#ffffff\" title=\"none of 3 cases\">0</td>");
  expect_part(table, "<td class=\"none\" title=\"no case\"></td>");
  expect_part(table,
              "<th scope=\"col\">depth</th><th scope=\"col\">1K</th><th scope=\"col\">&lt;2K&gt;</th>");
  expect_part(table, "<th scope=\"row\">100 %</th>");
  expect_part(table, "<caption>needle &amp; &quot;hay&quot;; columns: length in tokens</caption>");
  EXPECT_EQ(table.find("<button"), table.npos);
}

TEST(HeatMap, CellsThatOpenAreButtonsWithTheirPlace) {
  std::string table = heat_map_table(two_by_two(), 7);
  expect_part(table, "aria-label=\"half\" data-grid=\"7\" data-row=\"1\" data-column=\"1\">50</button>");
}

TEST(HeatMap, GroupsAreHeadingsOfTheirColumns) {
  HeatMap map = two_by_two();
  map.groups = {{"8,192", 2}};
  expect_part(heat_map_table(map), "<th scope=\"colgroup\" colspan=\"2\">8,192</th>");
  expect_part(heat_map_svg(map), ">8,192</text>");
}

TEST(HeatMap, TheFileHasSharpCellsWithWords) {
  std::string svg = heat_map_svg(two_by_two());
  expect_part(svg, "shape-rendering=\"crispEdges\" role=\"img\" aria-label=\"needle &amp; &quot;hay&quot;\"");
  expect_part(svg, "<g><title>all of 3 cases</title><rect ");
  expect_part(svg, "style=\"fill:#fde725\"/>");
  expect_part(svg, "<title>no case</title>");
  expect_part(svg, "&lt;2K&gt;</text>");
  expect_part(svg, "prefers-color-scheme: dark");
}

}  // namespace
}  // namespace longspan
