#include "report/page_parts.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/file.h"
#include "base/resource.h"
#include "report/plot.h"
#include "report/style.h"

namespace longspan {

namespace {

/// In the place of a chart that gnuplot would have drawn.
constexpr const char* kMissingChart = "<!-- a chart is missing here -->\n";

}  // namespace

bool page_lacks_charts(const std::filesystem::path& page) {
  return read_file(page).find(kMissingChart) != std::string::npos;
}

std::string html_page(const std::string& title, const std::string& body) {
  std::string missing;
  if (body.find(kMissingChart) != body.npos)
    missing = fmt::format(
        "<p class=\"remark\">{}. This page has its tables only; the same command draws the "
        "charts once gnuplot is there.</p>\n",
        escape_html("Charts are missing: " + gnuplot_missing()));
  return fmt::format(
      R"(<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{0}</title>
<style>
{1}{2}{3}</style></head><body>
<main>
<h1>{0}</h1>
{4}{5}
</main>
</body></html>
)",
      escape_html(title), ink_variables(), chart_style_sheet(), resource("pages/page.css"), missing, body);
}

std::string escape_html(const std::string& text) {
  std::string out;
  for (char c : text) {
    if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '"')
      out += "&quot;";
    else
      out += c;
  }
  return out;
}

std::string html_scrolling(const std::string& name, const std::string& html) {
  return fmt::format("<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"{}\">{}</div>\n",
                     escape_html(name), html);
}

std::string html_table(const std::string& caption, const std::vector<std::vector<std::string>>& rows,
                       Cells cells) {
  std::string table = fmt::format("<table><caption>{}</caption>\n", escape_html(caption));
  for (size_t r = 0; r < rows.size(); ++r) {
    table += r == 0 ? "<thead><tr>" : "<tr>";
    for (size_t c = 0; c < rows[r].size(); ++c) {
      std::string text = escape_html(rows[r][c]);
      table += r == 0   ? fmt::format("<th scope=\"col\">{}</th>", text)
               : c == 0 ? fmt::format("<th scope=\"row\">{}</th>", text)
                        : fmt::format("<td>{}</td>", text);
    }
    table += r == 0 ? "</tr></thead>\n<tbody>\n" : "</tr>\n";
  }
  table += rows.empty() ? "</table>\n" : "</tbody></table>\n";
  return cells == Cells::Figures ? html_scrolling(caption, table)
                                 : "<div class=\"sentences\">" + table + "</div>\n";
}

std::string html_heading(const std::string& text) { return "<h2>" + escape_html(text) + "</h2>\n"; }

std::string html_pre(const std::string& text) { return "<pre>" + escape_html(text) + "</pre>\n"; }

std::string html_picture(const std::filesystem::path& folder, const std::string& stem, const Picture& picture,
                         const std::string& heading) {
  if (picture.commands.empty()) return "";
  if (!gnuplot_missing().empty()) return kMissingChart;
  std::string above = heading.empty() ? "" : html_heading(heading);
  try {
    draw(folder / stem, picture);
  } catch (const Error& e) {
    // Figures without pictures are better than none.
    return above + "<p class=\"remark\">" + escape_html(e.what()) + "</p>\n";
  }
  return fmt::format("{}<figure tabindex=\"0\" aria-label=\"{}\" style=\"--least:{}px\">\n{}</figure>\n",
                     above, escape_html(picture.title), picture.width * 2 / 3,
                     inline_svg(folder / (stem + ".svg")));
}

std::string html_data(const std::string& id, const Json& data) {
  std::string text;
  for (char c : dump_json(data)) text += c == '<' ? std::string("\\u003c") : std::string(1, c);
  return fmt::format("<script type=\"application/json\" id=\"{}\">{}</script>\n", id, text);
}

std::string file_name_of(const std::string& text) {
  std::string out;
  for (char c : text)
    out += std::isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '_' || c == '-' ? c : '_';
  return out.substr(0, 100);
}

std::string page_script() { return fmt::format("<script>\n{}</script>\n", resource("pages/cases.js")); }

}  // namespace longspan
