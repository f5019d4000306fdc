#include "grammar/json_schema.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>

#include "base/error.h"
#include "base/text.h"
#include "grammar/json_pattern.h"
#include "grammar/json_rules.h"
#include "grammar/schema_merge.h"

namespace longspan {

namespace {

constexpr int kDeepest = 50;
constexpr int64_t kMostSchemas = 5000, kMostBytes = int64_t{1} << 18;
constexpr int64_t kMostName = 500;                        // characters of a key
constexpr double kMostInteger = 999'999'999'999'999'999;  // 18 digits

Expression optional_part(Expression e) { return repeat(std::move(e), 0, 1); }
Expression empty_text() { return sequence({}); }

/// A part of a rule's name.
std::string name_part(const std::string& text) {
  std::string out;
  for (char c : text.substr(0, 40)) out += std::isalnum(static_cast<unsigned char>(c)) ? c : '-';
  return out;
}

class Converter {
 public:
  Converter(const Json& schema, const std::string& source)
      : root_(schema), source_(source), reader_(schema, source) {}

  GrammarText convert() {
    if (std::ssize(dump_json(root_)) > kMostBytes)
      reader_.refuse("#", fmt::format("the schema is longer than {} bytes", grouped(kMostBytes)));
    Expression whole = value_of(root_, "#", 0);
    return std::move(rules_).finish(std::move(whole), source_);
  }

 private:
  using Form = Expression::Kind;

  [[noreturn]] void refuse(const std::string& at, const std::string& what) const { reader_.refuse(at, what); }

  Expression value_of(const Json& schema, const std::string& at, int depth) {
    if (depth > kDeepest) refuse(at, "schemas that refer to each other or lie within each other too deeply");
    if (++schemas_ > kMostSchemas)
      refuse(at, fmt::format("the schema has more than {} parts", grouped(kMostSchemas)));
    if (schema.is_boolean() && schema.get<bool>()) return rules_.named("value");
    if (schema.is_boolean()) refuse(at, "false allows no value");
    if (!schema.is_object())
      refuse(at, fmt::format("a schema is an object or true, got {}", excerpt_json(schema)));
    check_keywords(schema, at);
    if (schema.contains("$ref")) return reference(schema, at, depth);
    if (schema.contains("allOf")) return all_of(schema, at, depth);
    for (const char* key : {"anyOf", "oneOf"})
      if (schema.contains(key)) return one_of(schema, key, at, depth);
    if (schema.contains("enum") || schema.contains("const")) return constant(schema, at);
    std::vector<Expression> parts;
    std::vector<std::string> types = types_of(schema, at);
    for (const std::string& type : types) {
      bool within = type == "integer" && std::find(types.begin(), types.end(), "number") != types.end();
      if (!within) parts.push_back(of_type(schema, type, at, depth));
    }
    return choice(std::move(parts));
  }

  void check_keywords(const Json& schema, const std::string& at) const {
    for (const auto& [key, unused] : schema.items())
      if (!schema_keyword(key)) refuse(at, fmt::format("the keyword {} is not supported", in_quotes(key)));
    if (at != "#" && schema.contains("$id"))
      refuse(at, "the keyword \"$id\" is supported at the beginning only");
  }

  /// Where no type is named, those that the keywords are about: other values would be valid too, but nobody
  /// who writes them means those.
  std::vector<std::string> types_of(const Json& schema, const std::string& at) const {
    if (schema.contains("type")) return reader_.types(schema, at);
    std::vector<std::string> types;
    for (auto [kind, type] :
         {std::pair(KeywordKind::Object, "object"), std::pair(KeywordKind::Array, "array"),
          std::pair(KeywordKind::String, "string"), std::pair(KeywordKind::Number, "number")})
      for (const auto& [key, unused] : schema.items())
        if (schema_keyword(key)->kind == kind && (types.empty() || types.back() != type))
          types.emplace_back(type);
    return types.empty() ? std::vector<std::string>{"object", "array", "string", "number", "boolean", "null"}
                         : types;
  }

  Expression of_type(const Json& schema, const std::string& type, const std::string& at, int depth) {
    if (type == "object") return object(schema, at, depth);
    if (type == "array") return array(schema, at, depth);
    if (type == "string") return string(schema, at);
    if (type == "number" || type == "integer") return number(schema, type == "integer", at);
    return rules_.named(type);
  }

  Expression reference(const Json& schema, const std::string& at, int depth) {
    Json rest = schema;
    rest.erase("$ref");
    if (constrains(rest)) return value_of(reader_.resolved(schema, at), at, depth + 1);
    if (!schema["$ref"].is_string()) refuse(at, "$ref is not a text");
    std::string name = schema["$ref"].get<std::string>();
    auto [known, added] = references_.emplace(name, 0);
    if (!added) return rule_reference(known->second);
    const Json& target = reader_.target(name, at);
    size_t rule = known->second = rules_.add("ref-" + name_part(name.substr(name.rfind('/') + 1)));
    rules_.set(rule, value_of(target, name, depth + 1));
    return rule_reference(rule);
  }

  const Json& list_of(const Json& schema, const char* key, const std::string& at) const {
    const Json& list = schema[key];
    if (!list.is_array() || list.empty()) refuse(at, fmt::format("{} is a list of at least one value", key));
    return list;
  }

  Expression all_of(const Json& schema, const std::string& at, int depth) {
    Json whole = schema;
    whole.erase("allOf");
    for (const Json& part : list_of(schema, "allOf", at)) {
      if (part.is_object()) check_keywords(part, at + "/allOf");
      whole = reader_.merged(whole, part, at);
    }
    return value_of(whole, at, depth + 1);
  }

  Expression one_of(const Json& schema, const char* key, const std::string& at, int depth) {
    Json rest = schema;
    rest.erase(key);
    const Json& list = list_of(schema, key, at);
    bool more = constrains(rest);
    std::vector<Json> all;
    std::vector<Expression> parts;
    for (size_t i = 0; i < list.size(); ++i) {
      std::string place = fmt::format("{}/{}/{}", at, key, i);
      if (list[i].is_object()) check_keywords(list[i], place);
      all.push_back(more ? reader_.merged(rest, list[i], place) : list[i]);
      parts.push_back(value_of(all.back(), place, depth + 1));
    }
    if (key == std::string("oneOf"))
      for (size_t i = 0; i < all.size(); ++i)
        for (size_t j = i + 1; j < all.size(); ++j)
          if (!reader_.exclude_each_other(all[i], all[j], at))
            refuse(at, fmt::format("a value may satisfy alternatives {} and {} of oneOf at once; write anyOf",
                                   i, j));
    return choice(std::move(parts));
  }

  Expression constant(const Json& schema, const std::string& at) {
    for (const auto& [key, unused] : schema.items()) {
      KeywordKind kind = schema_keyword(key)->kind;
      if (kind != KeywordKind::Annotation && kind != KeywordKind::Any)
        refuse(at, fmt::format("the keyword {} beside enum or const is not supported", in_quotes(key)));
    }
    std::vector<Json> values;
    if (schema.contains("const"))
      values.push_back(schema["const"]);
    else
      for (const Json& value : list_of(schema, "enum", at)) values.push_back(value);
    std::vector<std::string> types = reader_.types(schema, at);
    std::vector<Expression> parts;
    for (const Json& value : values) {
      bool listed = !schema.contains("enum") ||
                    std::find(schema["enum"].begin(), schema["enum"].end(), value) != schema["enum"].end();
      bool typed = std::any_of(types.begin(), types.end(),
                               [&](const std::string& type) { return has_type(value, type); });
      if (listed && typed) parts.push_back(json_constant(value));
    }
    if (parts.empty()) refuse(at, "no value of enum or const satisfies the rest of the schema");
    return choice(std::move(parts));
  }

  /// A bound on lengths; nothing when the schema has none.
  std::optional<int64_t> bound(const Json& schema, const char* key, const std::string& at) const {
    if (!schema.contains(key)) return std::nullopt;
    const Json& value = schema[key];
    if (!has_type(value, "integer") || value < 0)
      refuse(at, fmt::format("{} is a whole number of at least 0", key));
    return static_cast<int64_t>(std::min(value.get<double>(), 2.0 * kMostRepetitions));
  }
  struct Bounds {
    int64_t least, most;
  };
  /// More than kMostRepetitions cannot be demanded; of what is allowed, less is allowed, too.
  Bounds bounds(const Json& schema, const char* least_key, const char* most_key,
                const std::string& at) const {
    int64_t least = bound(schema, least_key, at).value_or(0);
    std::optional<int64_t> most = bound(schema, most_key, at);
    if (least > kMostRepetitions)
      refuse(at, fmt::format("{} of more than {} is not supported", least_key, grouped(kMostRepetitions)));
    if (most && *most < least) refuse(at, fmt::format("{} is less than {}", most_key, least_key));
    return {least, most ? std::min(*most, kMostRepetitions) : Expression::kUnbounded};
  }

  Expression string(const Json& schema, const std::string& at) {
    bool lengths = schema.contains("minLength") || schema.contains("maxLength");
    if (int{schema.contains("pattern")} + int{schema.contains("format")} + int{lengths} > 1)
      refuse(at, "only one of pattern, format, and minLength with maxLength is supported");
    if (schema.contains("format")) {
      static const std::set<std::string> known = {"date", "time", "date-time", "uuid"};
      const Json& format = schema["format"];
      if (!format.is_string() || !known.contains(format.get<std::string>()))
        refuse(at, fmt::format("the format {} is not supported; known are date, time, date-time, uuid",
                               excerpt_json(format)));
      return rules_.named(format.get<std::string>());
    }
    if (!schema.contains("pattern") && !lengths) return rules_.named("string");
    Expression inside;
    if (lengths) {
      Bounds b = bounds(schema, "minLength", "maxLength", at);
      inside = repeat(rules_.named("character"), b.least, b.most);
    } else {
      if (!schema["pattern"].is_string()) refuse(at, "pattern is not a text");
      inside = pattern_expression(schema["pattern"].get<std::string>(), rules_, source_ + ", at " + at);
    }
    return sequence({literal("\""), std::move(inside), literal("\"")});
  }

  /// Of a pair such as minimum and exclusiveMinimum the stricter one; `outside`: whether that one excludes
  /// its value.
  std::optional<double> limit(const Json& schema, const char* key, const char* exclusive, int sign,
                              bool& outside, const std::string& at) const {
    std::optional<double> found;
    for (const char* name : {key, exclusive}) {
      if (!schema.contains(name)) continue;
      if (!schema[name].is_number()) refuse(at, fmt::format("{} is not a number", name));
      double value = schema[name].get<double>();
      if (!(std::abs(value) < kMostInteger)) refuse(at, fmt::format("{} has more than 18 digits", name));
      bool strict = name == exclusive;
      if (!found || sign * (value - *found) > 0 || (value == *found && strict))
        found = value, outside = strict;
    }
    return found;
  }

  Expression number(const Json& schema, bool integer, const std::string& at) {
    NumberBounds b;
    std::optional<double> least = limit(schema, "minimum", "exclusiveMinimum", 1, b.above, at),
                          most = limit(schema, "maximum", "exclusiveMaximum", -1, b.below, at);
    if (!least && !most) return rules_.named(integer ? "integer" : "number");
    auto whole = [](const std::optional<double>& x) { return !x || std::trunc(*x) == *x; };
    if (!integer && (!whole(least) || !whole(most)))
      refuse(at, "bounds of a number that are not whole are not supported");
    if (least) b.least = static_cast<int64_t>(integer ? std::ceil(*least) : *least);
    if (most) b.most = static_cast<int64_t>(integer ? std::floor(*most) : *most);
    if (integer) {
      if (b.least && b.above && *least == std::trunc(*least)) ++*b.least;
      if (b.most && b.below && *most == std::trunc(*most)) --*b.most;
    }
    bool none = b.least && b.most &&
                (*b.least > *b.most || (!integer && *b.least == *b.most && (b.above || b.below)));
    if (none) refuse(at, "the bounds leave no number");
    return integer ? json_integers(b.least, b.most) : json_numbers(b);
  }

  /// `item` and then more of `others`, with commas.
  Expression after_comma(Expression item) {
    return sequence({literal(","), rules_.named("space"), std::move(item), rules_.named("space")});
  }

  Expression array(const Json& schema, const std::string& at, int depth) {
    Bounds b = bounds(schema, "minItems", "maxItems", at);
    Json prefix = schema.contains("prefixItems") ? list_of(schema, "prefixItems", at) : Json::array();
    auto first = std::ssize(prefix);
    if (!prefix.empty() && !schema.contains("minItems"))
      b.least = b.most == Expression::kUnbounded ? first : std::min(b.most, first);
    bool others =
        schema.contains("items") ? schema["items"] != Json(false) : prefix.empty() || b.least > first;
    if (!others) {
      if (b.least > first)
        refuse(at, "minItems asks for more items than prefixItems has, and items is false");
      b.most = b.most == Expression::kUnbounded ? first : std::min(b.most, first);
    }
    std::vector<Expression> items;
    for (int64_t i = 0; i < first && (b.most == Expression::kUnbounded || i < b.most); ++i) {
      std::string place = fmt::format("{}/prefixItems/{}", at, i);
      items.push_back(
          rule_reference(rules_.add("item", value_of(prefix[static_cast<size_t>(i)], place, depth + 1))));
    }
    std::optional<Expression> other;
    if (others && (b.most == Expression::kUnbounded || b.most > first))
      other =
          rule_reference(rules_.add("items", value_of(schema.contains("items") ? schema["items"] : Json(true),
                                                      at + "/items", depth + 1)));
    // From the last item to the first: what may follow the i items before.
    Expression rest = empty_text();
    int64_t named = std::ssize(items);
    if (other) {
      int64_t least = std::max<int64_t>(0, b.least - named),
              most = b.most == Expression::kUnbounded ? b.most : b.most - named;
      if (named > 0) {
        rest = repeat(after_comma(*other), least, most);
      } else if (most != 0) {
        rest = sequence({*other, rules_.named("space"),
                         repeat(after_comma(*other), std::max<int64_t>(0, least - 1),
                                most == Expression::kUnbounded ? most : most - 1)});
        if (least == 0) rest = optional_part(std::move(rest));
      }
    }
    for (int64_t i = named; i-- > 0;) {
      Expression& item = items[static_cast<size_t>(i)];
      Expression here =
          i == 0 ? sequence({std::move(item), rules_.named("space")}) : after_comma(std::move(item));
      rest = sequence({std::move(here), std::move(rest)});
      if (i >= b.least) rest = optional_part(std::move(rest));
      rest = rule_reference(rules_.add("items-from", std::move(rest)));
    }
    return sequence({literal("["), rules_.named("space"), std::move(rest), literal("]")});
  }

  Expression object(const Json& schema, const std::string& at, int depth) {
    if (!schema.contains("properties") && !schema.contains("required") &&
        !schema.contains("additionalProperties"))
      return rules_.named("object");
    Json properties = schema.contains("properties") ? schema["properties"] : Json::object();
    if (!properties.is_object()) refuse(at, "properties is not an object");
    const Json more = schema.contains("additionalProperties") ? schema["additionalProperties"] : Json(false);
    std::set<std::string> required;
    if (schema.contains("required")) {
      if (!schema["required"].is_array()) refuse(at, "required is not a list");
      for (const Json& name : schema["required"]) {
        if (!name.is_string()) refuse(at, "a required key is not a text");
        required.insert(name.get<std::string>());
        if (properties.contains(name.get<std::string>())) continue;
        if (schema.contains("additionalProperties") && more == Json(false))
          refuse(at, fmt::format("the required key {} is not among the properties",
                                 in_quotes(name.get<std::string>())));
        properties[name.get<std::string>()] = schema.contains("additionalProperties") ? more : Json(true);
      }
    }
    struct Member {
      Expression text;  // key, colon, value
      bool required;
    };
    std::vector<Member> members;
    std::vector<std::string> names;
    for (const auto& [key, value] : properties.items()) {
      if (std::ssize(key) > kMostName)
        refuse(at, fmt::format("the key {} has more than {} bytes", in_quotes(key, 20), kMostName));
      names.push_back(key);
      Expression text = sequence({json_constant(Json(key)), literal(":"), rules_.named("space"),
                                  value_of(value, at + "/properties/" + key, depth + 1)});
      members.push_back(
          {rule_reference(rules_.add("member-" + name_part(key), std::move(text))), required.contains(key)});
    }
    // What may follow the members before: nothing has been written yet, or something has.
    Expression at_start = empty_text(), going_on = empty_text();
    if (more != Json(false)) {
      Expression text = sequence({json_other_keys(names), literal(":"), rules_.named("space"),
                                  value_of(more, at + "/additionalProperties", depth + 1)});
      Expression other = rule_reference(rules_.add("member-other", std::move(text)));
      going_on = repeat(after_comma(other), 0);
      at_start = optional_part(sequence({other, rules_.named("space"), going_on}));
    }
    for (size_t i = members.size(); i-- > 0;) {
      Expression next = rule_reference(rules_.add("members-from", std::move(going_on)));
      Expression first = sequence({members[i].text, rules_.named("space"), next}),
                 later = sequence({after_comma(members[i].text), next});
      if (!members[i].required) {
        first = choice({std::move(first), std::move(at_start)});
        later = choice({std::move(later), next});
      }
      at_start = rule_reference(rules_.add("members-first", std::move(first)));
      going_on = std::move(later);
    }
    return sequence({literal("{"), rules_.named("space"), std::move(at_start), literal("}")});
  }

  const Json& root_;
  const std::string& source_;
  SchemaReader reader_;
  JsonRules rules_;
  std::map<std::string, size_t> references_;
  int64_t schemas_ = 0;
};

}  // namespace

GrammarText schema_grammar(const Json& schema, const std::string& source) {
  return Converter(schema, source).convert();
}

GrammarText json_object_grammar() {
  JsonRules rules;
  Expression object = rules.named("object");
  return std::move(rules).finish(std::move(object), "JSON");
}

}  // namespace longspan
