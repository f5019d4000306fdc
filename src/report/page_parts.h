// Parts of the pages: the page itself, tables, charts (drawn beside the page and inlined), and the script
// that opens cases. A page is one file: it fetches nothing.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/json.h"
#include "report/plot.h"

namespace longspan {

/// A self-contained page: its title as the main heading, then `body` (HTML), styled for light and dark
/// screens of any width. Where a chart is missing in the body for want of gnuplot, a sentence below the title
/// says so.
std::string html_page(const std::string& title, const std::string& body);
/// Whether such a sentence is on a page that was written.
bool page_lacks_charts(const std::filesystem::path& page);
/// & < > " as entities.
std::string escape_html(const std::string& text);

/// A table of texts, which are escaped here; the first row is the head, the first cell of each other row its
/// heading. Figures are right-aligned on one line (wide tables scroll), sentences left-aligned.
enum class Cells { Figures, Sentences };
std::string html_table(const std::string& caption, const std::vector<std::vector<std::string>>& rows,
                       Cells cells = Cells::Figures);
/// A box that scrolls by itself where `html` is wider than the screen; the keyboard reaches it, and `name` is
/// what a screen reader calls it.
std::string html_scrolling(const std::string& name, const std::string& html);
/// <h2>.
std::string html_heading(const std::string& text);
/// Text as the program read or wrote it.
std::string html_pre(const std::string& text);
/// Draws FOLDER/STEM.svg and .png, and returns the chart for the page below its heading (or none); "" when
/// there is nothing to draw, a comment that html_page understands when there is no gnuplot, a sentence when
/// gnuplot fails: the figures of a page do not depend on its charts.
std::string html_picture(const std::filesystem::path& folder, const std::string& stem, const Picture& picture,
                         const std::string& heading = {});
/// A script element with this id that holds the JSON; no string inside can end the element.
std::string html_data(const std::string& id, const Json& data);
/// `text` as part of a file name: everything but letters, digits, ".", "_" and "-" is replaced, and it is cut
/// to 100 bytes.
std::string file_name_of(const std::string& text);

/// resources/pages/cases.js in <script>: opens the cases of heat maps (data "grids") and draws the list of
/// cases (data "cases", into #list).
std::string page_script();

}  // namespace longspan
