// Reading JSON schemas: references, what two schemas say together, and whether they exclude each other.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace longspan {

/// What a keyword constrains; annotations say nothing about a value.
enum class KeywordKind { Annotation, Object, Array, String, Number, Any };
struct SchemaKeyword {
  const char* name;
  KeywordKind kind;
};
/// Null for a keyword that is not supported.
const SchemaKeyword* schema_keyword(std::string_view name);

/// Whether it says anything about a value.
bool constrains(const Json& schema);

class SchemaReader {
 public:
  SchemaReader(const Json& root, const std::string& source) : root_(root), source_(source) {}

  /// Throws Error: "SOURCE, at #/properties/a: ...".
  [[noreturn]] void refuse(const std::string& at, const std::string& what) const;

  /// The schema that "#/$defs/name" points to. Error when it is missing or elsewhere.
  const Json& target(const std::string& reference, const std::string& at) const;
  /// The schema with $ref replaced by what it refers to, merged with the keywords beside it.
  Json resolved(const Json& schema, const std::string& at) const;
  /// What satisfies both. Error naming the keyword when that cannot be said in one schema.
  Json merged(const Json& a, const Json& b, const std::string& at) const;
  /// Whether no value can satisfy both, as far as types, constants, and constants under required keys tell.
  bool exclude_each_other(const Json& a, const Json& b, const std::string& at) const;
  /// The types that the schema names or that its constants have; all of them where it says nothing.
  std::vector<std::string> types(const Json& schema, const std::string& at) const;

 private:
  Json resolved(const Json& schema, const std::string& at, int depth) const;
  Json merged(const Json& a, const Json& b, const std::string& at, int depth) const;

  const Json& root_;
  const std::string& source_;
};

/// Whether a value is of the type by name.
bool has_type(const Json& value, const std::string& type);

}  // namespace longspan
