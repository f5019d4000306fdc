// A result as people read it in a terminal.
#pragma once

#include <string>

#include "sql/database.h"

namespace longspan::sql {

/// A cell as text: NULL, 12, 0.5, and texts on one line, escaped.
std::string cell_text(const Cell& cell);

/// Columns of equal width, numbers on the right, a line of dashes below the names; a line a row. Cells are
/// cut after `most` columns of the terminal. East Asian characters take two, combining ones none.
std::string aligned_table(const ResultTable& table, int64_t most = 60);

/// Columns that the text takes in a terminal.
int64_t display_width(const std::string& text);

}  // namespace longspan::sql
