// Regular expressions of JSON schemas as grammars of JSON strings: characters, classes, groups, alternation,
// repetition, ^ and $ at the ends. As schemas mean it, a pattern that is not anchored may match anywhere.
#pragma once

#include <string>

#include "grammar/json_rules.h"

namespace longspan {

/// The inside of the quotes of every string that the pattern matches. `where` begins the errors, which name
/// what is not supported: look-around, back references, \b, \p, flags, anchors inside.
Expression pattern_expression(const std::string& pattern, const JsonRules& rules, const std::string& where);

}  // namespace longspan
