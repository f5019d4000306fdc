// NoLiMa's needles against what its own code places (tools/make_suites_golden.py), and faults of its files.
#include <gtest/gtest.h>

#include "base/error.h"
#include "suites/fixture.h"

namespace longspan {
namespace {

class Nolima : public SuiteTest {
 protected:
  void SetUp() override {
    SuiteTest::SetUp();
    golden_ = parse_json_file(std::string(LONGSPAN_GOLDEN) + "/suites/nolima.json");
    fs::create_directories(dir_ / "rand_shuffle");
    write("rand_shuffle/rand_book_1.txt", golden_["book"]);
    set_ = {{{"id", "0406"},
             {"needle", "{CHAR} lives next to the {1}."},
             {"character_set", golden_["names"]},
             {"questions", {{"onehop", "who was in {1}?"}, {"twohop", "who was in {2}?"}}},
             {"tests", {{"T1", {{"input_args", {"opera", "the city"}}}}}}}};
    task_.name = "onehop";
    task_.prompt = "{haystack}|{question}";
    task_.document = "haystack";
    task_.make = {{"question", "onehop"}, {"lengths", {200, 350}}};
  }
  std::vector<Case> make() {
    write("needle_set.json", dump_json(set_));
    return make_nolima_cases(task_, {.prompts = prompts_, .data = dir_});
  }
  std::string error() {
    try {
      make();
    } catch (const Error& e) {
      return e.what();
    }
    return "no error";
  }

  Json golden_, set_;
  Task task_;
};

TEST_F(Nolima, NeedlesLieWhereTheOriginalPutsThem) {
  std::vector<Case> cases = make();
  ASSERT_EQ(cases.size(), golden_["rows"].size());
  for (size_t i = 0; i < cases.size(); ++i) {
    const Json& row = golden_["rows"][i];
    CaseText text = cases[i].text();
    EXPECT_EQ(text.user, row["text"].get<std::string>() + "|who was in opera?") << i;
    EXPECT_EQ(text.references, std::vector<std::string>{row["name"]}) << i;
    EXPECT_EQ(cases[i].cell.at("length"), cell_value(row["length"]));
  }
  EXPECT_EQ(cases[1].cell.at("depth"), 4);
  EXPECT_EQ(cases[27].id, "onehop/350/rand_book_1/0406_T1_onehop/1");
}

TEST_F(Nolima, GoldAnswersStandInTheTest) {
  set_[0]["needle"] = "anna lives next to the {1} of {2}.";
  set_[0]["tests"]["T1"]["gold_answers"] = {"anna", "ann"};
  task_.make["question"] = "twohop";
  task_.make["depths"] = 2;
  std::vector<Case> cases = make();
  ASSERT_EQ(cases.size(), 4u);
  EXPECT_EQ(cases[0].text().references, (std::vector<std::string>{"anna", "ann"}));
  EXPECT_NE(cases[0].text().user.find("opera of the city.\n"), std::string::npos);
  EXPECT_NE(cases[0].text().user.find("|who was in the city?"), std::string::npos);
}

TEST_F(Nolima, FaultsAreNamed) {
  task_.make["lengths"] = {5000};
  EXPECT_NE(error().find("is too short for 5,000 tokens"), std::string::npos) << error();
  task_.make["lengths"] = {200};
  task_.make["question"] = "threehop";
  EXPECT_NE(error().find("has no question of the kind threehop"), std::string::npos);
  task_.make["question"] = "onehop";
  set_[0]["distractors"] = {{"onehop", "x"}};
  EXPECT_NE(error().find("needle_set.json: record 1: distractors"), std::string::npos);
  set_[0].erase("distractors");
  set_[0].erase("character_set");
  EXPECT_NE(error().find("record 1: test T1 has no answers"), std::string::npos);
  set_[0]["character_set"] = {"anna"};
  set_[0]["id"] = "x";
  EXPECT_NE(error().find("does not begin with four digits"), std::string::npos);
  set_[0].erase("id");
  EXPECT_NE(error().find("has no \"id\""), std::string::npos);
  fs::remove_all(dir_ / "rand_shuffle");
  set_[0]["id"] = "0406";
  EXPECT_THROW(make(), MissingData);
}

}  // namespace
}  // namespace longspan
