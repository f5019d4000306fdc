// Two runs side by side: pairs, verdicts, settings, and the page.
#include "base/error.h"
#include "base/file.h"
#include "eval/made_run.h"
#include "report/report.h"

namespace longspan {
namespace {

namespace fs = std::filesystem;

class Diff : public RunFolders {
 protected:
  RunResults run(const std::string& name, const Json& settings, const Lines& lines) {
    fs::path path = folder(name);
    write_settings(path, settings);
    write_lines(path / "results.jsonl", lines);
    return read_run(path);
  }
};

Lines answers(int n, double score, const std::string& task = "a") {
  Lines lines;
  for (int i = 0; i < n; ++i)
    lines.emplace_back(fmt::format("{}/{}", task, i), answer(task, {{"length", 1024 << i % 2}}, "qa_f1",
                                                             std::min(1.0, score + i % 5 * 0.01), 0));
  return lines;
}

Json one_task(int n) { return settings_of("mine", {task_row("a", n, {"qa_f1"})}); }

TEST_F(Diff, PairsByCaseAndSaysWhetherItIsMoreThanNoise) {
  Json settings = one_task(30), other = one_task(32);
  other["position"] = "yarn:factor=4";
  other["tasks"][0]["row"]["new_tokens"] = 64;
  RunResults a = run("a", settings, answers(30, 0.2)), b = run("b", other, answers(32, 0.5));
  RunDifference found = compare_runs(a, b);
  Json diff = to_json(found);
  EXPECT_EQ(diff["pairs"], 30);
  EXPECT_EQ(diff["only_a"], 0);
  EXPECT_EQ(diff["only_b"], 2);
  EXPECT_NEAR(diff["change"], 30, 1e-9);
  EXPECT_LT(diff["p"], 0.001);
  EXPECT_EQ(diff["verdict"], "better");
  EXPECT_EQ(compare_runs(b, a).all.verdict, Verdict::Worse);
  EXPECT_EQ(compare_runs(a, a).all.verdict, Verdict::Noise);
  ASSERT_EQ(diff["by"]["length"].size(), 2u);
  EXPECT_NEAR(diff["by"]["length"][1]["change"], 30, 1e-9);
  EXPECT_NEAR(diff["tasks"][0]["a"], 22, 1e-9);
  std::string changes = dump_json(diff["settings"]);
  EXPECT_NE(changes.find("{\"key\":\"position\",\"a\":\"\",\"b\":\"yarn:factor=4\"}"), changes.npos)
      << changes;
  EXPECT_NE(changes.find("{\"key\":\"tasks.a.row.new_tokens\",\"a\":null,\"b\":64}"), changes.npos)
      << changes;
  std::string table = diff_table(found);
  EXPECT_NE(table.find("+30.0"), table.npos) << table;
  EXPECT_NE(table.find("better"), table.npos);
}

TEST_F(Diff, OneLuckyCaseIsNoise) {
  Lines before = answers(20, 0.5), after = before;
  after[3].second["scores"]["qa_f1"]["compat"] = 1;
  Json diff = to_json(compare_runs(run("a", one_task(20), before), run("b", one_task(20), after)));
  EXPECT_GT(diff["change"], 2);
  EXPECT_EQ(diff["p"], 1);
  EXPECT_EQ(diff["verdict"], "noise");
}

TEST_F(Diff, LessLossIsBetter) {
  Json settings = settings_of("perplexity", {task_row("a", 20, {"loss"})});
  auto losses = [](double nll, int tokens) {
    Lines lines;
    for (int i = 0; i < 20; ++i)
      lines.emplace_back(fmt::format("a/{}", i), loss("a", Json::object(), nll + i, tokens, 4000));
    return lines;
  };
  RunResults a = run("a", settings, losses(3000, 1000)), b = run("b", settings, losses(2900, 1000));
  Json diff = to_json(compare_runs(a, b));
  EXPECT_NEAR(diff["change"], -0.1, 1e-9);
  EXPECT_EQ(diff["unit"], "nats");
  EXPECT_EQ(diff["verdict"], "better");
  // Fewer tokens of more nats each, but fewer nats for the same bytes.
  Json other = to_json(compare_runs(a, run("c", settings, losses(2900, 500))));
  EXPECT_EQ(other["unit"], "bits a byte");
  EXPECT_EQ(other["verdict"], "better");
  EXPECT_LT(other["change"], 0);
}

TEST_F(Diff, RunsThatDoNotCompareAreRefused) {
  RunResults a = run("a", one_task(3), answers(3, 0.2));
  Json settings = one_task(3);
  settings["suite"] = "another";
  EXPECT_THROW(compare_runs(a, run("b", settings, answers(3, 0.2))), Error);
  EXPECT_THROW(compare_runs(a, run("c", one_task(3), {})), Error);
}

TEST_F(Diff, ThePageShowsWhatChangedMost) {
  Lines before = answers(20, 0.5), after = before;
  for (size_t i : {4, 7}) {
    after[i].second["scores"]["qa_f1"]["compat"] = i == 4 ? 0.0 : 0.9;
    after[i].second["prediction"] = i == 4 ? "</pre><script>now wrong" : "now right";
  }
  RunResults a = run("a", one_task(20), before), b = run("b", one_task(20), after);
  fs::path file = folder("page") / "diff.html";
  write_diff_page(file, compare_runs(a, b), a, b);
  std::string page = read_file(file);
  EXPECT_TRUE(fs::exists(folder("page") / "diff.png"));
  size_t wrong = page.find("a/4: 54.0 % to 0.0 %"), right = page.find("a/7: 52.0 % to 90.0 %");
  EXPECT_NE(wrong, page.npos);
  EXPECT_NE(right, page.npos);
  EXPECT_LT(wrong, right);  // the greater change first
  EXPECT_NE(page.find("&lt;script&gt;now wrong"), page.npos);
  EXPECT_EQ(page.find("<script>"), page.npos);
}

}  // namespace
}  // namespace longspan
