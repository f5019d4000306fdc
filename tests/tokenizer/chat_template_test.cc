// ChatTemplate, and the built-in formats against strings written by hand from the formats' descriptions.
#include "tokenizer/chat_template.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace longspan {
namespace {

const std::string kAquilaSystem =
    "A chat between a curious human and an artificial intelligence assistant. The assistant gives helpful, "
    "detailed, and "
    "polite answers to the human's questions.";
const std::vector<ChatMessage> kTurns = {{"user", "U1"}, {"assistant", "A1"}, {"user", "U2"}};

std::string render(const char* name, const std::vector<ChatMessage>& messages, bool prompt = true) {
  return ChatTemplate(builtin_chat_template(name)->jinja, name).render(messages, prompt, Json::object());
}

TEST(BuiltinChat, Xverse) {
  EXPECT_EQ(render("xverse", kTurns), "Human: U1\n\nAssistant: A1<|endoftext|>Human: U2\n\nAssistant: ");
  EXPECT_EQ(render("xverse", {{"system", "S"}, {"user", "U1"}}), "Human: S\nHuman: U1\n\nAssistant: ");
  EXPECT_EQ(render("xverse", {{"user", "U1"}, {"exec", "E"}}, false), "Human: U1\n\nExec: E\n\n");
}

TEST(BuiltinChat, Aquila) {
  EXPECT_EQ(render("aquila-chat", kTurns),
            kAquilaSystem + "###Human: U1###Assistant: A1###Human: U2###Assistant:");
  // After </s> there is no ### before Human.
  EXPECT_EQ(render("aquila", kTurns),
            kAquilaSystem + "###Human: U1###Assistant: A1</s>Human: U2###Assistant:");
  EXPECT_EQ(render("aquila-legacy", kTurns),
            kAquilaSystem + "\n\n### Human: U1\n### Assistant: A1</s>### Human: U2\n### Assistant: ");
  const std::string pieces = "<|startofpiece|>U1<|endofpiece|>A1</s><|startofpiece|>U2<|endofpiece|>";
  EXPECT_EQ(render("aquila-v1", kTurns), pieces);
  EXPECT_EQ(render("aquila-v2", kTurns), kAquilaSystem + "\n\n" + pieces);
}

TEST(BuiltinChat, AquilaEndsThePromptWithASpaceAndAnswersAtItsStopStrings) {
  for (const char* name : {"aquila-chat", "aquila", "aquila-legacy", "aquila-v1", "aquila-v2"})
    EXPECT_EQ(builtin_chat_template(name)->suffix, " ") << name;
  using Stops = std::vector<std::string>;
  EXPECT_EQ(builtin_chat_template("aquila-chat")->stop, (Stops{"###", "</s>", "[UNK]"}));
  EXPECT_EQ(builtin_chat_template("aquila")->stop, (Stops{"</s>", "[UNK]"}));
  EXPECT_EQ(builtin_chat_template("aquila-legacy")->stop, (Stops{"</s>", "[UNK]"}));
  EXPECT_EQ(builtin_chat_template("aquila-v1")->stop, (Stops{"</s>", "<|endoftext|>"}));
  EXPECT_EQ(builtin_chat_template("aquila-v2")->stop,
            (Stops{"</s>", "<|endoftext|>", "<|startofpiece|>", "<|endofpiece|>"}));
  for (const char* name : {"xverse", "index"}) {
    EXPECT_EQ(builtin_chat_template(name)->suffix, "") << name;
    EXPECT_TRUE(builtin_chat_template(name)->stop.empty()) << name;
  }
}

TEST(BuiltinChat, AquilaTakesASystemText) {
  const std::vector<ChatMessage> messages = {{"system", "S."}, {"user", "U1"}};
  EXPECT_EQ(render("aquila", messages), "S.###Human: U1###Assistant:");
  EXPECT_EQ(render("aquila-v2", messages), "S.\n\n<|startofpiece|>U1<|endofpiece|>");
  EXPECT_THROW(render("aquila-v1", messages), Error);  // its format has no place for one
}

TEST(BuiltinChat, Index) {
  EXPECT_EQ(render("index", {{"system", "S"}, {"user", "U1"}, {"assistant", "A1"}, {"user", "U2"}}),
            "<unk>Sreserved_0U1reserved_1A1reserved_0U2reserved_1");
  EXPECT_EQ(render("index", {{"user", "U1"}}),
            "<unk>你是由哔哩哔哩(人工智能平台部)自主研发的大语言模型，名为“Index”。你能够根据用户传入的信息，"
            "帮助用户完成指定的任务，并生成恰当的、符合要求的回复。reserved_0U1reserved_1");
}

TEST(BuiltinChat, EveryNameIsKnownAndRefusesUnknownRoles) {
  EXPECT_EQ(builtin_chat_template_names().size(), 7u);
  for (const std::string& name : builtin_chat_template_names()) {
    ASSERT_NE(builtin_chat_template(name), nullptr) << name;
    EXPECT_THROW(render(name.c_str(), {{"wizard", "x"}}), Error) << name;
    EXPECT_NE(render(name.c_str(), {{"user", "  two  \n"}}).find("  two  \n"), std::string::npos) << name;
  }
  EXPECT_EQ(builtin_chat_template("nosuch"), nullptr);
}

TEST(ChatTemplate, PassesWhatTransformersPasses) {
  ChatTemplate shown(
      "{{ tools is none }} {{ documents is none }} {{ add_generation_prompt }} {{ bos_token }} {{ messages "
      "}}",
      "m");
  EXPECT_EQ(shown.render({{"user", "it's"}}, true, {{"bos_token", "<s>"}}),
            "True True True <s> [{'role': 'user', 'content': \"it's\"}]");
}

TEST(ChatTemplate, RefusalIsAnError) {
  ChatTemplate refusing("{% if messages[0].role != 'user' %}{{ raise_exception('user first') }}{% endif %}",
                        "some.gguf");
  EXPECT_EQ(refusing.render({{"user", "x"}}, false, Json::object()), "");
  try {
    refusing.render({{"assistant", "x"}}, false, Json::object());
    FAIL() << "it should refuse";
  } catch (const Error& error) {
    EXPECT_STREQ(
        error.what(),
        "some.gguf: the chat template failed: line 1: the template refuses this conversation: user first");
  }
}

}  // namespace
}  // namespace longspan
