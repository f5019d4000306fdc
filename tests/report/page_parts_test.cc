// Parts of pages: what screen readers need of tables, and a page where gnuplot is missing.
#include "report/page_parts.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "base/file.h"

namespace longspan {
namespace {

TEST(PageParts, APageEscapesItsTitleAndHasOneMainHeading) {
  std::string page = html_page("a < b & c", "<p>x</p>");
  EXPECT_NE(page.find("<title>a &lt; b &amp; c</title>"), page.npos);
  EXPECT_NE(page.find("<html lang=\"en\">"), page.npos);
  EXPECT_NE(page.find("<main>\n<h1>a &lt; b &amp; c</h1>"), page.npos);
}

TEST(PageParts, ATableHasACaptionAndHeadings) {
  EXPECT_EQ(html_table("what <it> is", {{"a", "b"}, {"c", "1 & 2"}}, Cells::Sentences),
            "<div class=\"sentences\"><table><caption>what &lt;it&gt; is</caption>\n"
            "<thead><tr><th scope=\"col\">a</th><th scope=\"col\">b</th></tr></thead>\n<tbody>\n"
            "<tr><th scope=\"row\">c</th><td>1 &amp; 2</td></tr>\n</tbody></table>\n</div>\n");
  std::string figures = html_table("it", {{"a"}, {"1"}});
  EXPECT_TRUE(figures.starts_with("<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"it\">"))
      << figures;
}

TEST(PageParts, WithoutGnuplotAPageSaysHowToGetIt) {
  std::filesystem::path folder = std::filesystem::path(testing::TempDir()) / "no-gnuplot";
  std::filesystem::create_directories(folder);
  std::string path = std::getenv("PATH");
  ::setenv("PATH", "/nowhere", 1);
  std::string chart = html_picture(folder, "line", {.commands = "plot x", .title = "x"}, "heading"),
              page = html_page("t", "<p>figures</p>" + chart), without = html_page("t", "<p>figures</p>"),
              nothing = html_picture(folder, "none", {.commands = "", .title = "x"}, "heading");
  ::setenv("PATH", path.c_str(), 1);
  EXPECT_EQ(chart.find('<'), chart.find("<!--")) << chart;
  EXPECT_EQ(chart.find("heading"), chart.npos) << "a heading of nothing";
  EXPECT_EQ(nothing, "");
  EXPECT_TRUE(std::filesystem::is_empty(folder)) << "a script was left";
  EXPECT_NE(page.find("apt-get install gnuplot-nox"), page.npos) << page;
  EXPECT_NE(page.find("<p>figures</p>"), page.npos);
  // A page that has no charts anyway does not miss them.
  EXPECT_EQ(without, html_page("t", "<p>figures</p>"));
  EXPECT_EQ(without.find("gnuplot-nox"), std::string::npos);
  for (bool lacks : {true, false}) {
    write_file_atomic(folder / "page.html", lacks ? page : without);
    EXPECT_EQ(page_lacks_charts(folder / "page.html"), lacks);
  }
  std::filesystem::remove_all(folder);
}

TEST(PageParts, AChartThatFailsIsASentence) {
  std::string chart = html_picture(testing::TempDir(), "bad", {.commands = "plot nonsense(", .title = "bad"});
  EXPECT_TRUE(chart.starts_with("<p class=\"remark\">")) << chart;
  EXPECT_NE(chart.find("nonsense"), chart.npos) << chart;
}

}  // namespace
}  // namespace longspan
