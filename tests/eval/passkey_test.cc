#include "eval/passkey.h"

#include <gtest/gtest.h>

#include <set>

#include "base/error.h"
#include "base/text.h"
#include "cli/program.h"
#include "model/model_files.h"

namespace longspan {
namespace {

size_t count(const std::string& text, const std::string& part) {
  size_t n = 0;
  for (size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++n;
  return n;
}

std::string prose(size_t size) {
  std::string text;
  for (int i = 0; text.size() < size; ++i)
    text += "Sentence " + std::to_string(i) + " of a book, which goes on. ";
  return text;
}

TEST(Passkey, KeysAreDistinctSeededAndNotInTheText) {
  std::vector<Passkey> keys = draw_passkeys(8, 5, "");
  std::set<std::string> numbers;
  for (const Passkey& key : keys) {
    EXPECT_EQ(key.number.size(), 5u);
    numbers.insert(key.number);
  }
  EXPECT_EQ(numbers.size(), 8u);
  EXPECT_EQ(draw_passkeys(8, 5, "")[3].number, keys[3].number);
  EXPECT_NE(draw_passkeys(8, 6, "")[3].number, keys[3].number);
  std::string holds = "It cost 1" + keys[0].number + " pounds.";
  for (const Passkey& key : draw_passkeys(8, 5, holds)) EXPECT_EQ(holds.find(key.number), holds.npos);
  EXPECT_EQ(draw_passkeys(4, 0, "")[0].depth, 0.125);
  EXPECT_EQ(draw_passkeys(1, 0, "")[0].depth, 0.5);
}

TEST(Passkey, StandsOnceAtItsDepthBetweenSentences) {
  std::string text = prose(20000);
  for (const Passkey& key : draw_passkeys(5, 1, text)) {
    std::string hidden = hide_passkey(text, key), said = "The pass key is " + key.number + ". Remember it. ";
    EXPECT_EQ(count(hidden, key.number), 1u);
    size_t at = hidden.find(said);
    ASSERT_NE(at, hidden.npos);
    EXPECT_EQ(hidden.substr(at - 2, 2), ". ");
    EXPECT_NEAR(static_cast<double>(at) / static_cast<double>(text.size()), key.depth, 0.01);
    EXPECT_EQ(hidden.erase(at, said.size()), text);
  }
}

TEST(Passkey, TextsWithoutSentencesStayWhole) {
  std::string wide;
  while (wide.size() < 9000) wide += "\u4e2d";
  for (const std::string& text : {std::string(), std::string("word"), std::string(5000, 'x'), wide})
    for (const Passkey& key : draw_passkeys(4, 1, text)) {
      std::string hidden = hide_passkey(text, key);
      EXPECT_EQ(count(hidden, key.number), 1u);
      EXPECT_EQ(valid_utf8(hidden), hidden);  // no character is torn
    }
}

TEST(Passkey, AnAnswerHoldsTheNumberOrNot) {
  Passkey key{"12345", 0};
  EXPECT_TRUE(passkey_found(key, " It is 12345."));
  EXPECT_FALSE(passkey_found(key, "It is 1234"));
}

using PasskeyPrompts = ProgramTest;

TEST_F(PasskeyPrompts, FillTheLengthAndShareWhatStandsBeforeTheKey) {
  PromptMaker prompts = load_prompt_maker(open_metadata(tiny_model(1024)), "");
  std::string text = prose(4000);
  std::vector<int32_t> ids = prompts.tokenizer.encode(text);
  PasskeyTask task = make_passkeys(prompts, text, ids, 1000, 3, 0);
  ASSERT_EQ(task.prompts.size(), 3u);
  for (size_t k = 0; k < 3; ++k) {
    auto size = std::ssize(task.prompts[k]);
    EXPECT_LE(size, 1000 - kPasskeyAnswer);
    EXPECT_GE(size, 990 - kPasskeyAnswer);
    std::string said = prompts.tokenizer.decode(task.prompts[k]);
    for (size_t other = 0; other < 3; ++other)
      EXPECT_EQ(count(said, task.keys[other].number), other == k ? 1u : 0u);
  }
  EXPECT_EQ(unshared_tokens(task, 2), std::ssize(task.prompts[2]));
  // The text is most of a prompt: 5/6 and 1/2 of it stand behind the keys at 1/6 and 1/2.
  EXPECT_NEAR(static_cast<double>(unshared_tokens(task, 1)), 500, 100);
  EXPECT_NEAR(static_cast<double>(unshared_tokens(task, 0)), 833, 100);
  EXPECT_THROW(make_passkeys(prompts, text, ids, 100, 3, 0), Error);
}

}  // namespace
}  // namespace longspan
