// The table, pictures and page of a comparison of methods.
#pragma once

#include <filesystem>
#include <string>

#include "eval/compare_summary.h"

namespace longspan {

/// For a terminal: one table per length, with the lowest loss marked.
std::string compare_table(const Comparison& comparison);
/// Writes compare.html into the folder: tables, charts, settings and the command line; beside it loss,
/// position and seconds as SVG and PNG, and passkeys.svg. Without gnuplot it lacks the charts and says so.
void write_compare_page(const std::filesystem::path& folder, const Comparison& comparison);

}  // namespace longspan
