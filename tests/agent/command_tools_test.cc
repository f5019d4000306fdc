// Tools that are programs: what they are given, what is taken of what they say, and their limits.
#include "agent/command_tools.h"

#include <chrono>
#include <thread>

#include "folder.h"

namespace longspan::agent {
namespace {

class CommandTools : public FolderTest {
 protected:
  ToolSet tools(const std::string& command, const std::string& more = "",
                ChildLimits limits = {.seconds = 20}) {
    return command_tools(
        write("tools.json", "{\"tools\": [{\"name\": \"t\", \"command\": " + command + more + "}]}"), limits);
  }
};

TEST_F(CommandTools, ArgumentsAreJsonOnStandardInput) {
  ToolSet set = tools(R"(["cat"])");
  // No shell looks at them.
  EXPECT_EQ(set.run({"t", {{"file", "$(rm -rf x); `id`"}}}).text, "{\"file\":\"$(rm -rf x); `id`\"}\n");
  std::string long_text(300000, 'x');
  EXPECT_EQ(set.run({"t", {{"a", long_text}}}).text.size(), long_text.size() + 9);
  EXPECT_EQ(tools(R"(["echo", "$HOME;", "a  b"])").run({"t"}).text, "$HOME; a  b\n");
}

TEST_F(CommandTools, FactsAndFailures) {
  EXPECT_EQ(tools(R"(["echo", "{\"facts\": {\"wood\": 2}}"])").run({"t"}).facts, (Facts{{"wood", 2}}));
  EXPECT_EQ(tools(R"(["echo", "{wood}"])").run({"t"}).facts, Facts{});
  EXPECT_EQ(tools(R"(["true"])").run({"t"}), (ToolResult{"(no output)"}));
  ToolResult failed =
      tools(R"x(["python3", "-c", "import sys; print('half'); sys.exit('broken')"])x").run({"t"});
  EXPECT_TRUE(failed.failed);
  EXPECT_EQ(failed.text, "t failed with status 1: half\nbroken");
}

TEST_F(CommandTools, TimeAndSizeAreLimited) {
  ToolResult late = tools(R"(["sleep", "60"])", ", \"seconds\": 0.2").run({"t"});
  EXPECT_EQ(late, (ToolResult{"t failed: it did not answer within 0.2 s", true}));
  ToolResult large =
      tools(R"x(["python3", "-c", "print('x' * 100000)"])x", "", {.seconds = 20, .most_bytes = 1000})
          .run({"t"});
  EXPECT_TRUE(large.failed);
  expect_says(large.text, "t failed: its answer has more than 10");
  // One that ignores its input and writes on and on.
  ToolResult endless =
      tools(R"(["yes"])", "", {.seconds = 20, .most_bytes = 100000}).run({"t", {{"a", "b"}}});
  EXPECT_TRUE(endless.failed);
}

TEST_F(CommandTools, WhatAProgramStartedEndsWithIt) {
  std::string mark = (dir_ / "mark").string();
  ToolSet set = tools("[\"sh\", \"-c\", \"(sleep 2; touch " + mark + ") >/dev/null 2>&1 & echo started\"]");
  EXPECT_EQ(set.run({"t"}).text, "started\n");
  std::this_thread::sleep_for(std::chrono::seconds(3));
  EXPECT_FALSE(std::filesystem::exists(mark));
}

TEST_F(CommandTools, WhatIsWrongInTheFileIsNamed) {
  auto fault = [&](const std::string& command, const std::string& more = "") {
    return error_of([&] { tools(command, more); });
  };
  expect_says(fault("\"ls -l\""), "tools.json: tool 1 has no \"command\", expected a list of texts");
  expect_says(fault("[]"), "has no \"command\"");
  expect_says(fault("[\"a\", 3]"), "has no \"command\"");
  expect_says(fault("[\"a\"]", ", \"seconds\": 0"), "seconds is 0");
  expect_says(error_of([&] { tools(R"(["/nowhere/program"])").run({"t"}); }), "cannot be started");
}

}  // namespace
}  // namespace longspan::agent
