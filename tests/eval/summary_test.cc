// From lines to figures: what is read, what is refused, and the numbers of made runs.
#include "eval/summary.h"

#include <cmath>
#include <numbers>

#include "base/error.h"
#include "eval/made_run.h"

namespace longspan {
namespace {

namespace fs = std::filesystem;

class Summaries : public RunFolders {
 protected:
  Summary made(const Json& settings, const Lines& lines) {
    fs::path run = folder("run");
    write_settings(run, settings);
    write_lines(run / "results.jsonl", lines);
    return summarise(read_run(run));
  }
  /// As summary.json holds it.
  Json of(const Json& settings, const Lines& lines) { return to_json(made(settings, lines)); }
};

using ReadRun = Summaries;

const Json* row_of(const Json& rows, const std::string& key, const Json& value) {
  for (const Json& row : rows)
    if (row[key] == value) return &row;
  return nullptr;
}

TEST_F(ReadRun, ShardsDuplicatesAndAnUnfinishedLine) {
  fs::path run = folder("run");
  write_settings(run, settings_of("needle", {task_row("needle", 30, {"presence"})}));
  Lines lines = needle_lines(), second = lines;
  for (auto& [id, result] : second) result["prediction"] = "of the second file";
  write_lines(run / "results.1-of-2.jsonl", Lines(lines.begin(), lines.begin() + 20));
  write_lines(run / "results.2-of-2.jsonl", Lines(second.begin() + 10, second.end()));
  std::ofstream(run / "results.1-of-2.jsonl", std::ios::app) << line_of(lines[25]).substr(0, 90);
  std::ofstream(run / "other.jsonl") << "not of the run\n";
  RunResults results = read_run(run);
  ASSERT_EQ(results.cases.size(), 30u);
  int first_file = 0;
  for (size_t i = 0; i < results.cases.size(); ++i) {
    if (i > 0) {
      EXPECT_LT(results.cases[i - 1].id, results.cases[i].id);
    }
    first_file += results.cases[i].prediction != "of the second file";
  }
  EXPECT_EQ(first_file, 20);
}

TEST_F(ReadRun, BadLinesAreNamed) {
  Json good = answer("needle", {{"length", 8}}, "presence", 1, 1);
  auto with = [&](const char* key, Json value) {
    Json result = good;
    result[key] = std::move(value);
    return dump_json({{"case", "x"}, {"result", result}});
  };
  Json bare_loss = {
      {"task", "needle"}, {"kind", "loss"}, {"nll", 1.5}, {"tokens", 0}, {"scores", Json::object()}};
  std::vector<std::pair<std::string, std::string>> bad = {
      {"{\"case\": \"x\"", "not valid JSON"},
      {"[1]", "an object was expected"},
      {"{\"result\": {}}", "\"case\" should be a text"},
      {"{\"case\": \"x\"}", "\"result\" should be an object"},
      {with("task", "other"), "has no task \"other\""},
      {with("kind", "guess"), "answer, choice or loss"},
      {with("scores", Json{{"presence", 1}}), "\"presence\" should hold the number"},
      {with("scores", Json{{"presence", {{"compat", nullptr}, {"clean", 1}}}}), "should hold the number"},
      {with("prediction", 7), "\"prediction\" should be a text"},
      {with("references", Json{1}), "\"references\" should hold texts"},
      {with("cell", Json{{"length", Json::array()}}), "neither number nor text"},
      {with("cut_tokens", "many"), "\"cut_tokens\" should be a number"},
      {dump_json({{"case", "x"}, {"result", bare_loss}}), "\"tokens\" should be positive"},
  };
  for (const auto& [line, message] : bad) {
    fs::path run = folder("run");
    write_settings(run, settings_of("needle", {task_row("needle", 30, {"presence"})}));
    std::ofstream(run / "results.jsonl") << line_of({"first", good}) << line << "\n"
                                         << line_of({"last", good});
    try {
      read_run(run);
      ADD_FAILURE() << "accepted: " << line;
    } catch (const Error& e) {
      std::string what = e.what();
      EXPECT_NE(what.find("results.jsonl:2: "), what.npos) << what;
      EXPECT_NE(what.find(message), what.npos) << what;
    }
  }
}

TEST_F(ReadRun, BadSettingsAreNamed) {
  fs::path run = folder("run");
  EXPECT_THROW(read_run(run), Error);  // none at all
  Json good = settings_of("needle", {task_row("needle", 30, {"presence"})});
  auto refused = [&](const char* key, Json value) {
    Json settings = good;
    settings[key] = std::move(value);
    write_settings(run, settings);
    EXPECT_THROW(read_run(run), Error) << key;
  };
  refused("scoring", "kind");
  refused("suite", 1);
  refused("tasks", "needle");
  refused("tasks", {task_row("a", 1, {}), task_row("a", 1, {})});
  refused("tasks", {task_row("a", -1, {})});
  refused("missing", {3});
  write_settings(run, good);
  EXPECT_EQ(read_run(run).cases.size(), 0u);
}

TEST_F(Summaries, OfANeedleGrid) {
  Summary summary = made(settings_of("needle", {task_row("needle", 30, {"presence"})}), needle_lines());
  Json s = to_json(summary);
  EXPECT_DOUBLE_EQ(s["score"], 80);
  EXPECT_NEAR(s["low"], 62.69, 0.01);  // Wilson, 24 of 30
  EXPECT_NEAR(s["high"], 90.49, 0.01);
  EXPECT_EQ(s["unit"], "%");
  EXPECT_EQ(s["complete"], true);
  const Json& lengths = s["by"]["length"];
  ASSERT_EQ(lengths.size(), 3u);
  EXPECT_EQ(lengths[0]["value"], 2048);
  EXPECT_DOUBLE_EQ(lengths[1]["score"], 100);
  EXPECT_DOUBLE_EQ(lengths[2]["score"], 40);
  EXPECT_EQ(lengths[2]["n"], 10);
  EXPECT_NEAR(row_of(s["by"]["depth"], "value", 50)->at("score"), 200 / 3.0, 1e-9);
  EXPECT_DOUBLE_EQ(row_of(s["by"]["needle"], "value", "sandwich")->at("score"), 80);
  ASSERT_EQ(s["grids"].size(), 3u);
  const Json& grid = s["grids"][0];
  EXPECT_EQ(grid["lengths"], (Json{2048, 4096, 8192}));
  EXPECT_EQ(grid["depths"], (Json{0, 25, 50, 75, 100}));
  EXPECT_EQ(grid["cells"][2][2], (Json{{"score", 0.0}, {"n", 2}}));
  EXPECT_EQ(grid["cells"][4][2]["score"], 100.0);
  EXPECT_EQ(s["grids"][1]["of"], (Json{{"needle", "<b>hat</b>"}}));
  EXPECT_EQ(s["cost"]["tokens"], 30000);
  EXPECT_DOUBLE_EQ(s["cost"]["reuse"], 0.6);
  std::string table = summary_table(summary);
  EXPECT_NE(table.find("80.0  62.7 to 90.5"), table.npos) << table;
}

TEST_F(Summaries, MissingCellsAndUnfinishedRuns) {
  Lines lines = needle_lines();
  lines.erase(lines.begin() + 28, lines.end());  // 8192 tokens, depth 100
  Summary summary =
      made(settings_of("needle", {task_row("needle", 30, {"presence"}), task_row("later", 5, {"presence"})}),
           lines);
  Json s = to_json(summary);
  EXPECT_TRUE(s["grids"][0]["cells"][4][2].is_null());
  EXPECT_EQ(s["complete"], false);
  EXPECT_EQ(s["planned"], 35);
  EXPECT_TRUE(s["tasks"][1]["score"].is_null());
  EXPECT_NE(summary_table(summary).find("incomplete: 28 of 35 cases"), std::string::npos);
  EXPECT_NE(summary_table(summary).find("28 of 30"), std::string::npos);
}

TEST_F(Summaries, CategoriesAreAveragedFirst) {
  Lines lines;
  auto add = [&](const std::string& task, std::vector<double> scores) {
    for (size_t i = 0; i < scores.size(); ++i)
      lines.emplace_back(fmt::format("{}/{}", task, i),
                         answer(task, Json::object(), "qa_f1", scores[i], scores[i] / 2));
  };
  add("a", {1, 1, 1, 1});
  add("b", {0, 0});
  add("c", {0.5, 0.7});
  Json settings = settings_of("mine", {task_row("a", 4, {"qa_f1"}, "x"), task_row("b", 2, {"qa_f1"}, "x"),
                                       task_row("c", 2, {"qa_f1"})});
  Json s = of(settings, lines);
  EXPECT_DOUBLE_EQ(s["score"], 100 * (0.5 + 0.6) / 2);
  EXPECT_DOUBLE_EQ(s["compat"], s["score"]);
  EXPECT_DOUBLE_EQ(s["clean"], s["score"].get<double>() / 2);
  // Few cases, of which a and b do not vary: Wilson's interval of 0.55 in 1 / (1/64 + 1/32 + 1/8) trials.
  EXPECT_NEAR(s["low"], 21.575705, 1e-4);
  EXPECT_NEAR(s["high"], 84.447482, 1e-4);
  ASSERT_EQ(s["categories"].size(), 1u);
  EXPECT_DOUBLE_EQ(s["categories"][0]["score"], 50);
  settings["scoring"] = "clean";
  Json clean = of(settings, lines);
  EXPECT_DOUBLE_EQ(clean["score"], s["clean"]);
  EXPECT_DOUBLE_EQ(clean["compat"], s["compat"]);
}

TEST_F(Summaries, EqualTasksOfRightAndWrongHaveOneWilsonInterval) {
  Lines lines;
  for (const char* task : {"a", "b"})
    for (int i = 0; i < 5; ++i)
      lines.emplace_back(fmt::format("{}/{}", task, i),
                         answer(task, Json::object(), "presence", i != 0, i != 0));
  Json s = of(settings_of("mine", {task_row("a", 5, {"presence"}), task_row("b", 5, {"presence"})}), lines);
  EXPECT_NEAR(s["low"], 49.01625, 1e-4);  // of 8 of 10
  EXPECT_NEAR(s["high"], 94.33178, 1e-4);
}

/// Two tasks of losses with two windows each, pooled over their tokens. Computed by hand: sums 2, 4, 3, 3 of
/// 2 tokens each, mean 1.5; pulls -0.5, 0.5, 0, 0; variance 0.5 / 3; standard error sqrt(0.5 / 3 / 4); t of 3
/// degrees 3.1824.
TEST_F(Summaries, FewLossesGetStudentsInterval) {
  Lines lines;
  for (auto [id, nll] : {std::pair("a/0", 2.0), {"a/1", 4.0}, {"b/0", 3.0}, {"b/1", 3.0}})
    lines.emplace_back(id, loss(std::string(id, 1), Json::object(), nll, 2, 0));
  Json s = of(settings_of("mine", {task_row("a", 2, {"loss"}), task_row("b", 2, {"loss"})}), lines);
  EXPECT_NEAR(s["score"], 1.5, 1e-12);
  EXPECT_NEAR(s["low"], 1.5 - 3.1824 * std::sqrt(0.5 / 3 / 4), 1e-4);
  EXPECT_NEAR(s["high"], 1.5 + 3.1824 * std::sqrt(0.5 / 3 / 4), 1e-4);
}

TEST_F(Summaries, MetricsAreCombined) {
  for (auto [combine, score] : {std::pair("geometric_mean", 50.0), {"mean", 62.5}, {"", 25.0}}) {
    Lines lines;
    for (int i = 0; i < 4; ++i) {
      Json result = answer("a", Json::object(), "rouge_1", i == 0, 0);
      result["scores"]["rouge_2"] = score_of_metric(1, 1);
      lines.emplace_back(fmt::format("a/{}", i), result);
    }
    // Of each case alone the geometric mean would be 1 or 0, their mean 25.
    Json s = of(settings_of("mine", {task_row("a", 4, {"rouge_1", "rouge_2"}, "", combine)}), lines);
    EXPECT_DOUBLE_EQ(s["score"], score) << combine;
    EXPECT_EQ(s["tasks"][0]["metrics"], (Json{{"rouge_1", 25.0}, {"rouge_2", 100.0}})) << combine;
  }
}

TEST_F(Summaries, LossesArePooledOverTokens) {
  Lines lines = {{"a/0", loss("a", {{"length", 64}}, 30, 10, 50)},
                 {"b/0", loss("b", {{"length", 64}}, 60, 40, 150)}};
  Json s = of(settings_of("perplexity", {task_row("a", 1, {"loss"}), task_row("b", 1, {"loss"})}), lines);
  EXPECT_EQ(s["unit"], "nats");
  EXPECT_DOUBLE_EQ(s["score"], 90.0 / 50);
  EXPECT_DOUBLE_EQ(s["perplexity"], std::exp(1.8));
  EXPECT_DOUBLE_EQ(s["bits_per_byte"], 90.0 / 200 / std::numbers::ln2);
  EXPECT_DOUBLE_EQ(s["tasks"][0]["score"], 3);
  ASSERT_EQ(s["curve"].size(), 2u);
  EXPECT_EQ(s["curve"][0]["points"][0], (Json{1.0, 5.0, 30 * 0.6 / 5, 5.0}));
}

TEST_F(Summaries, WindowsMayWeighTheSame) {
  Lines lines = {{"a/0", loss("a", Json::object(), 30, 10, 50)},
                 {"a/1", loss("a", Json::object(), 40, 40, 150)}};
  Json s = of(settings_of("perplexity", {task_row("a", 2, {"loss"}, "", "window_mean")}), lines);
  EXPECT_DOUBLE_EQ(s["score"], (3.0 + 1.0) / 2);
  EXPECT_DOUBLE_EQ(s["perplexity"], std::exp(2.0));
}

TEST_F(Summaries, LossesStandBesideChoices) {
  Json choice = {
      {"task", "trivia"},
      {"kind", "choice"},
      {"cell", Json::object()},
      {"logprobs", {-1, -2}},
      {"bytes", {3, 4}},
      {"correct", 0},
      {"prompt", "?"},
      {"references", {"yes", "no"}},
      {"scores", {{"accuracy", score_of_metric(1, 1)}, {"accuracy_per_byte", score_of_metric(0, 0)}}}};
  Lines lines = {{"loss/0", loss("loss", Json::object(), 20, 10, 40)}, {"trivia/0", choice}};
  Json s = of(settings_of("short", {task_row("loss", 1, {"loss"}),
                                    task_row("trivia", 1, {"accuracy", "accuracy_per_byte"})}),
              lines);
  EXPECT_EQ(s["unit"], "%");
  EXPECT_DOUBLE_EQ(s["score"], 100);
  EXPECT_DOUBLE_EQ(s["loss"]["score"], 2);
  EXPECT_EQ(s["tasks"][0]["unit"], "nats");
}

}  // namespace
}  // namespace longspan
