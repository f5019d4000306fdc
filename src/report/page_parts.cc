#include "report/page_parts.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/resource.h"
#include "report/plot.h"

namespace longspan {

std::string html_table(const std::vector<std::vector<std::string>>& rows, Cells cells) {
  std::string out =
      fmt::format("<div class=\"{}\"><table>\n", cells == Cells::Figures ? "wide" : "sentences");
  for (size_t r = 0; r < rows.size(); ++r) {
    out += "<tr>";
    for (const std::string& text : rows[r])
      out += fmt::format("<{0}>{1}</{0}>", r == 0 ? "th" : "td", escape_html(text));
    out += "</tr>\n";
  }
  return out + "</table></div>\n";
}

std::string html_heading(const std::string& text) { return "<h2>" + escape_html(text) + "</h2>\n"; }

std::string html_picture(const std::filesystem::path& folder, const std::string& stem,
                         const Picture& picture) {
  if (picture.commands.empty()) return "";
  try {
    draw(folder / stem, picture.commands, picture.width, picture.height);
  } catch (const Error& e) {
    // Figures without pictures are better than none.
    return "<p class=\"remark\">" + escape_html(e.what()) + "</p>\n";
  }
  return inline_svg(folder / (stem + ".svg")) + "\n";
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

std::string page_style() { return fmt::format("<style>\n{}</style>\n", resource("pages/eval.css")); }

std::string page_script() { return fmt::format("<script>\n{}</script>\n", resource("pages/cases.js")); }

}  // namespace longspan
