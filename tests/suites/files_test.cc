// The maker "file": where data are found, what rows make of records, and that every fault names file and
// line.
#include <gtest/gtest.h>

#include <fstream>

#include "base/error.h"
#include "suites/fixture.h"
#include "suites/records.h"

namespace longspan {
namespace {

using Strings = std::vector<std::string>;

class FileCases : public SuiteTest {
 protected:
  void SetUp() override {
    SuiteTest::SetUp();
    task_.name = "qa";
    task_.prompt = "{context} {question}";
    task_.document = "context";
    task_.make = {{"references", "answers"}};
  }
  std::vector<Case> make(const std::string& data, int64_t limit = 0) {
    MakeContext context{.prompts = prompts_, .data = dir_ / data, .limit = limit};
    return make_file_cases(task_, context);
  }
  std::string error(const std::string& data) {
    try {
      make(data);
    } catch (const Error& e) {
      std::string text = e.what();
      for (size_t at; (at = text.find(dir_.string() + "/")) != text.npos;)
        text.erase(at, dir_.string().size() + 1);
      return text;
    } catch (const MissingData& m) {
      return "missing";
    }
    return "no error";
  }

  Task task_;
};

TEST_F(FileCases, RecordsBecomeCasesInWhichADocumentStaysTogether) {
  write(
      "qa.jsonl",
      "{\"context\": \"one\", \"question\": \"a\", \"answers\": [\"x\", 2, 0.5], \"n\": 3, \"l\": \"zh\"}\n\n"
      "{\"context\": \"two\", \"question\": \"b\", \"answers\": \"y\", \"n\": 4000, \"l\": \"en\"}\n"
      "{\"context\": \"one\", \"question\": \"c\", \"answers\": 7, \"n\": 9000, \"l\": \"en\"}");
  task_.make["cell"] = {
      {"language", "l"}, {"depth", 50}, {"words", {{"field", "n"}, {"bins", {4000, 8000}}}}};
  task_.make["fields"] = {"n"};
  std::vector<Case> cases = make("qa.jsonl");
  ASSERT_EQ(cases.size(), 3u);
  EXPECT_EQ(cases[0].id, "qa/1");
  EXPECT_EQ(cases[1].id, "qa/4");
  EXPECT_EQ(cases[2].id, "qa/3");
  EXPECT_EQ(cases[0].source, (dir_ / "qa.jsonl").string() + ":1");
  EXPECT_EQ(cases[0].cell, (Cell{{{"language", "zh"}, {"depth", 50}, {"words", "0-3999"}}}));
  EXPECT_EQ(cases[2].cell.at("words"), "4000-7999");
  EXPECT_EQ(cases[1].cell.at("words"), "8000-");
  CaseText text = cases[0].text();
  EXPECT_EQ(text.user, "one a");
  EXPECT_EQ(text.user.substr(text.document_begin, text.document_end - text.document_begin), "one");
  EXPECT_EQ(text.references, (Strings{"x", "2", "0.5"}));
  EXPECT_EQ(text.fields, Json({{"n", 3}}));
  EXPECT_EQ(cases[1].text().user, "one c");
  EXPECT_EQ(cases[1].text().references, Strings{"7"});
  // The limit is of the file's order.
  cases = make("qa.jsonl", 2);
  ASSERT_EQ(cases.size(), 2u);
  EXPECT_EQ(cases[1].id, "qa/3");
}

TEST_F(FileCases, RecordsOfOtherSystemsAreReadAgainAsTheyWere) {
  const std::string lines =
      "{\"context\": \"one\", \"question\": \"a\", \"answers\": \"x\"}\r\n"
      "{\"context\": \"two\", \"question\": \"b\", \"answers\": \"y\"}\r\n";
  std::string wide = "\xff\xfe";
  for (char c : lines) wide += std::string(1, c) + '\0';
  write("mark/qa.jsonl", "\xEF\xBB\xBF" + lines);
  write("wide/qa.jsonl", wide);
  for (const char* folder : {"mark/qa.jsonl", "wide/qa.jsonl"}) {
    std::vector<Case> cases = make(folder);
    ASSERT_EQ(cases.size(), 2u) << folder;
    EXPECT_EQ(cases[1].text().user, "two b") << folder;
    EXPECT_EQ(cases[0].text().user, "one a") << folder;
  }
}

TEST_F(FileCases, ListsOfARecordAreTakenApart) {
  write("qa.jsonl",
        "{\"input\": \"d\", \"kind\": \"human\", \"qs\": [\"no\"], \"as\": [\"no\"]}\n"
        "{\"input\": \"d\", \"kind\": \"f1\", \"qs\": [\"a here?\", \"b\"], \"as\": [\"x  y z\", \"w\"]}\n");
  task_.prompt = "{input} {q} {n}";
  task_.document = "input";
  task_.make = {{"each", {"qs", "as"}},
                {"references", "as"},
                {"where", {{"kind", {"f1", "rouge"}}}},
                {"replace", {{"qs", Json::array({Json::array({"here", "there"})})}}},
                {"cell", {{"place", "@index"}}},
                {"slots", {{"q", "qs"}, {"n", {{"words", "as"}}}}}};
  std::vector<Case> cases = make("");
  ASSERT_EQ(cases.size(), 2u);
  EXPECT_EQ(cases[0].id, "qa/2/1");
  EXPECT_EQ(cases[1].id, "qa/2/2");
  EXPECT_EQ(cases[1].cell, (Cell{{{"place", 2}}}));
  EXPECT_EQ(cases[0].text().user, "d a there? 3");
  EXPECT_EQ(cases[0].text().references, Strings{"x  y z"});
  EXPECT_EQ(cases[1].text().user, "d b 1");
  EXPECT_EQ(make("", 1).size(), 1u);
}

TEST_F(FileCases, SlotsAreComputed) {
  write("qa.jsonl",
        "{\"kv\": [[\"k\", \"v\"], [\"l\", \"w\"], [\"m\", \"x\"]], \"key\": \"k\", \"ctxs\": [{\"t\": "
        "\"A\"}, {\"t\": \"B\"}],"
        " \"options\": [\"left\", \"right\"], \"q\": \"  The Second smallest of them, f_7(-3) \\n\", "
        "\"answers\": \"v\"}\n");
  task_.prompt = "{{{kv}}} {docs} {b} {target} {call} [{bare}]";
  task_.make["slots"] = {
      {"kv", {{"list", "kv"}, {"item", "{0}:{1}"}, {"join", ", "}, {"first", "key"}, {"at", 2}}},
      {"docs", {{"list", "ctxs"}, {"item", "[{i}] {t}"}, {"join", "; "}}},
      {"b", "options.1"},
      {"target", {{"match", "The .+(?= of)"}, {"of", "q"}, {"lower", true}}},
      {"call", {{"match", "f_[0-9]+\\(-?[0-9]+\\)"}, {"of", "q"}}},
      {"bare", {{"strip", "q"}}}};
  EXPECT_EQ(make("")[0].text().user,
            "{l:w, m:x, k:v} [1] A; [2] B right the second smallest f_7(-3) [The Second smallest of them, "
            "f_7(-3)]");
}

TEST_F(FileCases, ConversationsKeepTheirTurns) {
  write("qa.jsonl",
        "{\"answers\": \"x\", \"talk\": \"[{\\\"role\\\": \\\"system\\\", \\\"content\\\": \\\"s\\\"}, "
        "{\\\"role\\\": "
        "\\\"user\\\", \\\"content\\\": \\\"a\\\"}, {\\\"role\\\": \\\"assistant\\\", \\\"content\\\": "
        "\\\"b\\\"}, "
        "{\\\"role\\\": \\\"user\\\", \\\"content\\\": \\\"c\\\"}]\"}\n");
  task_.prompt = "";
  task_.make["messages"] = "talk";
  CaseText text = make("")[0].text();
  EXPECT_EQ(text.system, "s");
  ASSERT_EQ(text.turns.size(), 2u);
  EXPECT_EQ(text.turns[1].role, "assistant");
  EXPECT_EQ(text.turns[1].content, "b");
  EXPECT_EQ(text.user, "c");
  EXPECT_EQ(
      make_prompt(prompts_, task_, text, 0).text,
      "<|start|>system\ns<|end|>\n<|start|>user\na<|end|>\n<|start|>assistant\nb<|end|>\n<|start|>user\nc"
      "<|end|>\n<|start|>assistant\n");
}

TEST_F(FileCases, AListOfRecordsIsAFileToo) {
  write("all.json", "[{\"context\": \"c\", \"question\": \"q\", \"answers\": \"B\"}]");
  task_.make["file"] = "all.json";
  task_.make["format"] = "json";
  std::vector<Case> cases = make("");
  EXPECT_EQ(cases[0].id, "qa/1");
  EXPECT_EQ(cases[0].source, (dir_ / "all.json").string() + ": record 1");
  EXPECT_EQ(cases[0].text().user, "c q");
  write("all.json", "[1]");
  EXPECT_EQ(error("all.json"), "all.json: record 1: is no JSON object");
  write("all.json", "{}");
  EXPECT_EQ(error("all.json"), "all.json: a JSON list of records was expected");
}

TEST_F(FileCases, FaultsNameFileAndLine) {
  const std::string good = "{\"context\": \"c\", \"question\": \"q\", \"answers\": [\"x\"]}\n";
  auto second = [&](const std::string& line) {
    write("qa.jsonl", good + line + "\n");
    return error("qa.jsonl");
  };
  EXPECT_TRUE(second("{\"context\": ").starts_with("qa.jsonl:2: ")) << second("{\"context\": ");
  EXPECT_TRUE(second("{\"context\": \"\xff\"}").starts_with("qa.jsonl:2: "));
  EXPECT_LT(second("{\"context\": " + std::string(5000, 'x')).size(), 400u);
  EXPECT_EQ(second("[1]"), "qa.jsonl:2: is no JSON object");
  EXPECT_EQ(second("{\"context\": \"c\", \"answers\": [\"x\"]}"),
            "qa.jsonl:2: there is no field \"question\" for the prompt");
  EXPECT_EQ(second("{\"context\": \"c\", \"question\": \"q\"}"), "qa.jsonl:2: there is no field \"answers\"");
  EXPECT_EQ(second("{\"context\": \"c\", \"question\": \"q\", \"answers\": []}"),
            "qa.jsonl:2: \"answers\" is empty");
  EXPECT_EQ(second("{\"context\": \"c\", \"question\": \"q\", \"answers\": [true]}"),
            "qa.jsonl:2: the field \"answers\" is no text, number or list of these");
  task_.make["fields"] = {"all_classes"};
  EXPECT_EQ(error("qa.jsonl"), "qa.jsonl:1: there is no field \"all_classes\"");
  task_.make = {{"each", {"qs", "as"}}, {"references", "as"}};
  write("qa.jsonl", "{\"qs\": [\"a\"], \"as\": []}\n");
  EXPECT_EQ(error("qa.jsonl"), "qa.jsonl:1: \"qs\" has 1 elements, \"as\" has 0");
  write("qa.jsonl", "{\"qs\": 1, \"as\": []}\n");
  EXPECT_EQ(error("qa.jsonl"), "qa.jsonl:1: the field \"qs\" is no list");
  task_.make = {{"references", "answers"}, {"cell", {{"w", {{"field", "context"}, {"bins", {1}}}}}}};
  write("qa.jsonl", good);
  EXPECT_EQ(error("qa.jsonl"), "qa.jsonl:1: \"c\" is no number to be put into a bin");
  task_.make = {{"references", "answers"}, {"slots", {{"x", {{"match", "z+"}, {"of", "context"}}}}}};
  EXPECT_EQ(error("qa.jsonl"), "qa.jsonl:1: \"context\" does not hold what the slot x looks for");
}

TEST_F(FileCases, FaultsOfTheRowNameTheKey) {
  write("qa.jsonl", "{}\n");
  task_.make = {{"references", "a"}, {"refs", "b"}};
  EXPECT_TRUE(error("").starts_with("task qa: make.refs is unknown; known keys: file, format"));
  task_.make = Json::object();
  EXPECT_EQ(error(""), "task qa: make.references: which field holds them?");
  task_.make = {{"references", "a"}, {"format", "csv"}};
  EXPECT_TRUE(error("").starts_with("task qa: make.format must be \"jsonl\" or \"json\", not \"csv\""));
  task_.make = {{"references", "a"}, {"replace", {{"q", {"from"}}}}};
  EXPECT_TRUE(error("").starts_with("task qa: make.replace.q: expected pairs of strings"));
  task_.make = {{"references", "a"}, {"slots", {{"x", {{"match", "("}, {"of", "q"}}}}}};
  EXPECT_TRUE(error("").starts_with("task qa: make.slots.x.match: "));
  task_.make = {{"references", "a"}, {"slots", {{"x", {{"lower", true}}}}}};
  EXPECT_TRUE(error("").starts_with("task qa: make.slots.x.lower is unknown"));
}

TEST_F(FileCases, DataAreFoundByName) {
  fs::create_directories(dir_ / "data/deep/deeper");
  fs::create_directories(dir_ / "data/.cache");
  write("data/.cache/t.jsonl", "");
  EXPECT_THROW(find_data("", "t.jsonl"), MissingData);
  EXPECT_THROW(find_data(dir_ / "none", "t.jsonl"), Error);
  EXPECT_THROW(find_data(dir_ / "data", "t.jsonl"), MissingData);
  write("data/deep/deeper/t.jsonl.xz", "");
  EXPECT_EQ(find_data(dir_ / "data", "t.jsonl"), dir_ / "data/deep/deeper/t.jsonl.xz");
  EXPECT_EQ(find_data(dir_ / "data", "deeper/t.jsonl"), dir_ / "data/deep/deeper/t.jsonl.xz");
  EXPECT_THROW(find_data(dir_ / "data", "per/t.jsonl"), MissingData);
  EXPECT_EQ(find_data(dir_ / "data/deep/deeper/t.jsonl.xz", "t.jsonl"), dir_ / "data/deep/deeper/t.jsonl.xz");
  EXPECT_THROW(find_data(dir_ / "data/deep/deeper/t.jsonl.xz", "u.jsonl"), MissingData);
  write("data/deep/t.jsonl", "");
  try {
    find_data(dir_ / "data", "t.jsonl");
    ADD_FAILURE();
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("deeper/t.jsonl.xz"), std::string::npos) << e.what();
    EXPECT_NE(std::string(e.what()).find("deep/t.jsonl;"), std::string::npos) << e.what();
  }
  write("data/t.jsonl.zst", "");
  EXPECT_EQ(find_data(dir_ / "data", "t.jsonl"), dir_ / "data/t.jsonl.zst");
}

}  // namespace
}  // namespace longspan
