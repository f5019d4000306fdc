// The house style of every chart and page: the inks, each with its form on white paper and on a dark screen,
// the scale of heat maps, and what every chart tells gnuplot first. Colours stand nowhere else.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace longspan {

/// A colour that means something. A chart is drawn with `light` ("#rrggbb", no two inks alike), and a style
/// sheet exchanges it for `dark` where the reader prefers dark screens.
struct Ink {
  std::string name, light, dark;
};
/// paper, text, line (axes), grid, muted, better, worse; series-0 to series-9; layer-0 to layer-11, which
/// grow brighter on either paper. Everything but paper and grid has a contrast of at least 3 : 1 to its
/// paper, text, line, muted, better and worse of 4.5 : 1.
const std::vector<Ink>& inks();
/// The light form of the ink with this name.
const std::string& ink(const std::string& name);
constexpr size_t kSeries = 10, kLayers = 12;
/// The light form of series `i`, or of the first colours again.
const std::string& series_ink(size_t i);
/// "dt 1 pt 7": dash and point of series `i`, so that curves differ by more than their colour.
std::string series_marks(size_t i);

/// The scale of heat maps, 0 <= t <= 1: viridis (Smith and van der Walt 2015, CC0) through nine of its
/// colours. Luminance rises with t, and does so for colour-blind readers too.
std::string scale_colour(double t);
/// "0 '#440154', 1 '#472d7b', ...": the scale as gnuplot's palette.
std::string scale_palette();
/// "#440154, #472d7b, ...": as the stops of a CSS gradient.
std::string scale_stops();
/// Black or white, whichever is easier to read on this colour: the contrast is at least 4.5 : 1.
const char* text_colour_on(const std::string& colour);

/// Relative luminance and contrast as WCAG 2.1 defines them; colours as "#rrggbb".
double luminance(const std::string& colour);
double contrast(const std::string& a, const std::string& b);

/// gnuplot commands that come before those of every chart: fonts, axes, grid and key.
std::string chart_style();
/// Style sheet of the charts: exchanges inks on dark screens and keeps the pixels of heat maps apart.
std::string chart_style_sheet();
/// ":root { --paper: ...; }" for both kinds of screens: the inks by name, for pages.
std::string ink_variables();

}  // namespace longspan
