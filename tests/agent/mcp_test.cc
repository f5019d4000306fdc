// The client of the Model Context Protocol against mcp_server.py, and what its messages may look like.
#include "agent/mcp.h"

#include <chrono>

#include "folder.h"

namespace longspan::agent {
namespace {

std::vector<std::string> server(const std::string& how = "") {
  return {"python3", std::string(LONGSPAN_SOURCE) + "/tests/agent/mcp_server.py", how};
}

ToolSet connect(const std::string& how = "", double seconds = 20) {
  return mcp_tools(server(how), {.seconds = seconds});
}

TEST(Mcp, ToolsOfAllPagesAreListedAndCalled) {
  ToolSet set = connect();
  ASSERT_EQ(set.tools.size(), 8u);
  EXPECT_EQ(set.tools[0].name, "add");
  EXPECT_EQ(set.tools[0].parameters["required"], Json({"a", "b"}));
  EXPECT_EQ(set.run({"add", {{"a", 2}, {"b", 40}}}), (ToolResult{"42"}));
  EXPECT_EQ(set.run({"echo", {{"text", "\xC3\xA9\n\"x\""}}}).text, "\xC3\xA9\n\"x\"");
  EXPECT_EQ(set.run({"chop"}), (ToolResult{"one more", false, {{"wood", 1}}}));
  EXPECT_EQ(set.run({"fail"}), (ToolResult{"it did not work", true}));
  EXPECT_EQ(set.run({"nothing"}), (ToolResult{"nothing failed: unknown: 'nothing'", true}));
}

TEST(Mcp, ALateAnswerIsAFailureAndTheServerGoesOn) {
  ToolSet set = connect("", 2);
  EXPECT_EQ(set.run({"sleep"}), (ToolResult{"sleep failed: it did not answer within 2 s", true}));
  EXPECT_EQ(set.run({"add", {{"a", 1}, {"b", 1}}}).text, "2");
}

TEST(Mcp, AServerThatBreaksIsNamedInASentence) {
  auto fault = [](const std::string& tool) {
    ToolSet set = connect();
    return error_of([&] { set.run({tool}); });
  };
  std::string died = fault("die");
  expect_says(died, "the MCP server \"python3 ");
  expect_says(died, "it ended with status 3: out of coffee");
  expect_says(fault("flood"), "its answer has more than 1.0 MiB");
  expect_says(fault("garbage"), "wrote \"Starting up...\", which is no message of JSON-RPC");
}

TEST(Mcp, AServerThatDoesNotGreetIsNamed) {
  expect_says(error_of([] { connect("version"); }), "speaks version \"1999-01-01\" of the protocol");
  expect_says(error_of([] { connect("circle"); }), "it seems to repeat itself");
  expect_says(error_of([] { connect("silent", 0.5); }), "it did not answer within 0.5 s");
  expect_says(error_of([] { mcp_tools({"/nowhere/server"}, {}); }), "\"/nowhere/server\" cannot be started");
  expect_says(error_of([] { mcp_tools({"true"}, {}); }), "it ended");
  expect_says(error_of([] {
                mcp_tools({"python3", "-c", "import sys; sys.exit('no module')"}, {});
              }),
              "no module");
}

TEST(Mcp, AServerThatDoesNotEndIsEnded) {
  auto start = std::chrono::steady_clock::now();
  connect("stubborn");
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(15));
}

TEST(Mcp, CtrlCEndsWaiting) {
  int asked = 0;
  expect_says(error_of([&] { mcp_tools(server("silent"), {.go_on = [&] { return ++asked < 3; }}); }),
              "interrupted");
}

TEST(Rpc, MessagesAreOfFourKinds) {
  using Kind = RpcMessage::Kind;
  auto kind = [](const char* line) { return read_message(line).kind; };
  EXPECT_EQ(kind(R"({"jsonrpc":"2.0","id":1,"result":{}})"), Kind::Result);
  EXPECT_EQ(kind(R"({"jsonrpc":"2.0","id":1,"result":null})"), Kind::Result);
  EXPECT_EQ(kind(R"({"jsonrpc":"2.0","id":"a","error":{"code":1,"message":"x"}})"), Kind::Fault);
  EXPECT_EQ(kind(R"({"jsonrpc":"2.0","id":null,"error":{}})"), Kind::Fault);
  EXPECT_EQ(kind(R"({"jsonrpc":"2.0","id":1,"method":"ping"})"), Kind::Request);
  EXPECT_EQ(kind(R"({"jsonrpc":"2.0","method":"x","params":{"a":1}})"), Kind::Notification);
}

TEST(Rpc, OtherLinesAreErrors) {
  for (const char* line :
       {"", "hello", "[]", "[{\"jsonrpc\":\"2.0\"}]", "{}", R"({"jsonrpc":"1.0","id":1,"result":1})",
        R"({"jsonrpc":"2.0","id":1})", R"({"jsonrpc":"2.0","result":1})",
        R"({"jsonrpc":"2.0","id":[],"result":1})", R"({"jsonrpc":"2.0","id":1.5,"method":"x"})",
        R"({"jsonrpc":"2.0","id":1,"result":1,"result":2})"})
    EXPECT_NE(error_of([&] { read_message(line); }), "") << line;
}

TEST(Rpc, ResultsOfCalls) {
  auto result = [](const char* json) { return read_call_result(parse_json(json, "r")); };
  EXPECT_EQ(result(R"({"content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]})").text, "a\nb");
  EXPECT_EQ(result(R"({"content":[{"type":"image","mimeType":"image/png","data":"AAAA"}]})").text,
            "(image, image/png, 4 bytes of base64)");
  EXPECT_EQ(result(R"({"content":[{"type":"resource","resource":{"uri":"file:///a","text":"t"}}]})").text,
            "t");
  EXPECT_EQ(result(R"({"content":[],"structuredContent":{"x":1}})").text, R"({"x":1})");
  EXPECT_EQ(result(R"({"content":[{"type":"text","text":"{\"facts\":{\"a\":2}}"}]})").facts,
            (Facts{{"a", 2}}));
  EXPECT_EQ(result("{}").text, "(no output)");
  EXPECT_TRUE(result("3").failed);
  EXPECT_EQ(result(R"({"content":[3,{"type":7},{"type":"text","text":8}],"isError":1})").failed, false);
}

}  // namespace
}  // namespace longspan::agent
