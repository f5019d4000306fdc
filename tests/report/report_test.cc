// Pages of runs: what they show, that texts from models stay texts, and that they do not depend on who wrote
// which line when.
#include "report/report.h"

#include <algorithm>
#include <random>

#include "base/error.h"
#include "base/file.h"
#include "eval/made_run.h"
#include "eval/wording.h"

namespace longspan {
namespace {

namespace fs = std::filesystem;

using Report = RunFolders;

size_t count_of(const std::string& text, const std::string& part) {
  size_t n = 0;
  for (size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++n;
  return n;
}

/// The JSON that the page carries under `id`.
Json data_of(const std::string& page, const std::string& id) {
  std::string begin = "<script type=\"application/json\" id=\"" + id + "\">";
  size_t at = page.find(begin) + begin.size();
  return parse_json(page.substr(at, page.find("</script>", at) - at), id);
}

std::string report_of(const fs::path& folder) {
  RunResults run = read_run(folder);
  write_report(run, summarise(run));
  return read_file(folder / "report.html");
}

TEST_F(Report, HoldsPicturesFiguresSettingsAndEveryCase) {
  fs::path run = folder("run");
  Json settings = settings_of("needle", {task_row("needle", 40, {"presence"})});
  settings["missing"] = {"the task trec has no file"};
  write_settings(run, settings);
  Lines lines = needle_lines();
  lines[0].second["cut_tokens"] = 12;
  lines[1].second["stop"] = "length";
  lines[2].second["prediction"] = " \n";
  write_lines(run / "results.jsonl", lines);
  std::string page = report_of(run);
  // Figures, names and what settings bring along; not how the page words them.
  for (const char* part : {"80.0 %", "62.7", "90.5", "30 of 40", "the task trec has no file", "presence",
                           "longspan eval", "&quot;maker&quot;"})
    EXPECT_NE(page.find(part), page.npos) << part;
  EXPECT_EQ(count_of(page, ": 1 of 30"), 3u);  // cut, stopped, empty
  for (const char* name : {"score-by-length", "score-by-depth", "score-by-task"})
    for (const char* ending : {".svg", ".png"})
      EXPECT_TRUE(fs::exists(run / (std::string(name) + ending))) << name;
  for (const char* name : {"needle-needle.svg", "needle-needle-needle-2.svg"})
    EXPECT_TRUE(fs::exists(run / name)) << name;
  EXPECT_EQ(page.find("http://"), page.find("http://www.w3.org"));  // of the SVG's name space
  Json cases = data_of(page, "cases");
  EXPECT_EQ(cases.size(), 30u);
  EXPECT_EQ(cases[0]["prompt"]["head"], "The best thing");
  EXPECT_EQ(data_of(page, "grids").size(), 3u);  // all, and one for each needle
}

TEST_F(Report, WithoutGnuplotThePageSaysSo) {
  fs::path run = folder("run");
  write_settings(run, settings_of("needle", {task_row("needle", 30, {"presence"})}));
  write_lines(run / "results.jsonl", needle_lines());
  std::string path = std::getenv("PATH");
  ::setenv("PATH", "/nowhere", 1);
  std::string page = report_of(run);
  ::setenv("PATH", path.c_str(), 1);
  EXPECT_NE(page.find("apt-get install gnuplot-nox"), page.npos);
  EXPECT_NE(page.find("80.0 %"), page.npos);
  EXPECT_NE(page.find("data-grid=\"2\""), page.npos);  // heat maps need no gnuplot
  EXPECT_TRUE(fs::exists(run / "needle-needle.svg"));
  EXPECT_FALSE(fs::exists(run / "score-by-length.svg"));
  for (const auto& file : fs::directory_iterator(run))
    EXPECT_NE(file.path().extension(), ".gnuplot") << file.path();
}

TEST_F(Report, HostileTextsStayTexts) {
  fs::path run = folder("run");
  std::string evil = "</script><script>alert(1)</script>\"'`<!-- \x01 \xE2\x80\xA8 @macro `id`\n";
  Json settings =
      settings_of("needle", {task_row(evil, 1, {"presence"}), task_row("$x; ''", 1, {"presence"})});
  for (const char* key : {"model", "command", "what", "jieba"}) settings[key] = evil;
  settings["endpoint"] = {{"url", evil}, {"model", evil}, {"chat", false}};
  settings["missing"] = {evil};
  settings["overrides"] = {evil};
  write_settings(run, settings);
  Lines lines;
  for (const std::string& task : {evil, std::string("$x; ''")}) {
    Json result = answer(task, {{"length", 1024}, {"depth", 0}, {"needle", evil}}, "presence", 1, 0);
    result["prediction"] = result["prompt"] = result["source"] = evil;
    result["references"] = {evil};
    lines.emplace_back(evil + task, result);
  }
  write_lines(run / "results.jsonl", lines);
  std::string page = report_of(run);
  EXPECT_EQ(page.find("<script>alert"), page.npos);
  EXPECT_EQ(count_of(page, "<script"), count_of(page, "</script>"));
  EXPECT_EQ(count_of(page, "<script"), 3u);
  EXPECT_EQ(data_of(page, "cases")[0]["prediction"], evil);
  RunResults results = read_run(run);
  write_diff_page(run / "diff.html", compare_runs(results, results), results, results);
  EXPECT_EQ(read_file(run / "diff.html").find("<script"), std::string::npos);
}

TEST_F(Report, DependsOnNeitherOrderNorShardsNorTime) {
  fs::path one = folder("x/run"), two = folder("y/run");
  Lines lines = needle_lines();
  for (const fs::path& run : {one, two})
    write_settings(run, settings_of("needle", {task_row("needle", 30, {"presence"})}));
  write_lines(one / "results.jsonl", lines);
  std::shuffle(lines.begin(), lines.end(), std::mt19937(1));
  for (auto& [id, result] : lines) result["seconds"] = 77, result["read_tokens"] = 999;
  write_lines(two / "results.0-of-2.jsonl", Lines(lines.begin(), lines.begin() + 17));
  write_lines(two / "results.1-of-2.jsonl", Lines(lines.begin() + 12, lines.end()));  // five twice
  std::ofstream(two / "results.1-of-2.jsonl", std::ios::app) << "{\"case\": \"needle/x";
  EXPECT_TRUE(report_of(one) == report_of(two));
  for (const char* picture : {"needle-needle.svg", "score-by-length.svg"})
    EXPECT_TRUE(read_file(one / picture) == read_file(two / picture)) << picture;
  Json a = parse_json_file(one / "summary.json"), b = parse_json_file(two / "summary.json");
  EXPECT_NE(a["cost"], b["cost"]);
  a.erase("cost"), b.erase("cost");
  EXPECT_EQ(dump_json(a), dump_json(b));
}

TEST_F(Report, LossesAreDrawnByPosition) {
  fs::path run = folder("run");
  write_settings(run, settings_of("perplexity", {task_row("book", 4, {})}));
  Lines lines;
  for (int i = 0; i < 4; ++i)
    lines.emplace_back(fmt::format("book/{}", i),
                       loss("book", {{"length", i < 2 ? 1024 : 2048}}, 100 + 10 * i, 64, 256));
  write_lines(run / "results.jsonl", lines);
  std::string page = report_of(run);
  EXPECT_NE(page.find("perplexity"), page.npos);
  for (const char* picture : {"loss-by-position.png", "loss-by-task.png", "score-by-length.png"})
    EXPECT_TRUE(fs::exists(run / picture)) << picture;
  EXPECT_FALSE(fs::exists(run / "score-by-task.png"));
}

TEST_F(Report, PublishedScoresStandBesideCompatOnes) {
  fs::path run = folder("run");
  Json settings = settings_of("ruler", {task_row("vt", 4, {"ruler_all"})});
  settings["scoring"] = "clean";
  write_settings(run, settings);
  Lines lines;
  for (int length : {1000, 4096})  // 4,096 is published, 1,000 is not
    for (double score : {1.0, 0.5})
      lines.emplace_back(fmt::format("vt/{}/{}", length, score),
                         answer("vt", {{"length", length}}, "ruler_all", score, 0));
  write_lines(run / "results.jsonl", lines);
  std::string page = report_of(run);
  size_t table = page.find("Beside published scores");
  ASSERT_NE(table, page.npos);
  page = page.substr(table, page.find("</table>", table) - table);
  EXPECT_NE(page.find("<th scope=\"col\">all 4K</th><th scope=\"col\">source</th>"), page.npos) << page;
  EXPECT_NE(page.find("<th scope=\"row\">this run (compat)</th><td>75.0</td>"), page.npos);
  EXPECT_NE(page.find("<th scope=\"row\">Llama3.1-8B</th><td>95.5</td><td>README of NVIDIA/RULER</td>"),
            page.npos);
}

TEST_F(Report, OneCaseOfOneIsNotCertainty) {
  fs::path run = folder("run");
  write_settings(run, settings_of("needle", {task_row("needle", 1, {"presence"})}));
  write_lines(run / "results.jsonl",
              {{"a", answer("needle", {{"length", 1024}, {"depth", 50}}, "presence", 1, 1)}});
  std::string page = report_of(run);
  // Wilson 1927: 1 / (1 + 1.96^2) = 0.2065.
  EXPECT_NE(page.find("100.0 % of 1 case, 95 %: 20.7 to 100.0"), page.npos);
  EXPECT_NE(page.find("<td>20.7 to 100.0</td>"), page.npos);
}

TEST_F(Report, NoCaseOfOneIsNotImpossibility) {
  fs::path run = folder("run");
  write_settings(run, settings_of("needle", {task_row("needle", 1, {"presence"})}));
  write_lines(run / "results.jsonl",
              {{"a", answer("needle", {{"length", 1024}, {"depth", 50}}, "presence", 0, 0)}});
  EXPECT_NE(report_of(run).find("0.0 % of 1 case, 95 %: 0.0 to 79.3"), std::string::npos);
}

TEST_F(Report, ARunWithoutACaseHasAPage) {
  fs::path run = folder("run");
  write_settings(run, settings_of("needle", {task_row("needle", 30, {"presence"})}));
  EXPECT_NE(report_of(run).find("needle: no case is done"), std::string::npos);
}

TEST(Wording, AModelGoesByNameAndPositions) {
  auto name = [](const char* position) {
    RunSettings settings;
    settings.model = "models/tiny.gguf";
    settings.position = position;
    return model_name(settings);
  };
  EXPECT_EQ(name("rope:base=10000"), "tiny.gguf");
  EXPECT_EQ(name("yarn:base=100000,factor=2,original=8192"), "tiny.gguf, yarn:factor=2");
  EXPECT_EQ(name("abf:base=500000,original=8192"), "tiny.gguf, abf:base=500000");
  EXPECT_EQ(name("alibi"), "tiny.gguf, alibi");
  EXPECT_EQ(model_name(RunSettings()), "");
}

}  // namespace
}  // namespace longspan
