// --grammar and --json-schema.
#include "program.h"

namespace longspan {
namespace {

class GrammarProgram : public ProgramTest {
 protected:
  Outcome generate(std::vector<std::string> more) {
    std::vector<std::string> arguments = {"generate", tiny_model(512), "-p", "the numbers", "-n",
                                          "20",       "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run(arguments);
  }
};

TEST_F(GrammarProgram, TextsFollowAGrammarOrASchema) {
  std::string numbers = R"({"type": "integer", "minimum": 1000, "maximum": 2999})";
  std::string grammar =
      write("words.gbnf", "root ::= word (\" \" word){2} # three\nword ::= (\"cat\" | \"dog\") [0-9]{2}\n");
  for (const char* temperature : {"0", "1"}) {
    for (const std::string& given : {numbers, write("schema.json", numbers)}) {
      Outcome made = generate({"--json-schema", given, "--temperature", temperature});
      ASSERT_EQ(made.status, 0) << made.err;
      int64_t number = parse_json(made.json()["text"].get<std::string>(), "text").get<int64_t>();
      EXPECT_TRUE(1000 <= number && number <= 2999) << number;
      EXPECT_EQ(made.json()["stop"], "end");
    }
    Outcome made = generate({"--grammar", grammar, "--temperature", temperature, "--draft", "ngram"});
    ASSERT_EQ(made.status, 0) << made.err;
    EXPECT_EQ(made.json()["text"].get<std::string>().size(), 17u);
    EXPECT_EQ(made.json()["text"].get<std::string>().substr(0, 1).find_first_not_of("cd"), std::string::npos);
  }
  std::string document = write("document.txt", "the cat sat on the mat.");
  std::string model = tiny_model(512);
  Outcome asked = run({"ask", model, "-f", document, "how many?", "--json-schema", numbers, "--json"});
  ASSERT_EQ(asked.status, 0) << asked.err;
  EXPECT_EQ(asked.json()["answer"].get<std::string>().size(), 4u);
  Outcome talked = run({"chat", model, "-n", "20", "--json-schema", numbers}, "how many?\nand now?\n");
  ASSERT_EQ(talked.status, 0) << talked.err;
  EXPECT_EQ(talked.out.size(), 10u) << talked.out;  // two numbers of four digits, a line each
}

TEST_F(GrammarProgram, FaultsNameThePlaceBeforeTheModelIsOpened) {
  auto fails = [&](std::vector<std::string> more, const std::string& sentence) {
    std::vector<std::string> arguments = {"generate", "/nowhere", "-p", "x"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    Outcome made = run(arguments);
    EXPECT_EQ(made.status, 1);
    EXPECT_TRUE(made.one_sentence()) << made.err;
    EXPECT_NE(made.err.find(sentence), std::string::npos) << made.err;
  };
  fails({"--grammar", write("a.gbnf", "root ::= \"a\"\n  b\n")},
        "a.gbnf, line 2, column 4: expected ::= after the name of a rule, got the end of the line");
  fails({"--grammar", write("b.gbnf", "root ::= root \"a\" | \"b\"\n")},
        "b.gbnf, line 1, column 1: the rule \"root\" begins with itself");
  fails({"--json-schema", R"({"type": "object", "properties": {"x": {"not": true}}})"},
        "--json-schema, at #/properties/x: the keyword \"not\" is not supported");
  fails({"--json-schema", "{"}, "--json-schema");
  fails({"--json-schema", (dir_ / "missing.json").string()}, "missing.json");
  Outcome both = run({"generate", "/nowhere", "-p", "x", "--grammar", "a", "--json-schema", "{}"});
  EXPECT_EQ(both.status, 2);
  EXPECT_NE(both.err.find("--grammar"), std::string::npos) << both.err;
}

}  // namespace
}  // namespace longspan
