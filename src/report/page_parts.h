// Parts of the pages: tables, pictures drawn beside the page and put into it, and the script that opens
// cases.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/json.h"
#include "report/pictures.h"

namespace longspan {

/// A table of texts (escaped here), the first row its head: figures to the right in one line each, wide ones
/// scroll; or sentences, to the left.
enum class Cells { Figures, Sentences };
std::string html_table(const std::vector<std::vector<std::string>>& rows, Cells cells = Cells::Figures);
/// <h2>.
std::string html_heading(const std::string& text);
/// Draws FOLDER/STEM.svg and .png; the SVG for the page, "" when there is nothing to draw.
std::string html_picture(const std::filesystem::path& folder, const std::string& stem,
                         const Picture& picture);
/// An element that the script finds by its id and whose text is the JSON; no text within can end it.
std::string html_data(const std::string& id, const Json& data);
/// `text` with all but letters, digits, ".", "_" and "-" replaced, at most 100 of them: for the name of a
/// file.
std::string file_name_of(const std::string& text);

/// resources/pages/eval.css in <style>: heat maps, the list of cases and the box that shows a case.
std::string page_style();
/// resources/pages/cases.js in <script>: draws the heat maps (data "grids", into #heat) and the list of cases
/// (data "cases", into #list).
std::string page_script();

}  // namespace longspan
