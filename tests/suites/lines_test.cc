// LongChat's lines: each record has its own words and numbers, and exactly one right answer.
#include <gtest/gtest.h>

#include <set>
#include <sstream>

#include "base/error.h"
#include "suites/fixture.h"

namespace longspan {
namespace {

using Lines = SuiteTest;

TEST_F(Lines, HoldWhatIsAskedOnce) {
  Suite suite = read_suite("lines", "", {}, {"make.lines=[20,100]", "make.samples=5"});
  std::vector<Case> cases = cases_of(prompts_, suite);
  ASSERT_EQ(cases.size(), 10u);
  std::set<std::string> first;
  for (const Case& one : cases) {
    SCOPED_TRACE(one.id);
    std::string user = one.text().user;
    EXPECT_EQ(user, one.text().user);
    size_t record = user.find("Now the record start:\n\n") + 23,
           end = user.rfind("\nNow the record is over. Tell me");
    std::istringstream lines(user.substr(record, end - record));
    std::string line, asked = user.substr(user.rfind("in line ") + 8), found;
    asked = asked.substr(0, asked.find('?'));
    int64_t number = 0, at = -1;
    std::set<std::string> names;
    for (; std::getline(lines, line); ++number) {
      ASSERT_TRUE(line.starts_with("line ")) << line;
      std::string name = line.substr(5, line.find(':') - 5);
      names.insert(name);
      EXPECT_EQ(std::count(name.begin(), name.end(), '-'), 1) << name;
      if (name != asked) continue;
      at = number;
      found = line.substr(line.find('<') + 1);
      EXPECT_EQ(line, "line " + asked + ": REGISTER_CONTENT is <" + one.text().references.at(0) + ">");
    }
    EXPECT_EQ(one.cell.at("lines"), number);
    EXPECT_EQ(std::ssize(names), number);
    ASSERT_GE(at, 0);
    EXPECT_EQ(one.cell.at("depth"), at * 10 / number * 10);
    EXPECT_TRUE(user.ends_with("? I need the number. "));
    first.insert(user.substr(record, 60));
  }
  EXPECT_EQ(first.size(), 10u) << "each has its own record";
}

TEST_F(Lines, DialectsAskAndScoreOtherwise) {
  Suite official = read_suite("lines", "", {}, {}), abacus = read_suite("lines", "abacus", {}, {}),
        base = read_suite("lines", "base", {}, {});
  EXPECT_EQ(official.tasks[0].metrics, std::vector<std::string>{"last_number"});
  EXPECT_EQ(official.tasks[0].new_tokens, 100);
  EXPECT_EQ(abacus.tasks[0].metrics, std::vector<std::string>{"first_number"});
  EXPECT_EQ(abacus.tasks[0].new_tokens, 35);
  EXPECT_EQ(base.tasks[0].new_tokens, 15);
  EXPECT_FALSE(base.tasks[0].chat);
  std::vector<Case> cases = cases_of(prompts_, base);
  ASSERT_EQ(cases.size(), 300u);
  CaseText text = cases[299].text();
  std::string key = text.user.substr(text.user.rfind("in line ") + 8);
  EXPECT_EQ(text.prefix, "Line <" + key.substr(0, key.find('?')) + ">: <REGISTER_CONTENT> is");
}

TEST_F(Lines, MoreThanTheWordsGiveIsRefused) {
  try {
    cases_of(prompts_, read_suite("lines", "", {}, {"make.lines=[100000000]"}));
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("100000000 is too large: at most "), std::string::npos);
  }
}

}  // namespace
}  // namespace longspan
