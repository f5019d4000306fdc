// The suites `short` and `choice`: what is built in can be read and is balanced, faults of the user's
// questions are named.
#include <gtest/gtest.h>

#include <list>
#include <map>
#include <set>

#include "base/error.h"
#include "suites/fixture.h"

namespace longspan {
namespace {

class Short : public SuiteTest {
 protected:
  std::vector<Case> make(const std::string& name, const std::string& data = "",
                         const std::vector<std::string>& overrides = {}, int64_t limit = 0) {
    suite_ = &suites_.emplace_back(read_suite(name, "", {}, overrides));
    MakeContext context{prompts_, nullptr, {}};
    context.data = data;
    context.limit = limit;
    missing_.clear();
    return make_cases(*suite_, context, missing_);
  }
  std::string fault(const std::string& line) {
    try {
      make("choice", write("own.jsonl", "\n" + line + "\n"));
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }

  std::list<Suite> suites_;  // outlive their cases
  const Suite* suite_ = nullptr;
  std::vector<std::string> missing_;
};

TEST_F(Short, EveryTaskHasItsCases) {
  std::map<std::string, int> count;
  std::set<std::string> prompts;
  for (const Case& c : make("short")) {
    const Task& task = suite_->tasks[c.task];
    ++count[task.name];
    CaseText text = c.text();
    if (c.kind != CaseKind::Loss) {
      EXPECT_TRUE(prompts.insert(task.name + text.user).second) << c.id;
      continue;
    }
    EXPECT_EQ("loss_" + *c.cell.at("class").text(), task.name);
    EXPECT_LE(text.ids.size(), 1024u);
    EXPECT_EQ(text.from, 1);
  }
  for (const char* name :
       {"novel", "encyclopedia", "technical", "code", "chinese", "other_languages", "instructions"})
    EXPECT_EQ(count["loss_" + std::string(name)], 12) << name;
  EXPECT_EQ(count["continuation"], 200);
  EXPECT_EQ(count["trivia"], 100);
  EXPECT_EQ(count["facts"], 100);
  EXPECT_GE(count["table"] + count["reading_zh"], 80);
  EXPECT_TRUE(missing_.empty());
}

TEST_F(Short, RightAnswersStandEverywhere) {
  std::map<std::string, std::map<size_t, int>> places;
  std::map<std::string, int> count;
  for (const Case& c : make("short")) {
    if (c.kind != CaseKind::Choice) continue;
    CaseText text = c.text();
    EXPECT_EQ(text.choices.size(), 4u) << c.id;
    EXPECT_EQ(std::set<std::string>(text.choices.begin(), text.choices.end()).size(), 4u) << c.id;
    EXPECT_FALSE(std::isspace(static_cast<unsigned char>(text.user.back()))) << c.id;
    const std::string& task = suite_->tasks[c.task].name;
    ++places[task][text.correct];
    ++count[task];
  }
  for (const auto& [task, at] : places)
    for (size_t place = 0; place < 4; ++place)
      EXPECT_GE(at.contains(place) ? at.at(place) : 0, count[task] / 7) << task << " at " << place;
}

TEST_F(Short, TheSameEveryTimeAndTheFirstOfALimit) {
  auto all = make("short"), first = make("short", "", {}, 3);
  EXPECT_EQ(first.size(), 3 * suite_->tasks.size());
  size_t at = 0;
  for (const Case& c : all) {
    if (at == first.size() || c.id != first[at].id) continue;
    CaseText a = c.text(), b = first[at++].text();
    EXPECT_EQ(a.user, b.user);
    EXPECT_EQ(a.choices, b.choices);
    EXPECT_EQ(a.ids, b.ids);
  }
  EXPECT_EQ(at, first.size());
}

TEST_F(Short, SettingsOfARow) {
  auto cases = make("short", "", {"loss_code.make.tokens=100"}, 1);
  for (const Case& c : cases)
    if (suite_->tasks[c.task].name == "loss_code") {
      EXPECT_EQ(c.text().ids.size(), 100u);
    }
  EXPECT_THROW(make("short", "", {"loss_code.make.class=\"poems\""}), Error);
}

TEST_F(Short, QuestionsOfTheUser) {
  std::string file = write("own.jsonl", R"({"question": "who?", "choices": ["me", "you"], "answer": 1}
{"context": "once upon", "choices": ["a time", "a hill", "it"], "answer": "it", "class": "tales"}
{"context": "it rains", "question": "what?", "choices": ["rain", "sun"], "answer": 0}
)");
  auto cases = make("choice", file);
  ASSERT_EQ(cases.size(), 3u);
  CaseText who = cases[0].text(), once = cases[1].text(), rain = cases[2].text();
  EXPECT_EQ(who.user, "Question: who?\nAnswer:");
  EXPECT_EQ(who.choices, (std::vector<std::string>{" me", " you"}));
  EXPECT_EQ(who.correct, 1u);
  EXPECT_EQ(cases[0].source, file + ":1");
  EXPECT_EQ(once.user, "once upon");
  EXPECT_EQ(once.correct, 2u);
  EXPECT_EQ(cases[1].cell, (Cell{{{"class", "tales"}}}));
  EXPECT_EQ(rain.user, "it rains\n\nQuestion: what?\nAnswer:");
  EXPECT_EQ(make("choice", file, {"make.class=\"tales\"", "make.separator=\"\""})[0].text().choices[0],
            "a time");
  EXPECT_EQ(make("choice", dir_.string(), {"make.file=\"own.jsonl\""}).size(), 3u);
  EXPECT_THROW(make("choice", dir_.string()), Error);  // which of its files?
  EXPECT_THROW(make("choice"), Error);                 // no --data
  EXPECT_THROW(make("choice", file, {"metrics=accuracy_gain"}), Error);
  EXPECT_THROW(make("choice", file, {"metrics=qa_f1"}), Error);
  EXPECT_EQ(make("choice", file, {"metrics=accuracy_gain", "make.neutral=\"so\""})[0].text().neutral, "so");
}

TEST_F(Short, FaultsOfQuestionsAreNamed) {
  const std::vector<std::pair<const char*, const char*>> faults = {
      {"{\"question\": \"who?\"", ""},
      {"[1]", "no JSON object"},
      {R"({"question": "who?", "answer": 0})", "choices"},
      {R"({"question": "who?", "choices": ["me"], "answer": 0})", "two"},
      {R"({"question": "who?", "choices": ["me", ""], "answer": 0})", "empty"},
      {R"({"question": "who?", "choices": ["me", 2], "answer": 0})", "not 2"},
      {R"({"question": "who?", "choices": ["me", "you"], "answer": 2})", "from 0 to 1"},
      {R"({"question": "who?", "choices": ["me", "you"], "answer": -1})", "from 0 to 1"},
      {R"({"question": "who?", "choices": ["me", "you"], "answer": "he"})", "\"he\""},
      {R"({"question": "who?", "choices": ["me", "you"]})", "answer"},
      {R"({"choices": ["me", "you"], "answer": 0})", "question"},
      {R"({"question": 4, "choices": ["me", "you"], "answer": 0})", "question"}};
  for (auto [line, word] : faults) {
    std::string said = fault(line);
    EXPECT_NE(said.find("own.jsonl:2"), said.npos) << line << ": " << said;
    EXPECT_NE(said.find(word), said.npos) << line << ": " << said;
  }
}

}  // namespace
}  // namespace longspan
