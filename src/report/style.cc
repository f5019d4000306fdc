#include "report/style.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>

namespace longspan {

namespace {

using Rgb = std::array<double, 3>;  // 0 to 255

constexpr const char* kScale[] = {"#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c",
                                  "#28ae80", "#5ec962", "#addc30", "#fde725"};
constexpr size_t kSteps = std::size(kScale) - 1;

Rgb rgb_of(const std::string& colour) {
  assert(colour.size() == 7 && colour[0] == '#');
  Rgb rgb;
  for (size_t i = 0; i < 3; ++i) rgb[i] = std::stoi(colour.substr(1 + 2 * i, 2), nullptr, 16);
  return rgb;
}

std::vector<Ink> all_inks() {
  std::vector<Ink> all = {
      {"paper", "#ffffff", "#14181c"},    {"text", "#1f2328", "#e6edf3"},
      {"line", "#57606a", "#9aa5b1"},     {"grid", "#dde2e8", "#2f3740"},
      {"muted", "#68717a", "#8b949e"},    {"better", "#00735c", "#3dc795"},
      {"worse", "#b3400f", "#ff9a5c"},    {"series-0", "#0068a8", "#4aa8e8"},
      {"series-1", "#c24e00", "#ff8f4a"}, {"series-2", "#007f5f", "#3ecf9f"},
      {"series-3", "#a84d86", "#ec9fcb"}, {"series-4", "#8f6400", "#eabc3c"},
      {"series-5", "#2a86bd", "#8fd6ff"}, {"series-6", "#6a3d9a", "#bd9ff5"},
      {"series-7", "#7d4a40", "#d0a596"}, {"series-8", "#5f666d", "#b2bac2"},
      {"series-9", "#5c7a00", "#b8d94a"},
  };
  // The dark end of the scale reads well on white, the bright end on black; between lies a part of each.
  for (size_t i = 0; i < kLayers; ++i) {
    double t = static_cast<double>(i) / (kLayers - 1);
    all.push_back({fmt::format("layer-{}", i), scale_colour(0.02 + 0.53 * t), scale_colour(0.4 + 0.58 * t)});
  }
  return all;
}

}  // namespace

const std::vector<Ink>& inks() {
  static const std::vector<Ink> all = all_inks();
  return all;
}

const std::string& ink(const std::string& name) {
  auto found = std::find_if(inks().begin(), inks().end(), [&](const Ink& one) { return one.name == name; });
  assert(found != inks().end());
  return found->light;
}

const std::string& series_ink(size_t i) { return ink(fmt::format("series-{}", i % kSeries)); }

std::string series_marks(size_t i) {
  constexpr int kPoints[] = {7, 5, 9, 11, 13, 6, 4, 8, 10, 12};
  return fmt::format("dt {} pt {}", i / kSeries % 5 + 1, kPoints[i % kSeries]);
}

std::string scale_colour(double t) {
  double at = std::clamp(t, 0.0, 1.0) * kSteps;
  auto step = std::min(static_cast<size_t>(at), kSteps - 1);
  Rgb a = rgb_of(kScale[step]), b = rgb_of(kScale[step + 1]);
  std::string out = "#";
  for (size_t i = 0; i < 3; ++i)
    out += fmt::format("{:02x}", std::lround(a[i] + (b[i] - a[i]) * (at - static_cast<double>(step))));
  return out;
}

std::string scale_palette() {
  std::string out;
  for (size_t i = 0; i <= kSteps; ++i) out += fmt::format("{}{} '{}'", i ? ", " : "", i, kScale[i]);
  return out;
}

std::string scale_stops() { return fmt::format("{}", fmt::join(kScale, ", ")); }

const char* text_colour_on(const std::string& colour) {
  return contrast(colour, "#ffffff") > contrast(colour, "#000000") ? "#ffffff" : "#000000";
}

double luminance(const std::string& colour) {
  Rgb rgb = rgb_of(colour);
  for (double& c : rgb) {
    c /= 255;
    c = c <= 0.04045 ? c / 12.92 : std::pow((c + 0.055) / 1.055, 2.4);
  }
  return 0.2126 * rgb[0] + 0.7152 * rgb[1] + 0.0722 * rgb[2];
}

double contrast(const std::string& a, const std::string& b) {
  double brighter = luminance(a), darker = luminance(b);
  if (brighter < darker) std::swap(brighter, darker);
  return (brighter + 0.05) / (darker + 0.05);
}

std::string chart_style() {
  return fmt::format(
      "set border 3 lw 1 lc rgb '{0}'\nset tics nomirror out\n"
      "set grid xtics ytics lt 1 lc rgb '{1}' lw 1, lt 1 lc rgb '{1}' lw 1\n"
      "set key outside below center horizontal noenhanced samplen 2 height 0.5\n",
      ink("line"), ink("grid"));
}

std::string chart_style_sheet() {
  std::string out =
      "svg text, svg tspan { font-family: system-ui, sans-serif; }\n"
      "svg image { image-rendering: pixelated; }\n"
      "@media (prefers-color-scheme: dark) {\n";
  for (const Ink& one : inks())
    for (const char* attribute : {"stroke", "fill", "color"})
      out += fmt::format("svg [{0}=\"{1}\"] {{ {0}: {2}; }}\n", attribute, one.light, one.dark);
  return out + "}\n";
}

std::string ink_variables() {
  std::string light, dark;
  for (const Ink& one : inks()) {
    light += fmt::format(" --{}: {};", one.name, one.light);
    dark += fmt::format(" --{}: {};", one.name, one.dark);
  }
  return fmt::format(":root {{{}}}\n@media (prefers-color-scheme: dark) {{ :root {{{}}} }}\n", light, dark);
}

}  // namespace longspan
