// The house style by the published definitions: WCAG's contrast, viridis, and what a deuteranope sees of it.
#include "report/style.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include "base/resource.h"

namespace longspan {
namespace {

TEST(Style, ContrastIsThatOfWcag) {
  EXPECT_NEAR(contrast("#000000", "#ffffff"), 21, 1e-9);
  EXPECT_NEAR(contrast("#777777", "#ffffff"), 4.48, 0.005);  // the grey that just misses AA
  EXPECT_NEAR(contrast("#ffffff", "#767676"), 4.54, 0.005);  // the one that just passes
  EXPECT_NEAR(luminance("#ff0000"), 0.2126, 1e-9);
}

TEST(Style, TheScaleIsViridis) {
  // matplotlib 3.10: to_hex(viridis(t)).
  EXPECT_EQ(scale_colour(0), "#440154");
  EXPECT_EQ(scale_colour(0.5), "#21918c");
  EXPECT_EQ(scale_colour(0.75), "#5ec962");
  EXPECT_EQ(scale_colour(1), "#fde725");
  EXPECT_EQ(scale_colour(-1), scale_colour(0));
  EXPECT_EQ(scale_colour(2), scale_colour(1));
}

/// What a deuteranope sees (Machado, Oliveira and Fernandes 2009, severity 1), as luminance. The matrix works
/// on linear RGB.
double deuteranope_luminance(const std::string& colour) {
  std::array<double, 3> c;
  for (size_t i = 0; i < 3; ++i) {
    double x = std::stoi(colour.substr(1 + 2 * i, 2), nullptr, 16) / 255.0;
    c[i] = x <= 0.04045 ? x / 12.92 : std::pow((x + 0.055) / 1.055, 2.4);
  }
  double red = 0.367322 * c[0] + 0.860646 * c[1] - 0.227968 * c[2],
         green = 0.280085 * c[0] + 0.672501 * c[1] + 0.047413 * c[2],
         blue = -0.011820 * c[0] + 0.042940 * c[1] + 0.968881 * c[2];
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

TEST(Style, BrightnessRisesWithTheScore) {
  for (int i = 1; i <= 100; ++i) {
    std::string below = scale_colour((i - 1) / 100.0), above = scale_colour(i / 100.0);
    EXPECT_GT(luminance(above), luminance(below)) << i;
    EXPECT_GT(deuteranope_luminance(above), deuteranope_luminance(below)) << i;
  }
}

TEST(Style, EveryCellOfAMapCanBeRead) {
  for (int i = 0; i <= 100; ++i) {
    std::string colour = scale_colour(i / 100.0);
    EXPECT_GE(contrast(colour, text_colour_on(colour)), 4.5) << i;
  }
}

TEST(Style, InksCanBeReadOnBothPapers) {
  const std::set<std::string> texts = {"text", "line", "muted", "better", "worse"};
  const Ink& paper = inks().front();
  ASSERT_EQ(paper.name, "paper");
  std::set<std::string> lights;
  for (const Ink& one : inks()) {
    EXPECT_TRUE(lights.insert(one.light).second) << one.name << " is drawn like another ink";
    if (one.name == "paper" || one.name == "grid") continue;
    double least = texts.contains(one.name) ? 4.5 : 3;
    EXPECT_GE(contrast(one.light, paper.light), least) << one.name;
    EXPECT_GE(contrast(one.dark, paper.dark), least) << one.name;
  }
  for (size_t i = 1; i < kLayers; ++i) {
    auto at = [](size_t layer) {
      return *std::find_if(inks().begin(), inks().end(),
                           [&](const Ink& one) { return one.name == fmt::format("layer-{}", layer); });
    };
    EXPECT_GT(luminance(at(i).light), luminance(at(i - 1).light));
    EXPECT_GT(luminance(at(i).dark), luminance(at(i - 1).dark));
  }
}

TEST(Style, DarkScreensExchangeEveryInk) {
  std::string sheet = chart_style_sheet();
  for (const Ink& one : inks())
    EXPECT_NE(sheet.find(fmt::format("svg [fill=\"{}\"] {{ fill: {}; }}", one.light, one.dark)), sheet.npos)
        << one.name;
}

/// The server's page has a style sheet of its own, which no C++ writes.
TEST(Style, TheServersPageHasTheSameInks) {
  std::string sheet(resource("page/style.css"));
  auto block = [&](const std::string& opening) {
    size_t at = sheet.find(opening);
    return at == sheet.npos ? "" : sheet.substr(at, sheet.find('}', at) - at);
  };
  std::string light = block(":root {"), dark = block(":root[data-theme=dark] {");
  for (const Ink& one : inks()) {
    if (sheet.find("var(--" + one.name + ")") == sheet.npos) continue;
    EXPECT_NE(light.find(fmt::format("--{}: {};", one.name, one.light)), light.npos) << one.name;
    EXPECT_NE(dark.find(fmt::format("--{}: {};", one.name, one.dark)), dark.npos) << one.name;
  }
  EXPECT_NE(sheet.find("var(--paper)"), sheet.npos);
}

}  // namespace
}  // namespace longspan
