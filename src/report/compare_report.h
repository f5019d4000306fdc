// The tables, pictures and page of a comparison of methods.
#pragma once

#include <filesystem>
#include <string>

#include "base/json.h"
#include "eval/compare.h"

namespace longspan {

/// {"settings": ..., "rows": [{method, spec, length, nll, seconds, ...}]} of the rows whose loss is known;
/// "complete" says whether that is all.
Json compare_summary(const ComparePlan& plan, const ResultStore& store);
/// For a terminal: lengths one after the other, the least loss of each marked.
std::string compare_table(const Json& summary);
/// Draws the pictures (SVG and PNG) into the folder and writes compare.html, which holds tables, pictures,
/// settings and the command line.
void write_compare_page(const std::filesystem::path& folder, const Json& summary);

}  // namespace longspan
