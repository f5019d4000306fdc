#include "report/heat_map.h"

#include <fmt/format.h>

#include <algorithm>

#include "report/page_parts.h"
#include "report/style.h"

namespace longspan {

namespace {

// ---- the table

std::string head_rows(const HeatMap& map) {
  std::string out = "<thead>";
  if (!map.groups.empty()) {
    out += fmt::format("<tr><th scope=\"col\" rowspan=\"2\">{}</th>", escape_html(map.down));
    for (const auto& [name, columns] : map.groups)
      out += fmt::format("<th scope=\"colgroup\" colspan=\"{}\">{}</th>", columns, escape_html(name));
    out += "</tr>";
  }
  out += "<tr>";
  if (map.groups.empty()) out += fmt::format("<th scope=\"col\">{}</th>", escape_html(map.down));
  for (const std::string& name : map.columns)
    out += fmt::format("<th scope=\"col\">{}</th>", escape_html(name));
  return out + "</tr></thead>\n";
}

std::string table_cell(const std::optional<HeatCell>& cell, const std::string& data) {
  if (!cell) return "<td class=\"none\" title=\"no case\"></td>";
  std::string colour = scale_colour(cell->value / 100),
              look = fmt::format("style=\"background:{};color:{}\"", colour, text_colour_on(colour)),
              words = escape_html(cell->words), text = escape_html(cell->text);
  if (data.empty()) return fmt::format("<td {} title=\"{}\">{}</td>", look, words, text);
  return fmt::format("<td><button type=\"button\" {} title=\"{}\" aria-label=\"{}\" {}>{}</button></td>",
                     look, words, words, data, text);
}

std::string scale_line(const HeatMap& map) {
  return map.scale.empty()
             ? ""
             : fmt::format(
                   "<p class=\"scale\">0 <span style=\"background:linear-gradient(to right, {})\"></span> "
                   "100, {}</p>\n",
                   scale_stops(), escape_html(map.scale));
}

// ---- the file

constexpr double kFont = 14, kLetter = 7.6;  // pixels; the width of a letter is a guess on the safe side
constexpr double kCellHeight = 34, kScale = 200;

double width_of(const std::string& text) { return kLetter * static_cast<double>(text.size()); }

double widest(const std::vector<std::string>& texts) {
  double most = 0;
  for (const std::string& text : texts) most = std::max(most, width_of(text));
  return most;
}

std::string svg_text(double x, double y, const std::string& anchor, const std::string& text,
                     const std::string& more = "") {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\" {}>{}</text>\n", x, y, anchor,
                     more.empty() ? fmt::format("fill=\"{}\"", ink("text")) : more, escape_html(text));
}

struct Layout {
  double left, top, cell, width, height;
};

Layout layout_of(const HeatMap& map) {
  Layout at;
  at.left = 44 + widest(map.rows);
  at.top = 64 + (map.groups.empty() ? 0 : 22);
  at.cell = std::clamp(680 / static_cast<double>(std::max<size_t>(1, map.columns.size())),
                       std::max(38.0, widest(map.columns) + 8), 96.0);
  double grid = at.cell * static_cast<double>(map.columns.size());
  double scale = map.scale.empty() ? 0 : kScale + 36 + width_of("100, " + map.scale);
  at.width = std::max({at.left + grid + 16, width_of(map.title) * 1.15 + 32, at.left + scale + 16});
  at.height = at.top + kCellHeight * static_cast<double>(map.rows.size()) + (map.scale.empty() ? 34 : 70);
  return at;
}

std::string svg_cell(double x, double y, double width, const std::optional<HeatCell>& cell) {
  std::string colour = cell ? scale_colour(cell->value / 100) : ink("grid");
  // In `style`, so that the style sheet of dark screens leaves the colours of the scale alone.
  std::string out = fmt::format(
      "<g><title>{}</title><rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" {}/>",
      escape_html(cell ? cell->words : "no case"), x, y, width - 2, kCellHeight - 2,
      cell ? fmt::format("style=\"fill:{}\"", colour) : fmt::format("fill=\"{}\"", colour));
  if (cell)
    out += svg_text(x + width / 2 - 1, y + kCellHeight / 2 + 4, "middle", cell->text,
                    fmt::format("style=\"fill:{}\"", text_colour_on(colour)));
  return out + "</g>\n";
}

/// The bar of the scale below the map, with what its colours mean.
std::string svg_scale(const HeatMap& map, double x, double y) {
  constexpr int kParts = 40;
  std::string out = svg_text(x, y + 12, "start", "0");
  for (int i = 0; i < kParts; ++i)
    out +=
        fmt::format("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"14\" style=\"fill:{}\"/>\n",
                    x + 14 + kScale * i / kParts, y, kScale / kParts + 0.5, scale_colour((i + 0.5) / kParts));
  return out + svg_text(x + kScale + 20, y + 12, "start", "100, " + map.scale);
}

}  // namespace

std::string heat_map_table(const HeatMap& map, std::optional<size_t> number) {
  std::string table = fmt::format("<table class=\"heat{}\"><caption>{}; columns: {}</caption>\n{}<tbody>\n",
                                  map.columns.size() <= 6 ? " roomy" : "", escape_html(map.title),
                                  escape_html(map.across), head_rows(map));
  for (size_t r = 0; r < map.rows.size(); ++r) {
    table += fmt::format("<tr><th scope=\"row\">{}</th>", escape_html(map.rows[r]));
    for (size_t c = 0; c < map.columns.size(); ++c)
      table += table_cell(
          map.cells[r][c],
          number ? fmt::format("data-grid=\"{}\" data-row=\"{}\" data-column=\"{}\"", *number, r, c) : "");
    table += "</tr>\n";
  }
  return html_scrolling(map.title, table + "</tbody></table>") + scale_line(map);
}

std::string heat_map_svg(const HeatMap& map) {
  Layout at = layout_of(map);
  std::string out = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0:.0f} {1:.0f}\" width=\"{0:.0f}\" "
      "height=\"{1:.0f}\" font-size=\"{2}\" font-family=\"sans-serif\" shape-rendering=\"crispEdges\" "
      "role=\"img\" aria-label=\"{3}\">\n<title>{3}</title>\n<style>\n{4}</style>\n"
      "<rect width=\"100%\" height=\"100%\" fill=\"{5}\"/>\n",
      at.width, at.height, kFont, escape_html(map.title), chart_style_sheet(), ink("paper"));
  double x = at.left, bottom = at.top + kCellHeight * static_cast<double>(map.rows.size());
  out += svg_text(16, 24, "start", map.title,
                  fmt::format("font-weight=\"600\" font-size=\"16\" fill=\"{}\"", ink("text")));
  for (const auto& [name, columns] : map.groups) {
    double width = at.cell * static_cast<double>(columns);
    out += svg_text(x + width / 2, at.top - 30, "middle", name);
    x += width;
  }
  for (size_t c = 0; c < map.columns.size(); ++c)
    out += svg_text(at.left + at.cell * (static_cast<double>(c) + 0.5) - 1, at.top - 8, "middle",
                    map.columns[c]);
  for (size_t r = 0; r < map.rows.size(); ++r) {
    double y = at.top + kCellHeight * static_cast<double>(r);
    out += svg_text(at.left - 8, y + kCellHeight / 2 + 4, "end", map.rows[r]);
    for (size_t c = 0; c < map.columns.size(); ++c)
      out += svg_cell(at.left + at.cell * static_cast<double>(c), y, at.cell, map.cells[r][c]);
  }
  double middle = (at.top + bottom) / 2;
  out += svg_text(20, middle, "middle", map.down,
                  fmt::format("transform=\"rotate(-90 20 {:.1f})\" fill=\"{}\"", middle, ink("line")));
  out += svg_text(at.left + at.cell * static_cast<double>(map.columns.size()) / 2, bottom + 20, "middle",
                  map.across, fmt::format("fill=\"{}\"", ink("line")));
  if (!map.scale.empty()) out += svg_scale(map, at.left, bottom + 38);
  return out + "</svg>\n";
}

}  // namespace longspan
