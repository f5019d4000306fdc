// The table, pictures and page of a comparison of methods.
#pragma once

#include <filesystem>
#include <string>

#include "eval/compare_summary.h"

namespace longspan {

/// For a terminal: one table per length, with the lowest loss marked.
std::string compare_table(const Comparison& comparison);
/// Draws the pictures (SVG and PNG) into the folder and writes compare.html, which holds tables, pictures,
/// settings and the command line.
void write_compare_page(const std::filesystem::path& folder, const Comparison& comparison);

}  // namespace longspan
