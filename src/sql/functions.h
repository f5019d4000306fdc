// THE table of functions that a statement may call. They compute a value from values and nothing else: none
// reads a file, waits, changes a setting or writes. The grammar offers them, and SQLite's authorizer refuses
// all others.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "sql/schema.h"

namespace longspan::sql {

/// Names in lower case.
std::vector<std::string> functions_of(Dialect dialect);
/// Whether SQLite may call it for a statement: one of the above, or what stands for an operator (like, glob).
bool sqlite_may_call(std::string_view name);

}  // namespace longspan::sql
