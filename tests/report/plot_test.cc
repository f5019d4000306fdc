#include "report/plot.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"
#include "report/style.h"

namespace longspan {
namespace {

TEST(Plot, DrawsBothPicturesAndLeavesNoScript) {
  std::filesystem::path folder = std::filesystem::path(testing::TempDir()) / "it's a plot";
  std::filesystem::create_directories(folder);
  draw(folder / "line",
       {.commands = "plot '-' with lines lc rgb '" + series_ink(0) + "' title 'a'\n1 1\n2 4\ne",
        .title = "a < b",
        .width = 300,
        .height = 200});
  EXPECT_GT(std::filesystem::file_size(folder / "line.png"), 500u);
  std::string svg = read_file(folder / "line.svg"), inside = inline_svg(folder / "line.svg");
  EXPECT_TRUE(inside.starts_with("<svg"));
  for (const char* part : {"role=\"img\"", "aria-label=\"a &lt; b\"", "<title>a &lt; b</title>"})
    EXPECT_NE(inside.find(part), inside.npos) << part;
  // Every colour is an ink in the spelling of the style sheet, which only the file itself carries.
  EXPECT_NE(svg.find("stroke='" + series_ink(0) + "'"), svg.npos) << svg;
  EXPECT_EQ(svg.find("rgb("), svg.npos);
  EXPECT_EQ(svg.find("Gnuplot"), svg.npos);
  EXPECT_NE(svg.find(chart_style_sheet()), svg.npos);
  EXPECT_EQ(inside.find("<style"), inside.npos);
  EXPECT_EQ(svg.find("id='gp"), svg.npos) << "another chart of the page has the same ids";
  EXPECT_FALSE(std::filesystem::exists(folder / "line.gnuplot"));
  std::filesystem::remove_all(folder);
}

TEST(Plot, QuotesStandWhereTextsStand) {
  std::filesystem::path folder = std::filesystem::path(testing::TempDir()) / "quo''ted'''";
  std::filesystem::create_directories(folder);
  for (const char* text : {"'", "''", "a''b'", "'''a"}) {
    std::string q = gnuplot_string(text);
    draw(folder / "line",
         {.commands = "set title " + q + " noenhanced\nset xlabel " + q + "\nset xtics (" + q +
                      " 1)\nplot '-' with lines title " + q + " noenhanced\n1 1\n2 4\ne"});
    std::string svg = inline_svg(folder / "line.svg");
    EXPECT_NE(svg.find(text), std::string::npos) << text;
  }
  std::filesystem::remove_all(folder);
}

TEST(Plot, SaysWhatGnuplotSaid) {
  try {
    draw(std::filesystem::path(testing::TempDir()) / "bad", {.commands = "plot nonsense("});
    FAIL() << "drawn";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("nonsense"), std::string::npos) << e.what();
  }
}

}  // namespace
}  // namespace longspan
