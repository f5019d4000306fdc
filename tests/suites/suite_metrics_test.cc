// Metrics of the suites from files against scores that the suites' own programs gave
// (tools/make_suites_golden.py). LONGSPAN_SUITES_GOLDEN names a folder with all records, made with --all.
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <sstream>

#include "base/compressed.h"
#include "base/error.h"
#include "base/file.h"
#include "score/metrics.h"

namespace longspan {
namespace {

double one(const char* metric, const std::string& prediction, const std::string& reference,
           const Json& fields = Json::object(), Scoring scoring = Scoring::kCompat) {
  std::vector<std::string> references = {reference};
  return score(find_metric(metric), prediction, references, {fields, scoring, nullptr});
}

TEST(SuiteMetrics, EqualTheOriginalsOnRecordedPredictions) {
  const char* all = std::getenv("LONGSPAN_SUITES_GOLDEN");
  std::string name =
      (all && *all ? std::string(all) : std::string(LONGSPAN_GOLDEN) + "/suites") + "/scores.jsonl.xz";
  std::istringstream lines(unpack(read_file(name), name));
  std::map<std::string, int> seen, wrong;
  std::map<std::string, double> sums;
  for (std::string line; std::getline(lines, line);) {
    Json row = parse_json(line, name);
    std::string metric = row["metric"];
    Json fields = row.value("fields", Json::object());
    std::vector<std::string> references = row["references"];
    double got = score(find_metric(metric), row["prediction"].get<std::string>(), references,
                       {fields, Scoring::kCompat, nullptr});
    ++seen[metric];
    sums[metric] += got;
    if (std::abs(got - row["score"].get<double>()) > 1e-6 && ++wrong[metric] <= 3)
      ADD_FAILURE() << metric << " gives " << got << ": " << line.substr(0, 1500);
  }
  EXPECT_GE(seen.size(), 38u);
  for (const auto& [metric, count] : seen) {
    EXPECT_GE(count, 200) << metric;
    EXPECT_EQ(wrong[metric], 0) << "of " << count << " records of " << metric;
    RecordProperty(metric, fmt::format("{} records, mean {:.6f}", count, sums[metric] / count));
  }
}

TEST(SuiteMetrics, WhatTheCaseLacksIsNamed) {
  EXPECT_THROW(one("mrcr", "a", "b"), Error);
  EXPECT_THROW(one("infinitebench_choice", "a", "b"), Error);
  EXPECT_THROW(one("infinitebench_debug", "a", "b", {{"options", {"c", "d"}}}), Error);
  EXPECT_THROW(one("infinitebench_debug", "a", "b", {{"options", {1}}}), Error);
}

TEST(SuiteMetrics, TheLetterOfAnOptionIsAReferenceToo) {
  Json options = {{"options", {"Walking Georgie", "Taking him home"}}};
  EXPECT_EQ(one("infinitebench_choice", "B", "B", options), 1);
  EXPECT_EQ(one("infinitebench_choice", "The answer is: Taking him home", "B", options), 1);
  EXPECT_EQ(one("infinitebench_choice", "A. Walking Georgie", "Taking him home", options), 0);
}

TEST(SuiteMetrics, CleanLeavesTheQuirksOut) {
  auto clean = [](const char* metric, const std::string& prediction, const std::string& reference,
                  const Json& fields = Json::object()) {
    return one(metric, prediction, reference, fields, Scoring::kClean);
  };
  EXPECT_EQ(one("infinitebench_calc", "[3, -1, 4]", "3 -1 4"), 1.0 / 3);
  EXPECT_EQ(clean("infinitebench_calc", "[3, -1, 4]", "3 -1 4"), 1);
  EXPECT_EQ(one("best_subspan_em", "\nParis", "Paris"), 0);
  EXPECT_EQ(clean("best_subspan_em", "\nParis", "Paris"), 1);
  std::string frequent = "k";
  for (int i = 0; i < 150; ++i) frequent += "ab";
  Json start = {{"random_string_to_prepend", "k"}};
  EXPECT_EQ(one("mrcr", frequent, "kx" + frequent.substr(1), start), 0);
  EXPECT_NEAR(clean("mrcr", frequent, "kx" + frequent.substr(1), start), 600.0 / 601, 1e-12);
}

}  // namespace
}  // namespace longspan
