// Pictures and pages: gnuplot draws, and one HTML file holds everything (inline pictures, no network).
#pragma once

#include <filesystem>
#include <string>

namespace longspan {

/// Runs gnuplot on `commands` (everything but "set terminal" and "set output") once for SVG and once for PNG:
/// writes STEM.svg and STEM.png, `width` x `height` pixels. The error says how to install gnuplot when it is
/// missing, or quotes gnuplot when it fails.
void draw(const std::filesystem::path& stem, const std::string& commands, int width, int height);

/// A string literal for gnuplot, in single quotes.
std::string gnuplot_string(const std::string& text);

/// A self-contained page: title, then `body` (HTML), with styles for light and dark.
std::string html_page(const std::string& title, const std::string& body);
/// The text of an SVG file, ready to be embedded in HTML.
std::string inline_svg(const std::filesystem::path& svg);
/// & < > " as entities.
std::string escape_html(const std::string& text);

}  // namespace longspan
