// Pass keys as published: the prompt to the letter, lengths filled, keys where the cell says.
#include <gtest/gtest.h>

#include <set>

#include "base/error.h"
#include "suites/fixture.h"

namespace longspan {
namespace {

using Passkeys = SuiteTest;

TEST_F(Passkeys, GrowUntilTheLengthIsFull) {
  Suite suite = read_suite("passkey", "", {}, {"make.lengths=[800,3000]"});
  std::vector<Case> cases = cases_of(prompts_, suite);
  ASSERT_EQ(cases.size(), 40u);
  std::set<std::string> keys;
  const std::string head =
      "There is an important info hidden inside a lot of irrelevant text. Find it and memorize them. I will "
      "quiz "
      "you about the important information there.\n";
  for (const Case& one : cases) {
    SCOPED_TRACE(one.id);
    CaseText text = one.text();
    std::string key = text.references.at(0);
    keys.insert(key);
    EXPECT_GE(std::stoi(key), 1);
    EXPECT_LE(std::stoi(key), 50000);
    EXPECT_TRUE(text.user.starts_with(head));
    EXPECT_TRUE(text.user.ends_with("\nWhat is the pass key? The pass key is"));
    std::string said = "\nThe pass key is " + key + ". Remember it. " + key + " is the pass key.\n";
    size_t at = text.user.find(said);
    ASSERT_NE(at, std::string::npos);
    double before = static_cast<double>(at - head.size());
    double filler = static_cast<double>(text.user.size() - head.size() - said.size() - 38);
    EXPECT_NEAR(100 * before / filler, one.cell.at("depth").number(), 0.5);
    if (at > head.size() + 4) {
      EXPECT_EQ(text.user.substr(head.size(), 5), "The g");
    }
    text.prompt = nullptr;  // counted again
    int64_t tokens = prompt_tokens(prompts_, suite.tasks[0], text) + 10;
    EXPECT_LE(tokens, one.length);
    EXPECT_GE(tokens, one.length - 2);
  }
  EXPECT_GT(keys.size(), 35u);
  EXPECT_EQ(cases_of(prompts_, suite)[7].text().user, cases[7].text().user);
  EXPECT_NE(cases_of(prompts_, suite, 0, 1)[7].text().user, cases[7].text().user);
}

TEST_F(Passkeys, LongLorasAreThoseOfPythonsSeeds) {
  Suite suite = read_suite("passkey", "longlora", {}, {"make.lengths=[1024]"});
  std::vector<Case> cases = cases_of(prompts_, suite);
  ASSERT_EQ(cases.size(), 10u);
  for (const Case& one : cases) {
    if (!one.id.ends_with("/0")) continue;
    // random.seed(0); randint(0, 3072), randint(1, 50000)
    CaseText text = one.text();
    EXPECT_EQ(text.references.at(0), "49674");
    EXPECT_EQ(text.user.find("\nThe pass key is 49674"), 149u + 1577u);
  }
}

TEST_F(Passkeys, FaultsAreNamed) {
  auto fault = [&](const std::string& set) {
    try {
      cases_of(prompts_, read_suite("passkey", "", {}, {set}));
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_NE(fault("make.lengths=[50]").find("50 tokens do not hold a key"), std::string::npos);
  EXPECT_NE(fault("make.form=words").find("make.form must be \"tokens\" or \"characters\", not \"words\""),
            std::string::npos);
}

}  // namespace
}  // namespace longspan
