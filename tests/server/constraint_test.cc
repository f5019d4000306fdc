// Answers in a form, over HTTP: schemas and grammars, what is refused, and what cannot be written.
#include <regex>

#include "fixture.h"

namespace longspan::server {
namespace {

class Constrained : public ServerTest {
 protected:
  void SetUp() override {
    ServerTest::SetUp();
    start();
  }
  /// The figures follow the answer within a step.
  void expect_no_pages_used() const {
    for (int i = 0; i < 200 && server_->figures().pages_used != 0; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    EXPECT_EQ(server_->figures().pages_used, 0);
  }
  static Json chat(const Json& more) {
    Json request = {
        {"messages", {{{"role", "user"}, {"content", "1+1"}}}}, {"max_tokens", 40}, {"temperature", 1}};
    request.update(more);
    return request;
  }
  static Json schema(const char* text) {
    return {{"response_format",
             {{"type", "json_schema"},
              {"json_schema", {{"name", "n"}, {"strict", true}, {"schema", parse_json(text, "s")}}}}}};
  }
};

TEST_F(Constrained, AnswersFollowASchemaOrAGrammar) {
  // The vocabulary has the characters from ' ' to '?'.
  Json number = schema(R"({"type": "integer", "minimum": 1000, "maximum": 2999})");
  Json request = chat(number);
  request["n"] = 4;
  Reply reply = post("/v1/chat/completions", request);
  ASSERT_EQ(reply.status, 200) << reply.body;
  ASSERT_EQ(reply.body["choices"].size(), 4u);
  for (const Json& choice : reply.body["choices"]) {
    EXPECT_TRUE(std::regex_match(choice["message"]["content"].get<std::string>(), std::regex("[12][0-9]{3}")))
        << choice;
    EXPECT_EQ(choice["finish_reason"], "stop");
  }
  std::string text;
  for (const Json& event :
       stream("/v1/chat/completions", chat({{"grammar", "root ::= [0-9]{3} (\"-\" [0-9]{2}){2}"}})))
    for (const Json& choice : event["choices"]) text += choice["delta"].value("content", "");
  EXPECT_TRUE(std::regex_match(text, std::regex("[0-9]{3}-[0-9]{2}-[0-9]{2}"))) << text;
  Json plain = {{"prompt", "1, 2"}, {"max_tokens", 9}, {"grammar", "root ::= \", \" [0-9]+"}};
  reply = post("/v1/completions", plain);
  ASSERT_EQ(reply.status, 200) << reply.body;
  EXPECT_TRUE(std::regex_match(reply.body["choices"][0]["text"].get<std::string>(), std::regex(", [0-9]+")))
      << reply.body;
}

TEST_F(Constrained, WhatCannotBeMetIsRefusedByName) {
  auto refused = [&](const Json& more, const std::string& param, const std::string& part) {
    Reply reply = post("/v1/chat/completions", chat(more));
    EXPECT_EQ(reply.status, 400) << reply.body;
    EXPECT_EQ(reply.body["error"]["param"], param) << reply.body;
    EXPECT_NE(reply.body["error"]["message"].get<std::string>().find(part), std::string::npos) << reply.body;
  };
  refused(schema(R"({"type": "object", "patternProperties": {}})"), "response_format",
          "response_format, at #: the keyword \"patternProperties\" is not supported");
  refused({{"response_format", {{"type", "xml"}}}}, "response_format.type", "json_schema");
  refused({{"response_format", {{"type", "json_schema"}}}}, "response_format.json_schema", "json_schema");
  refused({{"response_format", {{"type", "json_schema"}, {"json_schema", {{"name", "n"}}}}}},
          "response_format.json_schema.schema", "schema");
  refused({{"grammar", "root ::= x"}}, "grammar", "grammar, line 1, column 10: there is no rule \"x\"");
  refused({{"grammar", "root ::= \"1\""}, {"response_format", {{"type", "json_object"}}}}, "grammar",
          "response_format already says");
}

TEST_F(Constrained, ACallThatMustBeMadeIsAskedOfTheToolsThatThereAre) {
  Json tools = parse_json(
      R"([{"type": "function", "function": {"name": "7", "parameters": {"type": "object"}}}])", "t");
  auto refused = [&](const Json& more, const std::string& param) {
    Reply reply = post("/v1/chat/completions", chat(more));
    EXPECT_EQ(reply.status, 400) << reply.body;
    EXPECT_EQ(reply.body["error"]["param"], param) << reply.body;
  };
  refused({{"tool_choice", "required"}}, "tool_choice");
  refused({{"tools", tools}, {"tool_choice", {{"type", "function"}, {"function", {{"name", "8"}}}}}},
          "tool_choice");
  refused({{"tools", tools}, {"tool_choice", "required"}, {"grammar", "root ::= \"1\""}}, "tool_choice");
  Json odd = tools;
  odd[0]["function"]["parameters"] = {{"type", "object"}, {"patternProperties", Json::object()}};
  refused({{"tools", odd}, {"tool_choice", "required"}}, "tools");
  // The vocabulary has no braces: such a call cannot be written, and no other answer may be.
  Reply reply = post("/v1/chat/completions", chat({{"tools", tools}, {"tool_choice", "required"}}));
  EXPECT_EQ(reply.status, 500) << reply.body;
}

TEST_F(Constrained, WhatTheVocabularyCannotWriteFailsAloneAndLeavesTheServer) {
  // No letters, and no braces.
  for (const Json& more :
       {Json{{"grammar", "root ::= \"1\" [a-z]"}}, Json{{"response_format", {{"type", "json_object"}}}},
        Json{{"grammar", "root ::= \"1\""}, {"ignore_eos", true}}}) {
    Reply reply = post("/v1/chat/completions", chat(more));
    EXPECT_EQ(reply.status, 500) << reply.body;
    EXPECT_FALSE(reply.body["error"]["message"].get<std::string>().empty());
  }
  EXPECT_EQ(post("/v1/chat/completions", chat(Json::object())).status, 200);
  expect_no_pages_used();
}

/// Shares of the whole prompt, largest first; the beginning of the text has none.
TEST_F(Constrained, WhereAnAnswerLookedIsToldOnRequest) {
  std::string question;
  for (int i = 0; i < 90; ++i) question += std::to_string(i) + "+";
  Json request = chat({{"attention", true}, {"max_tokens", 30}, {"ignore_eos", true}});
  request["messages"][0]["content"] = question;
  Reply reply = post("/v1/chat/completions", request);
  ASSERT_EQ(reply.status, 200) << reply.body;
  const Json& windows = reply.body["attention"];
  ASSERT_EQ(windows.size(), 9u);  // of 32 tokens: 260 characters and a few of the template
  double sum = 0, before = 1;
  for (const Json& window : windows) {
    EXPECT_LE(window["share"].get<double>(), before);
    before = window["share"];
    sum += before;
    EXPECT_NE(question.find(window["text"].get<std::string>()), std::string::npos) << window;
  }
  EXPECT_NEAR(sum, 1, 1e-6);
  request.erase("attention");
  EXPECT_FALSE(post("/v1/chat/completions", request).body.contains("attention"));
  request["attention"] = true;
  int told = 0;
  for (const Json& event : stream("/v1/chat/completions", request)) told += event.contains("attention");
  EXPECT_EQ(told, 1);
  expect_no_pages_used();
}

}  // namespace
}  // namespace longspan::server
