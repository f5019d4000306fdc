// The metrics against scores that the suites' own programs gave (tools/make_metrics_golden.py). The committed
// selection may be passed on; LONGSPAN_METRICS_GOLDEN names a folder with all records, made with --all.
#include "score/metrics.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <map>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "score/rouge.h"
#include "score/similarity.h"

namespace longspan {
namespace {

namespace fs = std::filesystem;

fs::path golden() {
  const char* all = std::getenv("LONGSPAN_METRICS_GOLDEN");
  return all && *all ? fs::path(all) : fs::path(LONGSPAN_GOLDEN) / "metrics";
}

const Segmenter& segmenter() {
  static const Segmenter instance({});  // the program's own
  return instance;
}

std::vector<Json> rows(const char* name) {
  std::ifstream in(golden() / name);
  std::vector<Json> out;
  for (std::string line; std::getline(in, line);) out.push_back(parse_json(line, name));
  EXPECT_GT(out.size(), 100u) << name;
  return out;
}

double one(const char* metric, const std::string& prediction, const std::vector<std::string>& references,
           Scoring scoring = Scoring::kCompat, const Json& fields = Json::object()) {
  return score(find_metric(metric), prediction, references, {fields, scoring, &segmenter()});
}

double clean(const char* metric, const std::string& prediction, const std::vector<std::string>& references,
             const Json& fields = Json::object()) {
  return one(metric, prediction, references, Scoring::kClean, fields);
}

TEST(Metrics, EqualTheOriginalsOnRecordedPredictions) {
  std::map<std::string, int> seen, wrong;
  Json fields = Json::object();
  for (const Json& row : rows("scores.jsonl")) {
    if (row.contains("fields")) fields = row["fields"];
    for (const auto& [name, expected] : row["scores"].items()) {
      ++seen[name];
      double got = one(name.c_str(), row["prediction"], row["references"], Scoring::kCompat, fields);
      if (std::abs(got - expected.get<double>()) > 1e-6 && ++wrong[name] <= 3)
        ADD_FAILURE() << name << " gives " << got << ": " << dump_json(row).substr(0, 1500);
    }
  }
  for (const auto& [name, count] : seen) {
    RecordProperty(name, count);
    EXPECT_EQ(wrong[name], 0) << "of " << count << " records of " << name;
  }
  for (const char* name : {"qa_f1", "qa_f1_zh", "rouge_1", "rouge_2", "rouge_l", "rouge_l_zh",
                           "rouge_score_1", "rouge_score_2", "rouge_score_l", "classification", "code_sim"})
    EXPECT_GE(seen[name], 200) << name;
}

TEST(Metrics, EveryRowIsFoundByItsNameAndScoresWithinBounds) {
  Json fields = {{"all_classes", {"Paragraph 7 段落7", "other"}},
                 {"needle", "Paragraph 7 段落7"},
                 {"options", {"other", "Paragraph 7 段落7"}},
                 {"random_string_to_prepend", "Paragraph"}};
  for (const Metric& metric : metrics()) {
    EXPECT_EQ(&find_metric(metric.name), &metric);
    for (Scoring scoring : {Scoring::kCompat, Scoring::kClean})
      for (const char* prediction : {"", ".", "段落7", "7", "A\xff\xfe", "Paragraph 7 段落7", " \n\n. ."}) {
        double s = one(metric.name, prediction, {"Paragraph 7 段落7"}, scoring, fields);
        EXPECT_TRUE(s >= 0 && s <= 1) << metric.name << " " << prediction << " " << s;
      }
  }
  EXPECT_THROW(find_metric("bleurt"), Error);
}

TEST(Metrics, ReferencesAreCombined) {
  EXPECT_EQ(one("qa_f1", "the red fox", {"cat", "red fox"}), 1);
  EXPECT_EQ(one("ruler_all", "ONE two", {"one", "two", "three", "four"}), 0.5);
  EXPECT_EQ(one("ruler_part", "ONE two", {"one", "two", "three", "four"}), 1);
  EXPECT_THROW(one("qa_f1", "x", {}), Error);
}

TEST(Metrics, WhatTheCaseLacksIsNamed) {
  EXPECT_THROW(one("classification", "a", {"a"}), Error);
  EXPECT_THROW(one("classification", "a", {"a"}, Scoring::kCompat, {{"all_classes", {1}}}), Error);
  EXPECT_THROW(one("needle", "a", {"b"}), Error);
  EXPECT_THROW(one("retrieval", "1", {"Section 1"}), Error);
  EXPECT_THROW(one("last_number", "1", {"none"}), Error);
  Json none = Json::object();
  std::vector<std::string> references = {"好"};
  EXPECT_THROW(score(find_metric("qa_f1_zh"), "好", references, {none}), Error);
}

TEST(Metrics, CleanLeavesTheQuirksOut) {
  // A perfect answer is perfect, and repeated words count as often as they stand there.
  EXPECT_LT(one("rouge_l", "a cat", {"a cat"}), 1);
  EXPECT_EQ(clean("rouge_l", "A cat.", {"a cat"}), 1);
  EXPECT_NEAR(one("rouge_l", "the dog. ", {"a cat. "}), 1.0 / 3, 1e-7);  // they share an empty word
  EXPECT_EQ(clean("rouge_l", "the dog. ", {"a cat. "}), 0);
  EXPECT_NEAR(clean("rouge_1", "no no no no", {"no"}), 0.4, 1e-12);
  EXPECT_NEAR(one("rouge_1", "no no no no", {"no"}), 1, 1e-7);
  EXPECT_EQ(one("rouge_score_l", "你好", {"你好"}), 0);
  EXPECT_EQ(clean("rouge_score_l", "你好", {"你好"}), 1);
  // The original keeps every second of the names that lie inside the right one.
  Json classes = {{"all_classes", {"number", "Other", "Other number"}}};
  EXPECT_EQ(one("classification", "Other number", {"Other number"}, Scoring::kCompat, classes), 0.5);
  EXPECT_EQ(clean("classification", "Other number", {"Other number"}, classes), 1);
  EXPECT_EQ(one("leval_choices", "A", {"AB"}), 0.25);
  EXPECT_EQ(clean("leval_choices", "A", {"AB"}), 0);
  EXPECT_EQ(one("leval_choice", "no idea", {"A"}), 1);
  EXPECT_EQ(clean("leval_choice", "no idea", {"A"}), 0);
  EXPECT_EQ(one("opencompass_gsm", "The answer is 18.00", {"18"}), 0);
  EXPECT_EQ(clean("opencompass_gsm", "The answer is 18.00", {"18"}), 1);
  EXPECT_GT(one("needle", "a stone", {"b"}, Scoring::kCompat, {{"needle", "a stone c"}}), 0);
  EXPECT_EQ(clean("needle", "a stone", {"b"}, {{"needle", "a stone c"}}), 0);
  EXPECT_EQ(clean("code_sim", "x = 12", {"x = 1"}), 2 * 5 / 11.0);
  EXPECT_EQ(one("code_sim", "x = 12", {"x = 1"}), 0.91);
}

TEST(Metrics, SentencesTooLongForTheTableOfRougeAreNamed) {
  std::string words;
  for (int i = 0; i < 17000; ++i) words += "w ";
  EXPECT_THROW(one("rouge_l", words, {words}), Error);
  EXPECT_EQ(clean("rouge_l", words, {words}), 1);
}

TEST(Metrics, NumbersOfLines) {
  EXPECT_EQ(one("first_number", "In line 3 it is 0042.", {"42"}), 0);
  EXPECT_EQ(one("last_number", "In line 3 it is 0042.", {"42"}), 1);
  EXPECT_EQ(one("last_number", "none", {"42"}), 0);
  EXPECT_EQ(first_line("\n\nYes\nNo"), "Yes");
}

TEST(Similarity, EqualsDifflibFuzzywuzzyAndLevenshtein) {
  for (const Json& row : rows("similarity.jsonl")) {
    std::u32string a = code_points(row["a"].get<std::string>()), b = code_points(row["b"].get<std::string>());
    EXPECT_NEAR(difflib_ratio(a, b), row["difflib_ratio"].get<double>(), 1e-12) << row;
    EXPECT_EQ(fuzz_percent(a, b, difflib_ratio(a, b)), row["fuzz_difflib"].get<int>()) << row;
    EXPECT_EQ(fuzz_percent(a, b, indel_ratio(a, b)), row["fuzz_levenshtein"].get<int>()) << row;
    EXPECT_EQ(levenshtein_distance(a, b), row["levenshtein_distance"].get<int64_t>()) << row;
  }
}

TEST(Similarity, FrequentCharactersBeginNoBlock) {
  std::u32string a, b = U"x";
  for (int i = 0; i < 150; ++i) a += U"ab", b += U"ab";
  EXPECT_EQ(difflib_ratio(a, b), 0);
  EXPECT_NEAR(difflib_ratio(a, b, false), 600.0 / 601, 1e-12);
}

TEST(Segmenter, EqualsJieba) {
  int wrong = 0;
  for (const Json& row : rows("cuts.jsonl")) {
    Words expected;
    for (const Json& word : row) expected.push_back(code_points(word.get<std::string>()));
    if (segmenter().cut(join(expected, U"")) != expected && ++wrong <= 3)
      ADD_FAILURE() << dump_json(row) << "\n" << to_utf8(join(segmenter().cut(join(expected, U"")), U"|"));
  }
  EXPECT_EQ(wrong, 0);
}

class SegmenterFiles : public testing::Test {
 protected:
  void SetUp() override { fs::create_directories(folder_); }
  void TearDown() override { fs::remove_all(folder_); }
  void put(const char* name, std::string_view text) { write_file_atomic(folder_ / name, text); }

  fs::path folder_ =
      fs::path(testing::TempDir()) /
      (std::string("segment_") + testing::UnitTest::GetInstance()->current_test_info()->name());
};

TEST_F(SegmenterFiles, ReadsTheFormatOfCppjieba) {
  put("jieba.dict.utf8", "天气 10 n\r\n好 5 a\n");
  put("hmm_model.utf8",
      "# order: B E M S\n-0.1 -3.14e+100 -3.14e+100 -3\n-3.14e+100 -0.1 -3 -3.14e+100\n-1 -3.14e+100 "
      "-3.14e+100 -1\n"
      "-3.14e+100 -1 -1 -3.14e+100\n-1 -3.14e+100 -3.14e+100 -1\n甲:-1\n乙:-1\n丙:-2\n丁:-3\n");
  EXPECT_EQ(Segmenter(folder_).cut(U"天气好甲乙"), (Words{U"天气", U"好", U"甲乙"}));
}

TEST(SegmenterFolder, IsGivenOrFound) {
  const char* set = std::getenv("LONGSPAN_JIEBA");
  EXPECT_EQ(jieba_folder("mine"), "mine");
  EXPECT_EQ(jieba_folder(""), set && *set ? fs::path(set) : fs::path());
}

TEST_F(SegmenterFiles, OfEqualPathsTheLongerWordWins) {
  // 4/16 x 4/16 = 1/16.
  put("dict.txt", "甲 4\n乙 4\n甲乙 1\n丙 7\n");
  put("hmm.json", "{\"emit\": {\"S\": {\"甲\": -1, \"乙\": -1}}}");
  EXPECT_EQ(Segmenter(folder_).cut(U"甲乙"), (Words{U"甲乙"}));
}

TEST_F(SegmenterFiles, BadOnesAreNamed) {
  auto message = [&] {
    try {
      Segmenter unused(folder_);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("no error");
  };
  EXPECT_NE(message().find("LONGSPAN_JIEBA"), std::string::npos);
  put("dict.txt", "好 5 a\n坏\n");
  put("hmm.json", "{\"emit\": {\"B\": {\"好\": -1}}}");
  EXPECT_NE(message().find("dict.txt:2:"), std::string::npos);
  put("dict.txt", "好 5 a\n");
  EXPECT_EQ(message(), "no error");
  put("hmm.json", "{\"emit\": {\"B\": {\"好\": \"x\"}}}");
  EXPECT_NE(message().find("hmm.json"), std::string::npos);
  fs::remove(folder_ / "hmm.json");
  put("hmm_model.utf8", "1 2 3\n");
  EXPECT_NE(message().find("hmm_model.utf8:1:"), std::string::npos);
}

}  // namespace
}  // namespace longspan
