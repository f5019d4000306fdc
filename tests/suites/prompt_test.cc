// From a case to ids: turns and the given beginning of an answer, and the five ways to cut, each held to what
// it promises. A byte is a token.

#include "base/error.h"
#include "suites/fixture.h"

namespace longspan {
namespace {

class PromptTest : public SuiteTest {
 protected:
  void SetUp() override {
    SuiteTest::SetUp();
    task_.name = "t";
    task_.system = "be brief.";
    task_.prompt = "read: {text} what?";
    task_.document = "text";
    task_.new_tokens = 8;
  }
  CaseText text(const std::string& document) { return fill_task(task_, {{"text", document}}, "here"); }
  Prompt prompt(const std::string& document, int64_t room = 0) {
    return make_prompt(prompts_, task_, text(document), room);
  }

  Task task_;
};

TEST_F(PromptTest, TurnsGoThroughTheTemplateAndThePrefixFollows) {
  task_.prefix = "it is";
  Prompt p = prompt("a dog");
  EXPECT_EQ(p.text,
            "<|start|>system\nbe brief.<|end|>\n<|start|>user\nread: a dog "
            "what?<|end|>\n<|start|>assistant\nit is");
  EXPECT_EQ(prompts_.tokenizer.decode(p.ids), p.text);
  EXPECT_EQ(p.messages.back().content, "read: a dog what?it is");
  CaseText dog = text("a dog");
  EXPECT_EQ(prompt_tokens(prompts_, task_, dog), std::ssize(p.ids));
  task_.chat = false;
  EXPECT_EQ(prompt("a <|end|>").text, "be brief.\n\nread: a <|end|> what?it is");
}

/// A server that is sent the text adds the BOS if the tokenizer does; one that only the template writes has
/// to be sent.
TEST_F(PromptTest, TheBosThatATokenizerAddsIsNoPartOfTheText) {
  prompts_ = byte_prompts({{"bos_token", "<|start|>"}});
  EXPECT_EQ(prompt("a dog").bos, 0u);
  prompts_ = byte_prompts({{"bos_token", "<|start|>"}, {"add_bos_token", true}});
  ASSERT_EQ(prompts_.tokenizer.prefix().size(), 1u);
  EXPECT_EQ(prompt("a dog").bos, std::string("<|start|>").size());
}

TEST_F(PromptTest, ATemplateWithoutSystemGetsItAtTheHeadOfTheUsersTurn) {
  prompts_ =
      byte_prompts(Json::object(),
                   "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}"
                   "{% endif %}{{ m.role }}: {{ m.content }}\n{% endfor %}");
  EXPECT_EQ(prompt("a dog").text, "user: be brief.\nread: a dog what?\n");
  task_.system = "";
  EXPECT_EQ(prompt("a dog").text, "user: read: a dog what?\n");
}

TEST_F(PromptTest, WhatFitsIsNotCutAndWhatDoesNotIsRefused) {
  std::string document(100, 'a');
  Prompt whole = prompt(document);
  EXPECT_EQ(prompt(document, std::ssize(whole.ids)).ids, whole.ids);
  try {
    prompt(document, std::ssize(whole.ids) - 1);
    FAIL();
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find(std::to_string(whole.ids.size()) + " tokens"), std::string::npos)
        << e.what();
  }
}

TEST_F(PromptTest, MiddleKeepsBothHalvesOfTheRoomInIds) {
  task_.truncate = Truncation::Middle;
  Prompt whole = prompt(std::string(100, 'a')), cut = prompt(std::string(100, 'a'), 61);
  ASSERT_EQ(cut.ids.size(), 60u);  // 61 / 2 from each end
  EXPECT_TRUE(std::equal(cut.ids.begin(), cut.ids.begin() + 30, whole.ids.begin()));
  EXPECT_TRUE(std::equal(cut.ids.end() - 30, cut.ids.end(), whole.ids.end() - 30));
  EXPECT_EQ(cut.cut, std::ssize(whole.ids) - 60);
  EXPECT_TRUE(cut.messages.empty());
}

TEST_F(PromptTest, TextMiddleCutsTheUsersTextToWindowLessReserve) {
  task_.truncate = Truncation::TextMiddle;
  task_.reserve = 60;
  task_.system = "";
  std::string document;
  for (int i = 0; i < 26; ++i) document += std::string(4, static_cast<char>('a' + i));
  // A room of 92 and 8 for the answer: 100 - 60 ids of the user's text stay, 20 from each end.
  std::string user = "read: " + document + " what?";
  EXPECT_EQ(prompt(document, 92).messages.back().content, user.substr(0, 20) + user.substr(user.size() - 20));
  // It cuts what would have fitted, too, as its script does.
  EXPECT_EQ(prompt("bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", 92).cut, 6);
  EXPECT_EQ(prompt("b", 92).cut, 0);
}

TEST_F(PromptTest, SidesCutTheDocumentAlone) {
  std::string document = std::string(50, 'a') + std::string(50, 'b');
  task_.truncate = Truncation::Left;
  auto overhead = std::ssize(prompt("").ids);
  Prompt left = prompt(document, overhead + 30);
  EXPECT_EQ(left.messages.back().content, "read: " + std::string(30, 'b') + " what?");
  EXPECT_EQ(left.cut, 70);
  task_.truncate = Truncation::Right;
  EXPECT_EQ(prompt(document, overhead + 30).messages.back().content,
            "read: " + std::string(30, 'a') + " what?");
  EXPECT_THROW(prompt(document, overhead), Error);
  task_.document = "";
  EXPECT_THROW(prompt(document, overhead + 30), Error);
}

TEST_F(PromptTest, WordsGoInStepsOf250) {
  task_.truncate = Truncation::Words;
  task_.system = "";
  std::string document;
  for (int i = 0; i < 900; ++i) document += (i ? " " : "") + std::string("a");
  // 1,799 ids; at most 1,400 + 8 - 512 = 896 may stay: 896 words are 1,791 ids, 646 words 1,291, 396 words
  // 791.
  Prompt p = prompt(document, 1400);
  EXPECT_EQ(p.messages.back().content, "read: " + document.substr(0, 2 * 396 - 1) + " what?");
  EXPECT_EQ(p.cut, 1799 - 791);
}

}  // namespace
}  // namespace longspan
