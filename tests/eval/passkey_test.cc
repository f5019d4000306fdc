#include "eval/passkey.h"

#include <gtest/gtest.h>

#include <set>

#include "base/error.h"
#include "cli/program.h"

namespace longspan {
namespace {

size_t count(const std::string& text, const std::string& part) {
  size_t n = 0;
  for (size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++n;
  return n;
}

std::string prose(size_t size) {
  std::string text;
  for (int i = 0; text.size() < size; ++i) text += "Sentence " + std::to_string(i) + " of a book, which goes on. ";
  return text;
}

TEST(Passkey, KeysAreDistinctSeededAndNotInTheText) {
  std::vector<Passkey> keys = draw_passkeys(8, 5, "");
  std::set<std::string> numbers, doors;
  for (const Passkey& key : keys) {
    EXPECT_EQ(key.number.size(), 5u);
    numbers.insert(key.number);
    doors.insert(key.door);
  }
  EXPECT_EQ(numbers.size(), 8u);
  EXPECT_EQ(doors.size(), 8u);
  EXPECT_EQ(draw_passkeys(8, 5, "")[3].number, keys[3].number);
  EXPECT_NE(draw_passkeys(8, 6, "")[3].number, keys[3].number);
  std::string holds = "It cost 1" + keys[0].number + " pounds.";
  for (const Passkey& key : draw_passkeys(8, 5, holds)) EXPECT_EQ(holds.find(key.number), holds.npos);
  EXPECT_EQ(draw_passkeys(4, 0, "")[0].depth, 0.125);
  EXPECT_EQ(draw_passkeys(1, 0, "")[0].depth, 0.5);
}

TEST(Passkey, EachStandsOnceAtItsDepthBetweenSentences) {
  std::string text = prose(20000);
  std::vector<Passkey> keys = draw_passkeys(5, 1, text);
  std::string hidden = hide_passkeys(text, keys), left = hidden;
  for (const Passkey& key : keys) {
    EXPECT_EQ(count(hidden, key.number), 1u);
    std::string said = "The pass key of the " + key.door + " door is " + key.number + ". ";
    size_t at = hidden.find(said);
    ASSERT_NE(at, hidden.npos);
    EXPECT_EQ(hidden.substr(at - 2, 2), ". ");
    EXPECT_NEAR(static_cast<double>(at) / static_cast<double>(hidden.size()), key.depth, 0.02);
    left.erase(left.find(said), said.size());
  }
  EXPECT_EQ(left, text);
}

TEST(Passkey, TextsWithoutSentencesStayWhole) {
  for (std::string text : {std::string(), std::string("word"), std::string(5000, 'x')}) {
    std::vector<Passkey> keys = draw_passkeys(3, 1, text);
    std::string hidden = hide_passkeys(text, keys);
    for (const Passkey& key : keys) EXPECT_EQ(count(hidden, key.number), 1u);
  }
  std::string wide;
  while (wide.size() < 9000) wide += "\u4e2d";
  std::string hidden = hide_passkeys(wide, draw_passkeys(4, 1, wide));
  EXPECT_EQ(valid_utf8(hidden), hidden);  // no character is torn
}

TEST(Passkey, AnAnswerHoldsTheNumberOrNot) {
  Passkey key{"red", "12345", 0};
  EXPECT_TRUE(passkey_found(key, " It is 12345."));
  EXPECT_FALSE(passkey_found(key, "It is 1234"));
}

using PasskeyPrompts = ProgramTest;

TEST_F(PasskeyPrompts, FillTheLengthAndShareAllButTheQuestion) {
  Engine engine(tiny_model(1024), {});
  std::string text = prose(4000);
  std::vector<int32_t> ids = engine.tokenizer().encode(text);
  PasskeyTask task = make_passkeys(engine, text, ids, 1000, 3, 0);
  ASSERT_EQ(task.prompts.size(), 3u);
  for (size_t k = 0; k < 3; ++k) {
    const std::vector<int32_t>& prompt = task.prompts[k];
    auto size = static_cast<int64_t>(prompt.size());
    EXPECT_LE(size, 1000 - kPasskeyAnswer);
    EXPECT_GE(size, 990 - kPasskeyAnswer);
    std::string said = engine.tokenizer().decode(prompt);
    for (const Passkey& key : task.keys) EXPECT_EQ(count(said, key.number), 1u);
    EXPECT_NE(said.find("pass key of the " + task.keys[k].door + " door?"), said.npos) << said;
    EXPECT_TRUE(std::equal(prompt.begin(), prompt.begin() + 700, task.prompts[0].begin()));
  }
  EXPECT_THROW(make_passkeys(engine, text, ids, 200, 3, 0), Error);
}

}  // namespace
}  // namespace longspan
