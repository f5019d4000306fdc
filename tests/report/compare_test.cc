// compare: the list of methods, what a method becomes at a length, cases that are the same as
// Sequence::score, and results that survive interruption.
#include "report/compare_report.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "base/error.h"
#include "base/file.h"
#include "cli/program.h"

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
  EXPECT_EQ(stretch_method("linear", model, 8192).spec, "linear:factor=4");
  EXPECT_EQ(stretch_method("yarn:beta_fast=16", model, 3072).spec, "yarn:beta_fast=16,factor=1.5");
  EXPECT_EQ(stretch_method("linear", model, 1024).spec, "linear:factor=1");
  EXPECT_EQ(stretch_method("linear:original=1024", model, 8192).spec, "linear:original=1024,factor=8");
  EXPECT_EQ(stretch_method("dynamic_ntk", model, 8192).spec, "dynamic_ntk:factor=2");
  EXPECT_EQ(stretch_method("linear:factor=3", model, 8192).spec, "linear:factor=3");
  EXPECT_EQ(stretch_method("ntk:factor=auto", model, 8192).position.values.at("factor"), 4);
  EXPECT_EQ(stretch_method("ntk:factor=2*auto,base=500000", model, 8192).spec, "ntk:factor=8,base=500000");
  EXPECT_EQ(stretch_method("none", model, 8192).position.method, "rope");
}

TEST(CompareMethods, FaultsAreNamed) {
  PositionConfig model = trained_for(2048), unknown = trained_for(0);
  EXPECT_THROW(stretch_method("nonsense", model, 8192), Error);
  EXPECT_THROW(stretch_method("ntk:factor=twice*auto", model, 8192), Error);
  EXPECT_THROW(stretch_method("ntk:factor=2auto", model, 8192), Error);
  EXPECT_THROW(stretch_method("linear", unknown, 8192), Error);
  EXPECT_EQ(stretch_method("linear:factor=2", unknown, 8192).spec, "linear:factor=2");
}

/// The tiny model of the program's tests, loaded, with settings that take a moment.
class Compare : public ProgramTest {
 protected:
  void SetUp() override {
    ProgramTest::SetUp();
    model_ = tiny_model(32);
    EngineOptions options;
    options.cache_dtype = DType::F32;
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
  ComparePlan plan() { return plan_compare(*engine_, model_, text_, settings_); }
  fs::path results() { return dir_ / "results.jsonl"; }

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
  ASSERT_EQ(p.cases.size(), 12u);
  ResultStore store;
  ASSERT_TRUE(run_compare(*engine_, p, store));
  for (const CompareCase& c : p.cases)
    EXPECT_NEAR(store.find(c.key)->at("nll").get<double>(), tail_nll(*engine_, p.rows[c.row], c.ids, 16),
                1e-5);
  Json rows = compare_summary(p, store)["rows"];
  ASSERT_EQ(rows.size(), 6u);
  EXPECT_NEAR(rows[1]["nll"].get<double>(),
              (store.find(p.cases[2].key)->at("nll").get<double>() +
               store.find(p.cases[3].key)->at("nll").get<double>()) /
                  2,
              1e-12);
  EXPECT_NE(rows[1]["nll"], rows[3]["nll"]);
}

TEST_F(Compare, EveryLengthEndsAtTheSamePlace) {
  ComparePlan p = plan();
  auto tail_of = [](const CompareCase& c) { return std::vector<int32_t>(c.ids.end() - 48, c.ids.end()); };
  EXPECT_EQ(p.cases[0].ids.size(), 48u);
  EXPECT_EQ(p.cases[2].ids.size(), 96u);
  EXPECT_EQ(tail_of(p.cases[0]), tail_of(p.cases[2]));
  EXPECT_EQ(tail_of(p.cases[1]), tail_of(p.cases[3]));
  EXPECT_NE(tail_of(p.cases[0]), tail_of(p.cases[1]));
  std::vector<int32_t> ids = engine_->tokenizer().encode(text_);
  EXPECT_EQ(tail_of(p.cases[1]), std::vector<int32_t>(ids.end() - 48, ids.end()));
}

TEST_F(Compare, LossByPositionCoversTheLongestWindow) {
  ComparePlan p = plan();
  ResultStore store;
  ASSERT_TRUE(run_compare(*engine_, p, store));
  const CompareCase& longest = p.cases[2];
  Json buckets = store.find(longest.key)->at("by_position");
  std::vector<float> logprobs;
  Sequence(*engine_, 96, p.rows[longest.row].stretched.position).score(longest.ids, logprobs);
  double sum = 0, of_buckets = 0;
  for (float l : logprobs) sum -= l;
  int next = 1;
  for (const Json& b : buckets) {
    EXPECT_EQ(b[0], next);
    next = b[1].get<int>() + 1;
    of_buckets += b[2].get<double>() * (next - b[0].get<int>());
  }
  EXPECT_EQ(next, 96);
  EXPECT_NEAR(of_buckets, sum, 1e-3);
  EXPECT_FALSE(store.find(p.cases[0].key)->contains("by_position"));
}

TEST_F(Compare, WhatIsDoneIsNotDoneAgainAndTheResultIsTheSame) {
  ComparePlan p = plan();
  std::string whole;
  {
    ResultStore store(results());
    int64_t calls = 0;
    // Stops inside the fourth case: three are kept.
    EXPECT_FALSE(run_compare(*engine_, p, store, [&](int64_t, int64_t) { return ++calls < 4; }));
  }
  auto lines = [&] {
    std::string text = read_file(results());
    return std::count(text.begin(), text.end(), '\n');
  };
  EXPECT_EQ(lines(), 3);
  {
    ResultStore store(results());
    EXPECT_FALSE(compare_summary(p, store)["complete"].get<bool>());
    EXPECT_TRUE(store.find(p.cases[2].key));
    EXPECT_FALSE(store.find(p.cases[3].key));
    EXPECT_TRUE(run_compare(*engine_, p, store));
    whole = compare_summary(p, store).dump();
  }
  EXPECT_EQ(lines(), 12);
  {  // a crash in the middle of a line
    std::string text = read_file(results());
    std::ofstream(results(), std::ios::binary) << text.substr(0, text.size() - 30);
    ResultStore store(results());
    EXPECT_EQ(lines(), 11);
    EXPECT_FALSE(store.find(p.cases[11].key));
    EXPECT_TRUE(run_compare(*engine_, p, store));
  }
  {
    ResultStore store(results());
    EXPECT_TRUE(run_compare(*engine_, p, store, [](int64_t, int64_t) { return false; }));  // nothing is left
    Json again = compare_summary(p, store);
    EXPECT_TRUE(again["complete"].get<bool>());
    Json before = parse_json(whole, "before");
    for (size_t r = 0; r + 1 < before["rows"].size(); ++r) EXPECT_EQ(again["rows"][r], before["rows"][r]);
    EXPECT_EQ(again["rows"].back()["nll"], before["rows"].back()["nll"]);
    whole = again.dump();
  }
  ResultStore store(results());
  EXPECT_EQ(compare_summary(p, store).dump(), whole);
}

TEST_F(Compare, OtherSettingsAreNeverMixed) {
  ResultStore store;
  ComparePlan first = plan();
  ASSERT_TRUE(run_compare(*engine_, first, store));
  auto known = [&](const ComparePlan& p) {
    return std::count_if(p.cases.begin(), p.cases.end(),
                         [&](const CompareCase& c) { return store.find(c.key); });
  };
  EXPECT_EQ(known(first), 12);
  settings_.tail = 17;
  EXPECT_EQ(known(plan()), 0);
  settings_.tail = 16;
  settings_.methods.push_back("ntk:factor=4");
  EXPECT_EQ(known(plan()), 12);
  text_[text_.size() - 3] = 'q';
  EXPECT_EQ(known(plan()), 6);  // of each row but those of ntk, the window that ends elsewhere
  text_.insert(0, "a");
  EXPECT_EQ(known(plan()), 0);
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
  std::ofstream(file) << "{\"case\":{\"a\":1},\"result\":{\"nll\":2}}\n[1]\n";
  try {
    ResultStore store(file);
    FAIL() << "read";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("line 2"), std::string::npos) << e.what();
  }
  std::ofstream(file) << "{\"case\":{\"a\":1},\"result\":{\"nll\":2}}\n";
  ResultStore store(file);
  EXPECT_EQ(*store.find({{"a", 1}}), Json({{"nll", 2}}));
  EXPECT_THROW(ResultStore second(file), Error);  // one writer at a time
  fs::remove(file);
}

}  // namespace
}  // namespace longspan
