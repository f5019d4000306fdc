// Tools as data: their three forms, the facts that they report, and how their texts are quoted.
#include "agent/tools.h"

#include "folder.h"

namespace longspan::agent {
namespace {

std::vector<Tool> read(const std::string& json) { return read_tools(parse_json(json, "t"), "t.json"); }

TEST(Tools, ThreeFormsSayTheSame) {
  for (
      const char* text :
      {R"([{"name": "add", "description": "adds", "parameters": {"type": "object", "required": ["a"]}}])",
       R"([{"type": "function", "function": {"name": "add", "description": "adds",
             "parameters": {"type": "object", "required": ["a"]}}}])",
       R"([{"name": "add", "description": "adds", "inputSchema": {"type": "object", "required": ["a"]}}])"}) {
    std::vector<Tool> tools = read(text);
    ASSERT_EQ(tools.size(), 1u);
    EXPECT_EQ(tools[0].name, "add");
    EXPECT_EQ(tools[0].description, "adds");
    EXPECT_EQ(tools[0].parameters, Json({{"type", "object"}, {"required", {"a"}}}));
  }
  EXPECT_EQ(read(R"([{"name": "now"}])")[0].parameters, Json({{"type", "object"}}));
}

TEST(Tools, WhatIsNoToolIsNamed) {
  auto fault = [](const std::string& json) { return error_of([&] { read(json); }); };
  EXPECT_EQ(fault("3"), "t.json: the tools are 3, expected a list");
  expect_says(fault(R"([{"name": "a"}, 7])"), "t.json: tool 2 is 7");
  expect_says(fault(R"([{"description": "a"}])"), "t.json: tool 1 has no \"name\"");
  expect_says(fault(R"([{"name": "a"}, {"name": "a"}])"), "two tools have the name \"a\"");
  expect_says(fault(R"([{"name": "a", "parameters": []}])"), "expected a JSON schema");
  expect_says(fault(R"([{"name": ""}])"), "its name has 0 bytes");
}

TEST(Tools, FactsAreWholeNumbersUnderPlainNames) {
  Json json = parse_json(R"({"facts": {"wood": 3, "gone": 0, "half": 0.5, "text": "4", "less": -1,
    "much": 1000000001, "huge": 18446744073709551615, "": 1, "a\nb": 1, "list": [1]}})",
                         "f");
  EXPECT_EQ(facts_of(json), (Facts{{"wood", 3}, {"gone", 0}}));
  for (const char* other : {"3", "[]", "{}", R"({"facts": 3})", R"({"facts": null})"})
    EXPECT_EQ(facts_of(parse_json(other, "f")), Facts{}) << other;
}

TEST(Tools, FactsHoldAndMerge) {
  Facts facts = {{"wood", 3}, {"axe", 1}};
  EXPECT_TRUE(holds({{"wood", 3}}, facts));
  EXPECT_FALSE(holds({{"wood", 4}}, facts));
  EXPECT_FALSE(holds({{"saw", 1}}, facts));
  EXPECT_TRUE(holds({{"saw", 0}}, facts));
  merge(facts, {{"wood", 0}, {"saw", 1}});
  EXPECT_EQ(facts_text(facts), "1 axe, 1 saw");
  EXPECT_EQ(facts_text({}), "nothing");
}

TEST(Tools, WhatAToolSaysIsQuotedLineByLine) {
  EXPECT_EQ(quoted("one\ntwo\n"), "> one\n> two");
  EXPECT_EQ(quoted(""), "> ");
  EXPECT_EQ(quoted("a\r\n\x1b[31mred\tx"), "> a\n> [31mred x");
  EXPECT_EQ(quoted("bad \xff byte"), "> bad \xEF\xBF\xBD byte");
  EXPECT_EQ(quoted("abcdef", 3), "> abc\n> (cut: 6 bytes in all)");
  // A character is not cut in two.
  EXPECT_EQ(quoted("a\xC3\xA9", 2), "> a\n> (cut: 3 bytes in all)");
}

TEST(Tools, CallsGoToTheSetThatHasTheTool) {
  auto set = [](const std::string& name) {
    return ToolSet{{{name, ""}}, [name](const ToolCall& call) { return ToolResult{name + ":" + call.tool}; }};
  };
  ToolSet all = joined({set("a"), set("b")});
  EXPECT_EQ(all.tools.size(), 2u);
  EXPECT_EQ(all.run({"b"}).text, "b:b");
  EXPECT_TRUE(all.run({"c"}).failed);
  expect_says(error_of([&] { joined({set("a"), set("a")}); }), "two tools have the name \"a\"");
}

}  // namespace
}  // namespace longspan::agent
