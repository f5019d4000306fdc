#include "report/plot.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"

namespace longspan {
namespace {

TEST(Plot, DrawsBothPicturesAndLeavesNoScript) {
  std::filesystem::path folder = std::filesystem::path(testing::TempDir()) / "it's a plot";
  std::filesystem::create_directories(folder);
  draw(folder / "line", "plot '-' with lines title 'a'\n1 1\n2 4\ne", 300, 200);
  EXPECT_GT(std::filesystem::file_size(folder / "line.png"), 500u);
  EXPECT_TRUE(inline_svg(folder / "line.svg").starts_with("<svg"));
  EXPECT_FALSE(std::filesystem::exists(folder / "line.gnuplot"));
  std::filesystem::remove_all(folder);
}

TEST(Plot, QuotesStandWhereTextsStand) {
  std::filesystem::path folder = std::filesystem::path(testing::TempDir()) / "quo''ted'''";
  std::filesystem::create_directories(folder);
  for (const char* text : {"'", "''", "a''b'", "'''a"}) {
    std::string q = gnuplot_string(text);
    draw(folder / "line",
         "set title " + q + " noenhanced\nset xlabel " + q + "\nset xtics (" + q +
             " 1)\nplot '-' with lines title " + q + " noenhanced\n1 1\n2 4\ne",
         300, 200);
    std::string svg = inline_svg(folder / "line.svg");
    EXPECT_NE(svg.find(text), std::string::npos) << text;
  }
  std::filesystem::remove_all(folder);
}

TEST(Plot, SaysWhatGnuplotSaid) {
  try {
    draw(std::filesystem::path(testing::TempDir()) / "bad", "plot nonsense(", 300, 200);
    FAIL() << "drawn";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("nonsense"), std::string::npos) << e.what();
  }
}

TEST(Plot, PageEscapesItsTitle) {
  EXPECT_NE(html_page("a < b & c", "<p>x</p>").find("<title>a &lt; b &amp; c</title>"), std::string::npos);
}

}  // namespace
}  // namespace longspan
