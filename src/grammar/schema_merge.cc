#include "grammar/schema_merge.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "base/error.h"
#include "base/text.h"

namespace longspan {

namespace {

constexpr int kDeepest = 50;

constexpr SchemaKeyword kKeywords[] = {
    {"$schema", KeywordKind::Annotation},
    {"$id", KeywordKind::Annotation},
    {"$comment", KeywordKind::Annotation},
    {"$defs", KeywordKind::Annotation},
    {"definitions", KeywordKind::Annotation},
    {"title", KeywordKind::Annotation},
    {"description", KeywordKind::Annotation},
    {"default", KeywordKind::Annotation},
    {"example", KeywordKind::Annotation},
    {"examples", KeywordKind::Annotation},
    {"deprecated", KeywordKind::Annotation},
    {"readOnly", KeywordKind::Annotation},
    {"writeOnly", KeywordKind::Annotation},
    {"type", KeywordKind::Any},
    {"enum", KeywordKind::Any},
    {"const", KeywordKind::Any},
    {"anyOf", KeywordKind::Any},
    {"oneOf", KeywordKind::Any},
    {"allOf", KeywordKind::Any},
    {"$ref", KeywordKind::Any},
    {"properties", KeywordKind::Object},
    {"required", KeywordKind::Object},
    {"additionalProperties", KeywordKind::Object},
    {"items", KeywordKind::Array},
    {"prefixItems", KeywordKind::Array},
    {"minItems", KeywordKind::Array},
    {"maxItems", KeywordKind::Array},
    {"minLength", KeywordKind::String},
    {"maxLength", KeywordKind::String},
    {"pattern", KeywordKind::String},
    {"format", KeywordKind::String},
    {"minimum", KeywordKind::Number},
    {"maximum", KeywordKind::Number},
    {"exclusiveMinimum", KeywordKind::Number},
    {"exclusiveMaximum", KeywordKind::Number},
};

const char* const kTypes[] = {"object", "array", "string", "number", "integer", "boolean", "null"};

bool is_name_of_type(const std::string& name) {
  return std::find(std::begin(kTypes), std::end(kTypes), name) != std::end(kTypes);
}

/// Types that two lists share; an integer is a number.
std::vector<std::string> shared_types(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  std::vector<std::string> out;
  auto has = [](const std::vector<std::string>& list, const char* type) {
    return std::find(list.begin(), list.end(), type) != list.end();
  };
  for (const std::string& type : a)
    if (has(b, type.c_str()) || (type == "integer" && has(b, "number"))) out.push_back(type);
  if (has(a, "number") && !has(a, "integer") && has(b, "integer") && !has(b, "number"))
    out.push_back("integer");
  return out;
}

/// The values that enum or const leave; nothing where neither is there.
std::optional<Json> constants(const Json& schema) {
  if (!schema.is_object()) return std::nullopt;
  if (schema.contains("const")) return Json::array({schema["const"]});
  if (schema.contains("enum") && schema["enum"].is_array()) return schema["enum"];
  return std::nullopt;
}

bool disjoint(const Json& a, const Json& b) {
  return std::none_of(a.begin(), a.end(),
                      [&](const Json& value) { return std::find(b.begin(), b.end(), value) != b.end(); });
}

bool is_among(const Json& list, const std::string& text) {
  return list.is_array() && std::find(list.begin(), list.end(), Json(text)) != list.end();
}

}  // namespace

const SchemaKeyword* schema_keyword(std::string_view name) {
  for (const SchemaKeyword& keyword : kKeywords)
    if (keyword.name == name) return &keyword;
  return nullptr;
}

bool constrains(const Json& schema) {
  if (!schema.is_object()) return !schema.is_boolean() || !schema.get<bool>();
  for (const auto& [name, value] : schema.items()) {
    const SchemaKeyword* keyword = schema_keyword(name);
    if (!keyword || keyword->kind != KeywordKind::Annotation) return true;
  }
  return false;
}

bool has_type(const Json& value, const std::string& type) {
  if (type == "integer")
    return value.is_number_integer() ||
           (value.is_number() && std::trunc(value.get<double>()) == value.get<double>());
  return (type == "object" && value.is_object()) || (type == "array" && value.is_array()) ||
         (type == "string" && value.is_string()) || (type == "number" && value.is_number()) ||
         (type == "boolean" && value.is_boolean()) || (type == "null" && value.is_null());
}

void SchemaReader::refuse(const std::string& at, const std::string& what) const {
  fail("{}, at {}: {}", source_, excerpt(at, 200), what);
}

const Json& SchemaReader::target(const std::string& reference, const std::string& at) const {
  if (reference == "#") return root_;
  if (!reference.starts_with("#/"))
    refuse(at, fmt::format("$ref {} does not lie within the schema; write \"#/$defs/NAME\"",
                           in_quotes(reference)));
  const Json* found = &root_;
  for (size_t begin = 2; begin <= reference.size();) {
    size_t end = std::min(reference.find('/', begin), reference.size());
    std::string key = replaced(replaced(reference.substr(begin, end - begin), "~1", "/"), "~0", "~");
    if (found->is_object() && found->contains(key)) {
      found = &found->at(key);
    } else if (found->is_array() && !key.empty() && key.size() < 6 &&
               key.find_first_not_of("0123456789") == key.npos && std::stoul(key) < found->size()) {
      found = &found->at(std::stoul(key));
    } else {
      refuse(at, fmt::format("$ref {} points to nothing", in_quotes(reference)));
    }
    begin = end + 1;
  }
  return *found;
}

Json SchemaReader::resolved(const Json& schema, const std::string& at) const {
  return resolved(schema, at, 0);
}
Json SchemaReader::merged(const Json& a, const Json& b, const std::string& at) const {
  return merged(a, b, at, 0);
}

Json SchemaReader::resolved(const Json& schema, const std::string& at, int depth) const {
  if (depth > kDeepest) refuse(at, "schemas that refer to each other or lie within each other too deeply");
  if (!schema.is_object() || !schema.contains("$ref")) return schema;
  if (!schema["$ref"].is_string()) refuse(at, "$ref is not a text");
  Json rest = schema;
  rest.erase("$ref");
  return merged(resolved(target(schema["$ref"].get<std::string>(), at), at, depth + 1), rest, at, depth + 1);
}

Json SchemaReader::merged(const Json& a, const Json& b, const std::string& at, int depth) const {
  if (depth > kDeepest) refuse(at, "schemas that refer to each other or lie within each other too deeply");
  for (const Json* schema : {&a, &b})
    if (!schema->is_object() && !schema->is_boolean()) refuse(at, "a schema is an object or true");
  if (b.is_boolean()) return b.get<bool>() ? a : b;
  if (a.is_boolean()) return a.get<bool>() ? b : a;
  if (a.contains("$ref") || b.contains("$ref"))
    return merged(resolved(a, at, depth + 1), resolved(b, at, depth + 1), at, depth + 1);
  // A closed object does not know the keys that the other one names.
  auto names_of = [](const Json& s) { return s.contains("properties") ? s["properties"] : Json::object(); };
  for (auto [closed, other] : {std::pair(&a, &b), std::pair(&b, &a)}) {
    if (!closed->contains("additionalProperties")) continue;
    const Json known = names_of(*closed), named = names_of(*other);
    for (const auto& [key, unused] : named.items())
      if (!known.contains(key))
        refuse(at, fmt::format("allOf of objects with additionalProperties, one of which lacks the key {}, "
                               "cannot be merged",
                               in_quotes(key)));
  }
  Json out = a;
  for (const auto& [key, value] : b.items()) {
    const SchemaKeyword* keyword = schema_keyword(key);
    if (keyword && keyword->kind == KeywordKind::Annotation) continue;
    if (!out.contains(key) || out[key] == value) {
      out[key] = value;
    } else if (key == "type") {
      std::vector<std::string> both =
          shared_types(types({{"type", out[key]}}, at), types({{"type", value}}, at));
      if (both.empty()) refuse(at, "no value has the types of all parts");
      out[key] = both;
    } else if (key == "required" && value.is_array()) {
      for (const Json& name : value)
        if (name.is_string() && !is_among(out[key], name.get<std::string>())) out[key].push_back(name);
    } else if (key == "properties" && value.is_object() && out[key].is_object()) {
      for (const auto& [name, schema] : value.items())
        out[key][name] = out[key].contains(name)
                             ? merged(out[key][name], schema, at + "/properties/" + name, depth + 1)
                             : schema;
    } else if ((key == "minimum" || key == "exclusiveMinimum" || key == "minLength" || key == "minItems") &&
               value.is_number() && out[key].is_number()) {
      if (value > out[key]) out[key] = value;
    } else if ((key == "maximum" || key == "exclusiveMaximum" || key == "maxLength" || key == "maxItems") &&
               value.is_number() && out[key].is_number()) {
      if (value < out[key]) out[key] = value;
    } else if (key == "items" && value.is_object() && out[key].is_object()) {
      out[key] = merged(out[key], value, at + "/items", depth + 1);
    } else if (key == "enum" && value.is_array() && out[key].is_array()) {
      Json both = Json::array();
      for (const Json& v : value)
        if (std::find(out[key].begin(), out[key].end(), v) != out[key].end()) both.push_back(v);
      out[key] = both;
    } else {
      refuse(at, fmt::format("the keyword {} of several parts cannot be merged", in_quotes(key)));
    }
  }
  return out;
}

std::vector<std::string> SchemaReader::types(const Json& schema, const std::string& at) const {
  std::vector<std::string> named;
  if (!schema.is_object()) return {std::begin(kTypes), std::end(kTypes)};
  auto add = [&](const Json& type) {
    if (!type.is_string() || !is_name_of_type(type.get<std::string>()))
      refuse(at, fmt::format("the type {} does not exist", excerpt_json(type)));
    named.push_back(type.get<std::string>());
  };
  if (schema.contains("type")) {
    if (schema["type"].is_array()) {
      for (const Json& type : schema["type"]) add(type);
      if (named.empty()) refuse(at, "the list of types is empty");
    } else {
      add(schema["type"]);
    }
    return named;
  }
  if (std::optional<Json> values = constants(schema)) {
    for (const Json& value : *values)
      for (const char* type : kTypes)
        if (has_type(value, type) && std::find(named.begin(), named.end(), type) == named.end())
          named.emplace_back(type);
    return named;
  }
  return {std::begin(kTypes), std::end(kTypes)};
}

bool SchemaReader::exclude_each_other(const Json& first, const Json& second, const std::string& at) const {
  Json a = resolved(first, at), b = resolved(second, at);
  if (!a.is_object() || !b.is_object()) return false;
  std::vector<std::string> types_a = types(a, at), types_b = types(b, at);
  if (shared_types(types_a, types_b).empty()) return true;
  auto values_a = constants(a), values_b = constants(b);
  if (values_a && values_b) return disjoint(*values_a, *values_b);
  const std::vector<std::string> object = {"object"};
  if (types_a != object || types_b != object || !a.contains("properties") || !b.contains("properties") ||
      !a["properties"].is_object() || !b["properties"].is_object() || !a.contains("required") ||
      !b.contains("required"))
    return false;
  for (const auto& [key, schema] : a["properties"].items()) {
    if (!b["properties"].contains(key) || !is_among(a["required"], key) || !is_among(b["required"], key))
      continue;
    auto left = constants(resolved(schema, at)), right = constants(resolved(b["properties"][key], at));
    if (left && right && disjoint(*left, *right)) return true;
  }
  return false;
}

}  // namespace longspan
