// Requests as they are read, tool calls read back, ids that are remembered.
#include "server/calls.h"

#include <gtest/gtest.h>

#include "checkpoint/build_files.h"
#include "model/family.h"
#include "model/model_files.h"
#include "server/answer_memory.h"
#include "server/api_error.h"
#include "server/tool_calls.h"

namespace longspan::server {
namespace {

Json parsed(const char* text) { return parse_json(text, "test"); }

TEST(Calls, FieldsAndTheirDefaults) {
  TextCall plain = read_text_call(parsed(R"({"prompt": "a", "unknown": {"x": 1}, "seed": null})"));
  EXPECT_EQ(plain.max_tokens, 16);
  EXPECT_EQ(plain.choice.sampling.temperature, 1);
  EXPECT_EQ(plain.choice.logprobs, -1);
  EXPECT_FALSE(plain.seed);
  ASSERT_EQ(plain.prompts.size(), 1u);
  EXPECT_EQ(plain.prompts[0].text, "a");
  TextCall full = read_text_call(parsed(
      R"({"prompt": [[1, 2], [3]], "max_tokens": 5, "temperature": 0.5, "top_p": 0.9, "top_k": 40, "min_p": 0.05,
          "repetition_penalty": 1.1, "frequency_penalty": 0.5, "presence_penalty": -0.5, "seed": -7, "stop": "x",
          "n": 2, "logit_bias": {"5": -100}, "logprobs": 3, "echo": true, "stream": true, "priority": -2,
          "stream_options": {"include_usage": true}, "user": "u", "timeout": 2.5, "declared_length": 4096})"));
  EXPECT_EQ(*full.prompts[1].ids, std::vector<int32_t>{3});
  EXPECT_EQ(full.choice.sampling.top_k, 40);
  EXPECT_FLOAT_EQ(full.choice.sampling.repetition_penalty, 1.1f);
  EXPECT_FLOAT_EQ(full.choice.presence_penalty, -0.5f);
  EXPECT_EQ(*full.seed, static_cast<uint64_t>(-7));
  EXPECT_EQ(full.choice.logit_bias, (std::vector<std::pair<int32_t, float>>{{5, -100.0f}}));
  EXPECT_TRUE(full.echo && full.stream && full.include_usage);
  EXPECT_EQ(full.choice.logprobs, 3);
  EXPECT_EQ(full.declared_length, 4096);
}

TEST(Calls, MessagesOfAllKinds) {
  ChatCall call = read_chat_call(parsed(
      R"({"messages": [{"role": "developer", "content": "be brief"},
          {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
          {"role": "assistant", "content": null, "tool_calls": [{"id": "c1", "type": "function",
             "function": {"name": "f", "arguments": "{\"x\": 1}"}}]},
          {"role": "tool", "tool_call_id": "c1", "content": "2"}],
          "tools": [{"type": "function", "function": {"name": "f"}}], "max_completion_tokens": 7, "max_tokens": 9})"));
  EXPECT_EQ(call.messages[0].role, "system");
  EXPECT_EQ(call.messages[1].content, "ab");
  EXPECT_EQ(call.messages[2].fields["tool_calls"][0]["function"]["arguments"], parsed(R"({"x": 1})"));
  EXPECT_EQ(call.messages[3].fields["tool_call_id"], "c1");
  EXPECT_EQ(call.max_tokens, 7);
  EXPECT_EQ(call.tool_choice, "auto");
  EXPECT_TRUE(read_chat_call(parsed(R"({"messages": [{"role": "user", "content": "a"}], "tool_choice": "none",
      "tools": [{"function": {"name": "f"}}]})"))
                  .tools.is_null());
}

TEST(ToolCalls, AreReadInTheCommonFormats) {
  const std::set<std::string> names = {"add", "now"};
  struct Case {
    const char* answer;
    const char* content;
    std::vector<std::pair<std::string, std::string>> calls;
  };
  for (const Case& c : std::initializer_list<Case>{
           {"plain text", "plain text", {}},
           {"<tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\": 1}}\n</tool_call>",
            "",
            {{"add", "{\"a\":1}"}}},
           {"I add.\n<tool_call>{\"name\": \"add\", \"arguments\": {}}</tool_call>\n<tool_call>{\"name\": "
            "\"now\"}",
            "I add.",
            {{"add", "{}"}, {"now", "{}"}}},
           {"<tool_call>[{\"name\": \"now\", \"arguments\": {}}, {\"name\": \"add\", \"arguments\": {\"a\": "
            "2}}]"
            "</tool_call>",
            "",
            {{"now", "{}"}, {"add", "{\"a\":2}"}}},
           {"{\"name\": \"add\", \"parameters\": {\"a\": \"1\"}}", "", {{"add", "{\"a\":\"1\"}"}}},
           {"[TOOL_CALLS][{\"name\": \"now\", \"arguments\": {}}]", "", {{"now", "{}"}}},
           {"<function=add>{\"a\": 1}</function>", "", {{"add", "{\"a\": 1}"}}},
           {"{\"name\": \"other\", \"arguments\": {}}", "{\"name\": \"other\", \"arguments\": {}}", {}},
           {"<tool_call>not json</tool_call>", "<tool_call>not json</tool_call>", {}},
           {"{\"a\": 1}", "{\"a\": 1}", {}}}) {
    ReadAnswer read = read_tool_calls(c.answer, names);
    EXPECT_EQ(read.content, c.content) << c.answer;
    ASSERT_EQ(read.calls.size(), c.calls.size()) << c.answer;
    for (size_t i = 0; i < c.calls.size(); ++i) {
      EXPECT_EQ(read.calls[i].name, c.calls[i].first);
      EXPECT_EQ(read.calls[i].arguments, c.calls[i].second);
    }
  }
  EXPECT_EQ(read_tool_calls("{\"name\": \"add\"}", {}).calls.size(), 0u);
}

TEST(ToolCalls, AStreamShowsWhatCannotBeACall) {
  EXPECT_EQ(shown_before_calls("Hello <b>"), 9u);
  EXPECT_EQ(shown_before_calls("Hello <tool"), 6u);
  EXPECT_EQ(shown_before_calls("Hello <tool_call>{"), 6u);
  EXPECT_EQ(shown_before_calls("  {\"name\""), 0u);
  EXPECT_EQ(shown_before_calls(""), 0u);
}

TEST(AnswerMemory, GivesBackTheIdsThatWereWritten) {
  TemporaryDirectory directory;
  make_family(directory.path, "gqa", true);
  PromptMaker prompts = load_prompt_maker(open_metadata(directory.path), "");
  const Tokenizer& t = prompts.tokenizer;
  AnswerMemory memory;
  std::string text = "<33>12<34>";
  std::vector<int32_t> odd = {33, 1, 2, 3, 34};  // not how the text tokenises
  ASSERT_NE(t.encode(text), odd);
  memory.remember(text, odd);
  EXPECT_EQ(memory.encode(t, "<33>12<34><33>7"),
            (std::vector<int32_t>{33, 1, 2, 3, 34, 33, t.encode("7")[0]}));
  // No special token at the seam, another text, the text itself.
  for (const char* other : {"<33>12<34>7", "<33>13<34><33>7", "<33>12<34>"})
    EXPECT_EQ(memory.encode(t, other), t.encode(other)) << other;
  for (int i = 0; i < 1000; ++i) memory.remember("<33>" + std::to_string(i), std::vector<int32_t>(100000, 1));
  EXPECT_LE(memory.bytes(), int64_t{64} << 20);
}

}  // namespace
}  // namespace longspan::server
