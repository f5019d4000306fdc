// The suites whose files the user has: a record in the published form of each makes the case that is meant.
#include <gtest/gtest.h>

#include "base/error.h"
#include "suites/fixture.h"

namespace longspan {
namespace {

class SuiteFiles : public SuiteTest {
 protected:
  /// The text of the first case of a task, from one record.
  CaseText first(const std::string& suite, const std::string& dialect, const std::string& task,
                 const std::string& file, const Json& record) {
    write(file, dump_json(record) + "\n");
    Suite read = read_suite(suite, dialect, {task}, {});
    std::vector<std::string> missing;
    cases_ = make_cases(read, {.prompts = prompts_, .data = dir_}, missing);
    return cases_.at(0).text();
  }
  static bool ends(const std::string& text, const std::string& end) {
    return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
  }

  std::vector<Case> cases_;
};

TEST_F(SuiteFiles, InfiniteBench) {
  Json record = {{"id", 0},
                 {"context", "def"},
                 {"input", "the value of func_12(-7)."},
                 {"answer", {-3}},
                 {"options", ""}};
  CaseText text = first("infinitebench", "base", "code_run", "code_run.jsonl", record);
  EXPECT_EQ(text.user,
            "There is a function called func_12 in the following Python code.\n\ndef\n\nPlease compute the "
            "exact value of "
            "func_12(-7). The value of func_12(-7) is");
  EXPECT_EQ(text.references, std::vector<std::string>{"-3"});
  record["input"] = "You should answer with only one number. The second largest number of the list is:";
  text = first("infinitebench", "chat", "math_find", "math_find.jsonl", record);
  EXPECT_TRUE(text.user.starts_with("What is the second largest number in the following list?\n\ndef\n\n"))
      << text.user;
  record["options"] = {"left", "right", "up", "down"};
  record["answer"] = {"right"};
  text = first("infinitebench", "chat", "code_debug", "code_debug.jsonl", record);
  EXPECT_NE(text.user.find("A. left\nB. right\nC. up\nD. down\n"), std::string::npos);
  EXPECT_EQ(text.fields["options"], record["options"]);
  EXPECT_EQ(text.references, std::vector<std::string>{"right"});
  record["answer"] = {3, -1, 4};
  EXPECT_EQ(first("infinitebench", "chat", "math_calc", "math_calc.jsonl", record).references,
            std::vector<std::string>{"3 -1 4"});
  record["answer"] = {"ACE", "ACE ROTHSTEIN"};
  EXPECT_EQ(
      first("infinitebench", "chat", "longdialogue_qa_eng", "longdialogue_qa_eng.jsonl", record).references,
      std::vector<std::string>{"ACE"});
}

TEST_F(SuiteFiles, LongBench2) {
  Json record = {{"_id", "x"},        {"domain", "Code"},   {"sub_domain", "Y"}, {"difficulty", "hard"},
                 {"length", "short"}, {"question", " q\n"}, {"choice_A", "one"}, {"choice_B", " two"},
                 {"choice_C", "3"},   {"choice_D", "4"},    {"answer", "B"},     {"context", "\n doc \n"}};
  CaseText text = first("longbench2", "", "longbench2", "data.json", Json::array({record}));
  EXPECT_NE(text.user.find("<text>\ndoc\n</text>\n\nWhat is the correct answer to this question: "
                           "q\nChoices:\n(A) one\n(B) two"),
            std::string::npos)
      << text.user;
  EXPECT_EQ(text.user.substr(text.document_begin, text.document_end - text.document_begin), "doc");
  EXPECT_EQ(cases_[0].cell, (Cell{{{"difficulty", "hard"}, {"domain", "Code"}, {"size", "short"}}}));
}

TEST_F(SuiteFiles, Mrcr) {
  Json turns = {{{"role", "user"}, {"content", "a"}},
                {{"role", "assistant"}, {"content", "b"}},
                {{"role", "user"}, {"content", "c"}}};
  Json record = {{"prompt", dump_json(turns)},
                 {"answer", "Rb"},
                 {"random_string_to_prepend", "R"},
                 {"n_needles", 2},
                 {"n_chars", 40000}};
  CaseText text = first("mrcr", "", "2needle", "2needle.jsonl", record);
  EXPECT_EQ(text.user, "c");
  EXPECT_EQ(text.turns.size(), 2u);
  EXPECT_EQ(text.fields["random_string_to_prepend"], "R");
  EXPECT_EQ(cases_[0].cell, (Cell{{{"characters", "32768-65535"}, {"needles", 2}}}));
  record = {{"context", "long"}, {"question", "Prepend  xYz1 to the second poem."}, {"answer", "xYz1 poem"}};
  text = first("mrcr", "opencompass", "4needle", "4needle.jsonl", record);
  EXPECT_EQ(text.user, "long\nPrepend  xYz1 to the second poem.");
  EXPECT_EQ(text.fields["random_string_to_prepend"], "xYz1");
}

TEST_F(SuiteFiles, Abacus) {
  Json record = {
      {"conversations",
       {{{"from", "human"}, {"value", "doc and question"}}, {{"from", "agent"}, {"value", "1964"}}}}};
  CaseText text = first("abacus", "", "ffqa_2k", "ffqa_2k.jsonl", record);
  EXPECT_EQ(text.user, "doc and question");
  EXPECT_EQ(text.references, std::vector<std::string>{"1964"});
  EXPECT_TRUE(ends(
      first("abacus", "bamboo", "altqa_4k", "altqa_4k.jsonl", {{"content", "doc"}, {"answer", "7"}}).user,
      "doc\n\nYou should only give an number as the answer, without any explanations and other "
      "words.\nAnswer: "));
}

TEST_F(SuiteFiles, LostInTheMiddle) {
  Json record = {{"ordered_kv_records", Json::array()}, {"key", "k0"}, {"value", "v0"}};
  for (int i = 0; i < 75; ++i)
    record["ordered_kv_records"].push_back(Json::array({"k" + std::to_string(i), "v" + std::to_string(i)}));
  CaseText text = first("lost_in_the_middle", "", "kv_75_at_24", "kv-retrieval-75_keys.jsonl", record);
  EXPECT_NE(text.user.find("JSON data:\n{\"k1\": \"v1\",\n \"k2\": \"v2\",\n"), std::string::npos)
      << text.user;
  EXPECT_NE(text.user.find(" \"k24\": \"v24\",\n \"k0\": \"v0\",\n \"k25\": \"v25\",\n"), std::string::npos);
  EXPECT_TRUE(ends(text.user, " \"k74\": \"v74\"}\n\nKey: \"k0\"\nCorresponding value:"));
  record = {{"question", "who?"},
            {"answers", {"me", "I"}},
            {"ctxs", {{{"title", "T"}, {"text", "x"}}, {{"title", "U"}, {"text", "y"}}}}};
  text = first("lost_in_the_middle", "", "qa_10_at_4", "nq-open-10_total_documents_gold_at_4.jsonl", record);
  EXPECT_NE(
      text.user.find("\n\nDocument [1](Title: T) x\nDocument [2](Title: U) y\n\nQuestion: who?\nAnswer:"),
      std::string::npos);
  EXPECT_EQ(text.references.size(), 2u);
}

TEST_F(SuiteFiles, LongChat) {
  Json record = {
      {"random_idx", {"torpid-kid", 7}}, {"expected_number", 2416}, {"num_lines", 200}, {"prompt", "lines"}};
  CaseText text = first("longchat", "base", "lines_200", "200_lines.jsonl", record);
  EXPECT_EQ(text.user, "lines");
  EXPECT_EQ(text.prefix, "Line <torpid-kid>: <REGISTER_CONTENT> is");
  EXPECT_EQ(text.references, std::vector<std::string>{"2416"});
  record = {{"test_id", 0}, {"prompt", "talk"}, {"topics", {"one", "two"}}};
  EXPECT_EQ(first("longchat", "", "topics_5", "5_topics.jsonl", record).references,
            std::vector<std::string>{"one"});
}

TEST_F(SuiteFiles, LEvalLeavesOutWhatPeopleJudge) {
  Json record = {{"instructions", {"q1", "q2"}},
                 {"outputs", {"one two three", "x"}},
                 {"input", "doc {braces}"},
                 {"evaluation", "f1"}};
  CaseText text = first("leval", "", "natural_question", "natural_question.jsonl", record);
  EXPECT_EQ(text.user,
            "Document is as follows. doc {braces} Instruction: q1 \nAnswer this question with 3 words.");
  record["evaluation"] = "LLM";
  EXPECT_THROW(first("leval", "", "natural_question", "natural_question.jsonl", record), Error);
  EXPECT_EQ(first("leval", "index", "natural_question", "natural_question.jsonl", record).user,
            "Document is as follows. doc {braces}\nInstruction: q1?\nAnswer this question with 3 words.");
}

}  // namespace
}  // namespace longspan
