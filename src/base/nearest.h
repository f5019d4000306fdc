// The name that was probably meant: for typos in recipes, commands, options, suites, methods and types.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace longspan {

/// The known name nearest to `name`: at most max(1, a third of its letters) insertions, deletions,
/// replacements and exchanges of neighbours away (Damerau 1964), or beginning with it; "" when there is none.
std::string nearest_name(std::string_view name, const std::vector<std::string>& known);

/// " (did you mean NAME?)", or "": goes behind the name in a sentence.
std::string meant_name(std::string_view name, const std::vector<std::string>& known);

}  // namespace longspan
