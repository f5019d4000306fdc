// Charts: gnuplot draws them, once as SVG and once as PNG. An SVG carries the style sheet of the house, so
// that it has a dark form wherever it is shown, and its title for screen readers.
#pragma once

#include <filesystem>
#include <string>

namespace longspan {

/// A chart: gnuplot commands, everything but "set terminal", "set output" and chart_style(), which come
/// before them. A chart with nothing to show has no commands.
struct Picture {
  std::string commands;
  std::string title = {};  // what it shows, for those who cannot see it and as its tooltip
  int width = 720, height = 420;
};

/// Writes STEM.svg and STEM.png. The error says how to install gnuplot when it is missing, or quotes gnuplot
/// when it fails.
void draw(const std::filesystem::path& stem, const Picture& picture);

/// "" where gnuplot can be run; otherwise the sentence that says so, and how to get it.
std::string gnuplot_missing();

/// A string literal for gnuplot, in single quotes.
std::string gnuplot_string(const std::string& text);

/// The text of an SVG file for a page that has chart_style_sheet() already.
std::string inline_svg(const std::filesystem::path& svg);

}  // namespace longspan
