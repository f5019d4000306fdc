// Schemas against Python's jsonschema (tools/make_schema_golden.py), and what is refused by name.
#include "grammar/json_schema.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/json.h"
#include "base/text.h"
#include "grammars.h"

namespace longspan {
namespace {

GrammarStates states_of(const GrammarText& text) {
  return GrammarStates(std::make_shared<const Grammar>(compile_grammar(text)));
}

TEST(JsonSchema, TakesAndRefusesTextsAsJsonschemaDoes) {
  std::ifstream in(std::string(LONGSPAN_GOLDEN) + "/grammar/schemas.jsonl");
  int schemas = 0, accepted = 0, refused = 0;
  for (std::string line; std::getline(in, line); ++schemas) {
    Json golden = parse_json(line, "schemas.jsonl");
    GrammarStates states = states_of(schema_grammar(golden["schema"], "test"));
    for (const Json& text : golden["accept"]) {
      EXPECT_EQ(reading(states, text.get<std::string>()), Reading::Whole) << golden["schema"] << ": " << text;
      ++accepted;
    }
    for (const Json& text : golden["reject"]) {
      EXPECT_NE(reading(states, text.get<std::string>()), Reading::Whole) << golden["schema"] << ": " << text;
      ++refused;
    }
  }
  EXPECT_EQ(schemas, 114);
  EXPECT_GT(accepted, 900);
  EXPECT_GT(refused, 2400);
}

TEST(JsonSchema, SpacesAreTakenButNotAtTheEnds) {
  GrammarStates states =
      states_of(schema_grammar(parse_json(R"({"type": "array", "items": {"type": "object"}})", "s"), "s"));
  EXPECT_EQ(reading(states, "[ {\"a\": [1, 2.5e3], \"b\":\n  null}, {} ]"), Reading::Whole);
  EXPECT_EQ(reading(states, " []"), Reading::Dead);
  EXPECT_EQ(reading(states, "[] "), Reading::Dead);
}

TEST(JsonSchema, StringsAreJson) {
  GrammarStates states =
      states_of(schema_grammar(parse_json(R"({"type": "string", "maxLength": 1})", "s"), "s"));
  for (const char* text : {"\"\"", "\"é\"", "\"\\n\"", "\"\\u00e9\"", "\"\\uD83D\\uDE00\"", "\"\\/\""})
    EXPECT_EQ(reading(states, text), Reading::Whole) << text;
  for (const char* text :
       {"\"\n\"", "\"\\q\"", "\"\\uD83D\"", "\"\\uDE00\"", "\"\\uD83Dx\"", "\"ab\"", "\"\x7f\""})
    EXPECT_NE(reading(states, text), Reading::Whole) << text;
}

TEST(JsonSchema, AnyObject) {
  GrammarStates states = states_of(json_object_grammar());
  EXPECT_EQ(reading(states, R"({"a": {"b": [true, null, "x", -1.5e-7]}})"), Reading::Whole);
  for (const char* text : {"[1]", "\"x\"", "{,}", "{\"a\" 1}", "{\"a\": 01}", "{\"a\": .5}"})
    EXPECT_NE(reading(states, text), Reading::Whole) << text;
}

TEST(JsonSchema, WhatAGrammarCannotSayIsRefusedByName) {
  const std::pair<const char*, const char*> cases[] = {
      {R"(false)", "s, at #: false allows no value"},
      {R"(3)", "s, at #: a schema is an object or true, got 3"},
      {R"({"type": "text"})", "s, at #: the type \"text\" does not exist"},
      {R"({"not": {"type": "null"}})", "s, at #: the keyword \"not\" is not supported"},
      {R"({"type": "object", "properties": {"a": {"type": "array", "uniqueItems": true}}})",
       "s, at #/properties/a: the keyword \"uniqueItems\" is not supported"},
      {R"({"type": "object", "patternProperties": {"^a": true}})",
       "s, at #: the keyword \"patternProperties\" is not supported"},
      {R"({"type": "number", "multipleOf": 3})", "s, at #: the keyword \"multipleOf\" is not supported"},
      {R"({"type": "number", "minimum": 0.5})",
       "s, at #: bounds of a number that are not whole are not supported"},
      {R"({"type": "integer", "minimum": 4, "maximum": 3})", "s, at #: the bounds leave no number"},
      {R"({"type": "string", "minLength": 4, "maxLength": 3})", "s, at #: maxLength is less than minLength"},
      {R"({"type": "string", "minLength": 20000})",
       "s, at #: minLength of more than 10,000 is not supported"},
      {R"({"type": "string", "format": "email"})",
       "s, at #: the format \"email\" is not supported; known are date, time, date-time, uuid"},
      {R"({"type": "string", "pattern": "a", "maxLength": 3})",
       "s, at #: only one of pattern, format, and minLength with maxLength is supported"},
      {R"_({"pattern": "(?=a)"})_",
       "s, at #: the pattern \"(?=a)\" has look-around or a named group at character 3, which is not "
       "supported"},
      {R"({"pattern": "(a)\\1"})",
       "s, at #: the pattern \"(a)\\\\1\" has the escape \\1 at character 5, which is not supported"},
      {R"({"pattern": "\\bword"})",
       "s, at #: the pattern \"\\\\bword\" has the escape \\b at character 2, which is not supported"},
      {R"({"pattern": "a^b"})",
       "s, at #: the pattern \"a^b\" has an anchor inside at character 2, which is not supported"},
      {R"_({"pattern": "(a"})_",
       "s, at #: the pattern \"(a\" has a ( without its ) at character 3, which is not supported"},
      {R"({"$ref": "https://example.com/x"})",
       "s, at #: $ref \"https://example.com/x\" does not lie within the schema; write \"#/$defs/NAME\""},
      {R"({"$ref": "#/$defs/x"})", "s, at #: $ref \"#/$defs/x\" points to nothing"},
      {R"({"oneOf": [{"type": "integer"}, {"type": "number"}]})",
       "s, at #: a value may satisfy alternatives 0 and 1 of oneOf at once; write anyOf"},
      {R"({"oneOf": [{"type": "object", "properties": {"a": {"const": 1}}}, {"type": "object", "properties": {"a": {"const": 2}}}]})",
       "s, at #: a value may satisfy alternatives 0 and 1 of oneOf at once; write anyOf"},
      {R"({"allOf": [{"pattern": "a"}, {"pattern": "b"}]})",
       "s, at #: the keyword \"pattern\" of several parts cannot be merged"},
      {R"({"allOf": [{"type": "string"}, {"type": "null"}]})",
       "s, at #: no value has the types of all parts"},
      {R"({"allOf": [{"properties": {"a": true}, "additionalProperties": false}, {"properties": {"b": true}}]})",
       "s, at #: allOf of objects with additionalProperties, one of which lacks the key \"b\", cannot be "
       "merged"},
      {R"({"enum": ["a"], "maxLength": 3})",
       "s, at #: the keyword \"maxLength\" beside enum or const is not supported"},
      {R"({"enum": ["a"], "type": "null"})",
       "s, at #: no value of enum or const satisfies the rest of the schema"},
      {R"({"enum": []})", "s, at #: enum is a list of at least one value"},
      {R"({"type": "object", "required": ["a"], "additionalProperties": false})",
       "s, at #: the required key \"a\" is not among the properties"},
      {R"({"type": "array", "prefixItems": [true], "items": false, "minItems": 2})",
       "s, at #: minItems asks for more items than prefixItems has, and items is false"},
      {R"({"allOf": [{"$ref": "#"}]})",
       "s, at #: schemas that refer to each other or lie within each other too deeply"},
  };
  for (auto [text, sentence] : cases)
    EXPECT_EQ(message([&] { compile_grammar(schema_grammar(parse_json(text, "s"), "s")); }), sentence)
        << text;
}

TEST(JsonSchema, SchemasWithoutAnEndAreRefused) {
  for (const char* text :
       {R"({"$ref": "#"})", R"({"type": "array", "items": {"$ref": "#"}, "minItems": 1})",
        R"({"$ref": "#/$defs/a", "$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}, {"type": "null"}]}}})"}) {
    std::string sentence = message([&] { compile_grammar(schema_grammar(parse_json(text, "s"), "s")); });
    EXPECT_TRUE(sentence.find("can never end") != std::string::npos ||
                sentence.find("begins with itself") != std::string::npos)
        << text << ": " << sentence;
  }
}

}  // namespace
}  // namespace longspan
