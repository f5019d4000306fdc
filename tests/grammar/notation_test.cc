// What the notation accepts, what it refuses and where, and the grammars that cannot be compiled.
#include "grammar/notation.h"

#include <gtest/gtest.h>

#include "base/text.h"
#include "grammar/network.h"
#include "grammars.h"

namespace longspan {
namespace {

TEST(Notation, FaultsAreNamedWithLineAndColumn) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "g: the grammar has no rule named root, where it would begin"},
      {"a ::= \"x\"", "g: the grammar has no rule named root, where it would begin"},
      {"root ::= \"x\"\nroot ::= \"y\"", "g, line 2, column 1: the rule \"root\" already exists"},
      {"root ::= \"é\" b", "g, line 1, column 14: there is no rule \"b\", which is used here"},
      {"root = \"x\"", "g, line 1, column 6: expected ::= after the name of a rule, got \"= \\\"x\\\"\""},
      {"::= \"x\"", "g, line 1, column 1: expected the name of a rule, got \"::= \\\"x\\\"\""},
      {"root ::= \"x", "g, line 1, column 10: the text has no closing quote on its line"},
      {"root ::= [a", "g, line 1, column 10: the class has no ] on its line"},
      {"root ::= []", "g, line 1, column 10: the class holds no character"},
      {"root ::= [z-a]", "g, line 1, column 11: the range runs backwards"},
      {"root ::= (\"x\"", "g, line 1, column 14: expected ) at the end of a group, got the end"},
      {"root ::= \"x\")", "g, line 1, column 13: expected the end of the line or |, got \")\""},
      {"root ::= *", "g, line 1, column 10: expected something to repeat before the repetition, got \"*\""},
      {"root ::= \"x\"*?",
       "g, line 1, column 14: a repetition of a repetition; put the first one in a group"},
      {"root ::= \"x\"{3,2}", "g, line 1, column 13: a repetition from 3 to 2 times"},
      {"root ::= \"x\"{a}", "g, line 1, column 14: expected a number, got \"a}\""},
      {"root ::= \"x\"{1,99999}",
       "g, line 1, column 16: a repetition of more than 10,000 times; leave the bound open, as in {1,}"},
      {"root ::= \"\\q\"",
       "g, line 1, column 11: unknown escape \"\\\\q\"; known are \\n \\r \\t \\\\ \\\" \\[ \\] \\- \\^ "
       "\\xHH \\uHHHH \\UHHHHHHHH"},
      {"root ::= \"\\x4\"", "g, line 1, column 11: the escape needs 2 hexadecimal digits"},
      {"root ::= \"\\uD800\"", "g, line 1, column 11: U+D800 is not a character"},
      {"root ::= <think>",
       "g, line 1, column 10: tokens by name (<...>) are not supported; write the text of the token"},
      {"root ::= \"\xff\"", "g: the grammar is not UTF-8"},
  };
  for (auto [text, sentence] : cases) EXPECT_EQ(message([&] { parse_grammar(text, "g"); }), sentence) << text;
  EXPECT_EQ(message([&] { parse_grammar("root ::= " + std::string(1000, '('), "g"); }),
            "g, line 1, column 111: more than 100 groups within each other");
}

TEST(Notation, GrammarsThatCannotBeReadAreRefused) {
  const std::pair<const char*, const char*> cases[] = {
      {"root ::= root \"x\" | \"y\"",
       "g, line 1, column 1: the rule \"root\" begins with itself (left recursion); "
       "write the repetition with * or +"},
      // Through another rule, behind something that may be empty.
      {"root ::= a\na ::= \"x\"? b\nb ::= a \"y\" | \"z\"",
       "g, line 2, column 1: the rule \"a\" begins with itself (left recursion); write the repetition with * "
       "or +"},
      {"root ::= \"x\" root",
       "g, line 1, column 1: the rule \"root\" can never end, since each of its alternatives needs itself"},
      {"root ::= \"x\" | a\na ::= \"y\" a a",
       "g, line 2, column 1: the rule \"a\" can never end, since each of its alternatives needs itself"},
      {"root ::= a{10000} a{10000} a{10000}\na ::= ([a-c] \"xyz\"){10000} [a-z]{10000} [b-z]{10000} "
       "\"x\"{10000} \"y\"{10000} \"z\"{10000} .{10000} .{10000} .{10000} .{10000} [^a]{10000} [^b]{10000} "
       "[^a]{10000} [^b]{10000} [^a]{10000} [^b]{10000} [^a]{10000} [^b]{10000} [^a]{10000} [^b]{10000} b\n"
       "b ::= .{10000} .{10000} .{10000} .{10000} .{10000} .{10000} .{10000} .{10000}",
       "g, line 3, column 1: the grammar has more than 262,144 nodes; use smaller repetitions"},
  };
  for (auto [text, sentence] : cases)
    EXPECT_EQ(message([&] { compile_grammar(parse_grammar(text, "g")); }), sentence) << text;
}

TEST(Notation, WritesWhatItReads) {
  const char* text =
      "root ::= \"a\\n\\\"é[\" ([a-cx\\]\\u00E9] | b){2,3} | (\"x\" \"y\")* c?\n"
      "b ::= \"\" | [0-9]+ | [A-F]{3} | [^a]{4,}\n"
      "c ::= b\n";
  GrammarText once = parse_grammar(text, "g");
  std::string written = grammar_notation(once);
  EXPECT_EQ(grammar_notation(parse_grammar(written, "written")), written);
  EXPECT_NE(written.find("root ::= \"a\\n\\\"é[\" ([\\]a-cx\\u00E9] | b){2,3} | (\"x\" \"y\")* c?"),
            std::string::npos)
      << written;
}

TEST(Notation, LinesCommentsAndRepetitions) {
  // llama.cpp's rules of where a rule ends, and | at the beginning of a line.
  auto grammar = compiled(
      "# a comment\n\nroot ::= # here, too\n  \"a\" |\n  \"b\" # \"not this\"\n  | (\"c\"\n \"d\"\n | \"e\") "
      "f\nf ::= \"!\"{2}\r\n");
  GrammarStates states(grammar);
  for (const char* text : {"a", "b", "cd!!", "e!!"}) EXPECT_EQ(reading(states, text), Reading::Whole) << text;
  for (const char* text : {"c", "e!", ""}) EXPECT_EQ(reading(states, text), Reading::Beginning) << text;
  for (const char* text : {"ab", "ce", "e!!!", "n"}) EXPECT_EQ(reading(states, text), Reading::Dead) << text;
}

/// Every code point up to U+10FFFF, and only in its shortest form.
TEST(Utf8Sequences, AreTheFormsOfTheCharacters) {
  const std::vector<std::vector<CodePointRange>> cases = {
      {{0, kLastCodePoint}}, {{0x7F, 0x80}},      {{0x7FF, 0x800}},
      {{0x123, 0x4567}},     {{0xFFF0, 0x1000F}}, {{0x3000, 0x10ABC}, {0x41, 0x43}}};
  for (const auto& given : cases) {
    std::vector<CodePointRange> ranges = character_class(given).ranges;
    auto sequences = utf8_sequences(ranges);
    auto derived = [&](const std::string& bytes) {
      int found = 0;
      for (const auto& sequence : sequences) {
        bool fits = sequence.size() == bytes.size();
        for (size_t i = 0; fits && i < bytes.size(); ++i) {
          auto b = static_cast<uint8_t>(bytes[i]);
          fits = sequence[i].first <= b && b <= sequence[i].last;
        }
        found += fits;
      }
      return found;
    };
    int64_t forms = 0, characters = 0;
    for (const auto& sequence : sequences) {
      int64_t product = 1;
      for (ByteRange range : sequence) product *= range.last - range.first + 1;
      forms += product;
    }
    for (auto [first, last] : ranges) {
      characters += last - first + 1;
      for (char32_t c = first; c <= last; c += 1 + (last - first) / 5000) {
        std::string text;
        append_utf8(text, c);
        ASSERT_EQ(derived(text), 1) << static_cast<uint32_t>(c);
      }
    }
    EXPECT_EQ(forms, characters);
  }
}

}  // namespace
}  // namespace longspan
