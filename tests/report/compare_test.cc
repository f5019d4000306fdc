// compare: the list of methods, what a method becomes at a length, cases that are the same as
// Sequence::score, and results that survive interruption.
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "cli/program.h"
#include "eval/diff.h"
#include "report/compare_report.h"

namespace longspan {
namespace {

using Strings = std::vector<std::string>;

TEST(CompareMethods, SeparatorsAndSettings) {
  EXPECT_EQ(split_methods("none,linear,ntk"), (Strings{"none", "linear", "ntk"}));
  EXPECT_EQ(split_methods("none; yarn:factor=4,beta_fast=32;ntk"),
            (Strings{"none", "yarn:factor=4,beta_fast=32", "ntk"}));
  EXPECT_EQ(split_methods("yarn:factor=4, beta_fast=32, linear:factor=2 ntk"),
            (Strings{"yarn:factor=4,beta_fast=32", "linear:factor=2", "ntk"}));
  EXPECT_EQ(split_methods(" ,; "), Strings{});
  EXPECT_THROW(split_methods("ntk,linear,ntk"), Error);
}

PositionConfig trained_for(int64_t tokens) {
  PositionConfig model;
  model.trained_context = tokens;
  return model;
}

TEST(CompareMethods, AMissingFactorIsWhatTheLengthNeeds) {
  PositionConfig model = trained_for(2048);
  EXPECT_EQ(compared_method("linear", model, 8192).spec, "linear:factor=4");
  EXPECT_EQ(compared_method("yarn:beta_fast=16", model, 3072).spec, "yarn:beta_fast=16,factor=1.5");
  EXPECT_EQ(compared_method("linear", model, 1024).spec, "linear:factor=1");
  EXPECT_EQ(compared_method("linear:original=1024", model, 8192).spec, "linear:original=1024,factor=8");
  EXPECT_EQ(compared_method("dynamic_ntk", model, 8192).spec, "dynamic_ntk:factor=2");
  EXPECT_EQ(compared_method("linear:factor=3", model, 8192).spec, "linear:factor=3");
  EXPECT_EQ(compared_method("ntk:factor=auto", model, 8192).position.values.at("factor"), 4);
  EXPECT_EQ(compared_method("ntk:factor=2*auto,base=500000", model, 8192).spec, "ntk:factor=8,base=500000");
  EXPECT_EQ(compared_method("none", model, 8192).position.method, "rope");
}

TEST(CompareMethods, FaultsAreNamed) {
  PositionConfig model = trained_for(2048), unknown = trained_for(0);
  EXPECT_THROW(compared_method("nonsense", model, 8192), Error);
  EXPECT_THROW(compared_method("ntk:factor=twice*auto", model, 8192), Error);
  EXPECT_THROW(compared_method("ntk:factor=2auto", model, 8192), Error);
  EXPECT_THROW(compared_method("linear", unknown, 8192), Error);
  EXPECT_EQ(compared_method("linear:factor=2", unknown, 8192).spec, "linear:factor=2");
}

/// The tiny model of the program's tests, loaded, with settings that take a moment.
class Compare : public ProgramTest {
 protected:
  void SetUp() override {
    ProgramTest::SetUp();
    model_ = tiny_model(32);
    EngineOptions options;
    options.cache_types = {DType::F32, DType::F32};
    options.compute = Compute::F32;
    engine_ = std::make_unique<Engine>(model_, options);
    while (text_.size() < 1000)
      text_ += "the quick brown fox jumps over the lazy dog. " + std::to_string(text_.size());
    settings_.methods = {"none", "linear", "yarn"};
    settings_.lengths = {48, 96};
    settings_.tail = 16;
    settings_.windows = 2;
    settings_.passkeys = 0;
  }
  ComparePlan plan() { return plan_compare(*engine_, model_, text_, settings_, {}); }
  /// The windows of a row, in order.
  static std::vector<std::vector<int32_t>> windows(const ComparePlan& p, size_t row) {
    std::vector<std::vector<int32_t>> ids;
    for (const Case& c : p.cases_of(p.rows[row]).cases)
      if (c.kind == CaseKind::Loss) ids.push_back(c.text().ids);
    return ids;
  }
  static const CaseResult& result(const ComparePlan& p, const CompareResults& results, size_t row, size_t k) {
    const CaseResult* found = results.at(p.rows[row].folder).find(p.cases_of(p.rows[row]).cases[k].id);
    EXPECT_TRUE(found);
    return *found;
  }

  std::string model_, text_;
  std::unique_ptr<Engine> engine_;
  CompareSettings settings_;
};

double tail_nll(const Engine& engine, const CompareRow& row, const std::vector<int32_t>& ids, size_t tail) {
  std::vector<float> logprobs;
  Sequence(engine, row.length, row.stretched.position).score(ids, logprobs);
  EXPECT_EQ(logprobs.size(), ids.size() - 1);
  double sum = 0;
  for (size_t i = logprobs.size() - tail; i < logprobs.size(); ++i) sum -= logprobs[i];
  return sum / static_cast<double>(tail);
}

TEST_F(Compare, LossIsThatOfScoreOnTheSameWindow) {
  ComparePlan p = plan();
  ASSERT_EQ(p.rows.size(), 6u);
  CompareResults results = open_results(p, "");
  ASSERT_TRUE(run_compare(*engine_, p, results));
  std::vector<ComparedRow> rows = compare_summary(p, results).rows;
  ASSERT_EQ(rows.size(), 6u);
  for (size_t r = 0; r < 6; ++r) {
    auto ids = windows(p, r);
    ASSERT_EQ(ids.size(), 2u);
    double sum = 0;
    for (size_t k = 0; k < 2; ++k) {
      double nll = tail_nll(*engine_, p.rows[r], ids[k], 16);
      const CaseResult& window = result(p, results, r, k);
      EXPECT_EQ(window.tokens, 16);
      EXPECT_NEAR(window.nll / 16, nll, 1e-5);
      sum += nll;
    }
    EXPECT_NEAR(rows[r].nll, sum / 2, 1e-5);
  }
  EXPECT_NE(rows[1].nll, rows[3].nll);
}

TEST_F(Compare, EveryLengthEndsAtTheSamePlace) {
  ComparePlan p = plan();
  auto tail_of = [](const std::vector<int32_t>& ids) {
    return std::vector<int32_t>(ids.end() - 48, ids.end());
  };
  auto shorter = windows(p, 0), longer = windows(p, 1);
  EXPECT_EQ(shorter[0].size(), 48u);
  EXPECT_EQ(longer[0].size(), 96u);
  EXPECT_EQ(tail_of(shorter[0]), tail_of(longer[0]));
  EXPECT_EQ(tail_of(shorter[1]), tail_of(longer[1]));
  EXPECT_NE(tail_of(shorter[0]), tail_of(shorter[1]));
  std::vector<int32_t> ids = engine_->tokenizer().encode(text_);
  EXPECT_EQ(longer[0], std::vector<int32_t>(ids.begin(), ids.begin() + 96));  // the first place there is
  EXPECT_EQ(tail_of(shorter[1]), std::vector<int32_t>(ids.end() - 48, ids.end()));
}

TEST_F(Compare, LossByPositionCoversTheLongestWindow) {
  settings_.windows = 1;
  ComparePlan p = plan();
  CompareResults results = open_results(p, "");
  ASSERT_TRUE(run_compare(*engine_, p, results));
  Comparison comparison = compare_summary(p, results);
  std::vector<float> logprobs;
  Sequence(*engine_, 96, p.rows[1].stretched.position).score(windows(p, 1)[0], logprobs);
  double sum = 0, of_positions = 0;
  for (float l : logprobs) sum -= l;
  int64_t next = 1;
  for (const PositionLoss& loss : comparison.rows[1].by_position) {
    EXPECT_EQ(loss.first, next);
    next = loss.last + 1;
    of_positions += loss.nll * static_cast<double>(next - loss.first);
  }
  EXPECT_EQ(next, 96);
  EXPECT_NEAR(of_positions, sum, 1e-3);
  EXPECT_TRUE(comparison.rows[0].by_position.empty());
}

TEST_F(Compare, WhatIsDoneIsNotDoneAgainAndTheResultIsTheSame) {
  ComparePlan p = plan();
  auto summary = [&] {
    CompareResults results = open_results(p, dir_ / "runs");
    return dump_json(to_json(compare_summary(p, results)));
  };
  auto known = [&] { return count_cases(p, open_results(p, dir_ / "runs")).known; };
  {
    CompareResults results = open_results(p, dir_ / "runs");
    auto stop = [&](int64_t, int64_t) { return count_cases(p, results).known < 3; };
    EXPECT_FALSE(run_compare(*engine_, p, results, stop));
    EXPECT_FALSE(compare_summary(p, results).complete);
  }
  EXPECT_EQ(known(), 3);
  {
    CompareResults results = open_results(p, dir_ / "runs");
    EXPECT_TRUE(run_compare(*engine_, p, results));
  }
  EXPECT_EQ(known(), 12);
  const std::string whole = summary();
  fs::path last = dir_ / "runs" / p.rows.back().folder / "results.jsonl";
  const std::string lines = read_file(last);
  std::ofstream(last, std::ios::binary) << lines.substr(0, lines.size() - 30);  // a crash within a line
  EXPECT_EQ(known(), 11);
  {
    CompareResults results = open_results(p, dir_ / "runs");
    EXPECT_TRUE(run_compare(*engine_, p, results));
    auto never = [](int64_t, int64_t) { return false; };
    EXPECT_TRUE(run_compare(*engine_, p, results, never));  // nothing is left
  }
  Json before = parse_json(whole, "before"), after = parse_json(summary(), "after");
  for (size_t r = 0; r < before["rows"].size(); ++r) {
    EXPECT_EQ(after["rows"][r]["nll"], before["rows"][r]["nll"]);
    if (r + 1 < before["rows"].size()) {
      EXPECT_EQ(after["rows"][r], before["rows"][r]);
    }
  }
  EXPECT_EQ(summary(), summary());
}

TEST_F(Compare, ARowIsARunOfEval) {
  settings_.methods = {"none", "linear"};
  ComparePlan p = plan();
  {
    CompareResults results = open_results(p, dir_ / "runs");
    ASSERT_TRUE(run_compare(*engine_, p, results));
  }
  RunResults none = read_run(dir_ / "runs" / p.rows[1].folder),
             linear = read_run(dir_ / "runs" / p.rows[3].folder);
  EXPECT_EQ(linear.settings.position, describe(p.rows[3].stretched.position));
  RunDifference diff = compare_runs(none, linear);
  EXPECT_EQ(diff.pairs, 2u);
  Comparison comparison = compare_summary(p, open_results(p, dir_ / "runs"));
  EXPECT_NEAR(diff.all.change.mean, comparison.rows[3].nll - comparison.rows[1].nll, 1e-12);
}

TEST_F(Compare, OtherSettingsAreNeverMixed) {
  {
    CompareResults results = open_results(plan(), dir_ / "runs");
    ASSERT_TRUE(run_compare(*engine_, plan(), results));
  }
  auto known = [&] {
    ComparePlan p = plan();
    return count_cases(p, open_results(p, dir_ / "runs")).known;
  };
  EXPECT_EQ(known(), 12);
  settings_.tail = 17;
  EXPECT_EQ(known(), 0);
  settings_.tail = 16;
  settings_.methods.push_back("ntk:factor=4");
  EXPECT_EQ(known(), 12);
  settings_.methods.back() = "linear:factor=3";  // what "linear" became at 96 tokens
  EXPECT_EQ(known(), 14);
  text_.insert(0, "a");
  EXPECT_EQ(known(), 0);
}

TEST_F(Compare, PassKeysAreHiddenInTheText) {
  settings_.lengths = {300, 400};
  settings_.methods = {"none"};
  settings_.passkeys = 3;
  settings_.windows = 1;
  ComparePlan p = plan();
  std::set<double> depths;
  std::set<std::string> numbers;
  for (const Case& c : p.cases_of(p.rows[1]).cases) {
    if (c.kind != CaseKind::Answer) continue;
    CaseText text = c.text();
    ASSERT_EQ(text.references.size(), 1u);
    const std::string said = " The pass key is " + text.references[0] + ". Remember it.";
    size_t at = text.user.find(said);
    ASSERT_NE(at, text.user.npos) << text.user;
    EXPECT_EQ(text_.find(text.references[0]), text_.npos);
    std::string hidden = text.user;
    hidden.erase(at, said.size());
    size_t begin = hidden.find(text_.substr(0, 40));
    ASSERT_NE(begin, hidden.npos);
    // What surrounds the key is the beginning of the text.
    size_t end = hidden.find("\n\nWhat is the pass key?");
    ASSERT_NE(end, hidden.npos);
    EXPECT_EQ(hidden.substr(begin, end - begin), text_.substr(0, end - begin));
    Prompt prompt = case_prompt(engine_->prompts(), p.cases_of(p.rows[1]), c, text);
    EXPECT_LE(std::ssize(prompt.ids), 400 - 24);
    EXPECT_GE(std::ssize(prompt.ids), 400 - 24 - 50);  // a sentence less
    depths.insert(c.cell.at("depth").number());
    numbers.insert(text.references[0]);
  }
  EXPECT_EQ(depths, (std::set<double>{100.0 / 6, 50, 500.0 / 6}));
  EXPECT_EQ(numbers.size(), 1u);
  settings_.seed = 1;
  ComparePlan other = plan();
  EXPECT_FALSE(numbers.contains(other.cases_of(other.rows[1]).cases.back().text().references[0]));
}

TEST_F(Compare, WhatCannotBeDoneIsSaidBeforeAnythingIsDone) {
  auto says = [&](const std::string& part) {
    try {
      plan();
      ADD_FAILURE() << "planned; expected: " << part;
    } catch (const Error& e) {
      EXPECT_NE(std::string(e.what()).find(part), std::string::npos) << e.what();
    }
  };
  settings_.lengths = {16, 96};
  says("last 16");
  settings_.lengths = {48, 100000};
  says("100,000");
  settings_.lengths = {48, static_cast<int64_t>(engine_->tokenizer().encode(text_).size()) - 5};
  says("do not overlap");
  settings_.lengths = {48};
  settings_.methods = {"none", "nonsense"};
  says("nonsense");
  settings_.methods = {"none"};
  settings_.passkeys = 4;
  says("pass key");
}

TEST(ResultStore, ForeignLinesAreNamed) {
  fs::path file = fs::path(testing::TempDir()) / ("results-" + std::to_string(::getpid()) + ".jsonl");
  CaseResult loss;
  loss.id = "a/1";
  loss.task = "a";
  loss.kind = CaseKind::Loss;
  loss.nll = 2, loss.tokens = 1;
  std::ofstream(file) << result_line(loss) << "[1]\n";
  try {
    ResultStore store(file);
    FAIL() << "read";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find(":2: "), std::string::npos) << e.what();
  }
  std::ofstream(file) << result_line(loss);
  ResultStore store(file);
  ASSERT_TRUE(store.find("a/1"));
  EXPECT_EQ(store.find("a/1")->nll, 2);
  EXPECT_FALSE(store.find("a/2"));
  EXPECT_THROW(ResultStore second(file), Error);  // one writer at a time
  fs::remove(file);
}

}  // namespace
}  // namespace longspan
