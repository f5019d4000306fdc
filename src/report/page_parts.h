// Parts of the pages: tables, pictures (drawn beside the page and inlined), and the script that opens cases.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/json.h"
#include "report/pictures.h"

namespace longspan {

/// A table of texts, which are escaped here; the first row is the head. Figures are right-aligned on one line
/// (wide tables scroll), sentences left-aligned.
enum class Cells { Figures, Sentences };
std::string html_table(const std::vector<std::vector<std::string>>& rows, Cells cells = Cells::Figures);
/// <h2>.
std::string html_heading(const std::string& text);
/// Draws FOLDER/STEM.svg and .png, and returns the SVG for the page; "" when there is nothing to draw.
std::string html_picture(const std::filesystem::path& folder, const std::string& stem,
                         const Picture& picture);
/// A script element with this id that holds the JSON; no string inside can end the element.
std::string html_data(const std::string& id, const Json& data);
/// `text` as part of a file name: everything but letters, digits, ".", "_" and "-" is replaced, and it is cut
/// to 100 bytes.
std::string file_name_of(const std::string& text);

/// resources/pages/eval.css in <style>: heat maps, the list of cases and the box that shows a case.
std::string page_style();
/// resources/pages/cases.js in <script>: draws the heat maps (data "grids", into #heat) and the list of cases
/// (data "cases", into #list).
std::string page_script();

}  // namespace longspan
