// The rules of JSON that the grammars of schemas are built of, and makers of the parts that depend on a
// schema's values. Whatever they derive is JSON by RFC 8259: an escaped surrogate comes in a pair.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "grammar/notation.h"

namespace longspan {

/// A grammar that has the rules of JSON (space, value, object, array, string, character, plain, number,
/// integer, boolean, null, and the formats date, time, date-time, uuid) and grows.
class JsonRules {
 public:
  JsonRules();

  /// One of the rules above.
  Expression named(const std::string& name) const;
  /// A new rule; its name becomes another one where it is taken. The body may be set later.
  size_t add(const std::string& name, Expression body = {});
  void set(size_t rule, Expression body) { grammar_.rules[rule].body = std::move(body); }
  size_t count() const { return grammar_.rules.size(); }

  /// The grammar that derives `root`; `source` names it in errors.
  GrammarText finish(Expression root, const std::string& source) &&;

 private:
  GrammarText grammar_;
};

/// A value as JSON text, without spaces.
Expression json_constant(const Json& value);

/// A string in whose place of a character any of these stands, raw or escaped as JSON asks. Control
/// characters that have no short escape are left out where anything else is there.
Expression json_characters(const std::vector<CodePointRange>& ranges);

/// Whole numbers from `least` to `most` (nothing: no bound), of at most 18 digits and without a useless 0.
Expression json_integers(std::optional<int64_t> least, std::optional<int64_t> most);

/// Numbers between whole bounds, with a fraction of up to 16 digits and without an exponent.
struct NumberBounds {
  std::optional<int64_t> least, most;
  bool above = false, below = false;  // the bounds themselves do not count
};
Expression json_numbers(const NumberBounds& bounds);

/// The key of an object in its quotes, without escapes: any but these names.
Expression json_other_keys(const std::vector<std::string>& names);

}  // namespace longspan
