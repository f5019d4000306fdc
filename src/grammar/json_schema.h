// JSON schemas as grammars: every text that the grammar derives is JSON and valid under the schema (draft
// 2020-12, `format` counted). What a grammar cannot say is refused by its name; nothing is left out in
// silence. The grammar may derive less than the schema allows: the keys of an object come in the schema's
// order and then the additional ones, which there are only where additionalProperties asks for them; numbers
// have 16 digits at most.
#pragma once

#include <string>

#include "base/json.h"
#include "grammar/notation.h"

namespace longspan {

/// Supported: type, enum, const, properties, required, additionalProperties, items, prefixItems, minItems,
/// maxItems, minLength, maxLength, pattern (json_pattern.h), format (date, time, date-time, uuid), minimum,
/// maximum, exclusiveMinimum, exclusiveMaximum, anyOf, oneOf of alternatives that exclude each other, allOf
/// where the parts can be merged, $ref within the schema. `source` and the place in the schema begin errors.
GrammarText schema_grammar(const Json& schema, const std::string& source);

/// Any JSON object.
GrammarText json_object_grammar();

}  // namespace longspan
