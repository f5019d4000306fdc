// Against 75 samples that NVIDIA/RULER's own programs made at 1024 and 4096 tokens, a token being a run of
// \S+ (tools/make_ruler_golden.py); the rows are those of the suite.
#include "suites/ruler.h"

#include <gtest/gtest.h>

#include <map>
#include <utility>

#include "base/compressed.h"
#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "documents/records.h"
#include "score/words.h"
#include "suites/prompt.h"

namespace longspan {
namespace {

namespace fs = std::filesystem;

const fs::path kGolden = fs::path(LONGSPAN_GOLDEN) / "suites" / "ruler";

/// The essays as the file that RULER reads.
std::string essays_file() {
  static const std::string file = [] {
    const fs::path packed = kGolden / "essays.json.zst", plain = fs::path(testing::TempDir()) / "essays.json";
    write_file_atomic(plain, unpack(read_file(packed), packed.string()));
    return plain.string();
  }();
  return file;
}

Suite suite() { return read_suite("ruler", "", {}, {"make.lengths=[1024, 4096]"}); }

const Task& task_of(const Suite& suite, const std::string& name) {
  for (const Task& task : suite.tasks)
    if (task.name == name) return task;
  throw std::runtime_error("no task " + name);
}

RulerPlan plan_of(Task task, const fs::path& data = kGolden) {
  if (task.maker == "ruler_niah") {
    task.make["haystack"] = essays_file();
    return plan_ruler_niah(task);
  }
  if (task.maker == "ruler_vt") return plan_ruler_vt(task);
  if (task.maker == "ruler_cwe") return plan_ruler_cwe(task);
  if (task.maker == "ruler_fwe") return plan_ruler_fwe(task);
  return plan_ruler_qa(task, data);
}

int64_t words(std::string_view text) {
  int64_t count = 0;
  bool blank = true;
  for (size_t i = 0; i < text.size();) {
    const bool before = std::exchange(blank, is_python_space(next_code_point(text, i)));
    count += before && !blank;
  }
  return count;
}

RulerRun run_of(const Task& task, int64_t length) {
  RulerRun run{.name = task.name,
               .prompt = task.prompt,
               .prefix = task.prefix,
               .length = length,
               .new_tokens = task.new_tokens};
  run.count_text = words;
  run.count = [](RulerSample& sample) { return words(sample.user + sample.prefix); };
  return run;
}

TEST(Ruler, SamplesOfTheOriginal) {
  const Suite ruler = suite();
  std::map<std::string, std::unique_ptr<RulerSamples>> runs;
  int samples = 0;
  documents::read_lines(kGolden / "samples.jsonl.zst", [&](std::string_view line, int64_t) {
    const Json want = parse_json(line, "golden");
    const auto name = want["task"].get<std::string>();
    const auto length = want["length"].get<int64_t>(), index = want["index"].get<int64_t>();
    const std::string key = name + "/" + std::to_string(length);
    auto& run = runs[key];
    const Task& task = task_of(ruler, name);
    if (!run) run = std::make_unique<RulerSamples>(run_of(task, length), plan_of(task).begin);
    const RulerSample got = run->at(index);
    EXPECT_TRUE(got.user == want["input"].get<std::string>()) << key << "/" << index;
    EXPECT_EQ(got.prefix, want["answer_prefix"].get<std::string>()) << key << "/" << index;
    EXPECT_EQ(got.answers, want["outputs"].get<std::vector<std::string>>()) << key << "/" << index;
    ++samples;
    return true;
  });
  EXPECT_EQ(samples, 75);
}

std::string error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& e) {
    return e.what();
  } catch (const MissingData& data) {
    return "missing: " + data.what;
  }
  return "";
}

TEST(Ruler, AnEarlierSampleIsMadeAgain) {
  const Suite ruler = suite();
  const Task& task = task_of(ruler, "vt");
  RulerSamples samples(run_of(task, 1024), plan_of(task).begin);
  const RulerSample second = samples.at(1), first = samples.at(0);
  EXPECT_NE(first.user, second.user);
  EXPECT_EQ(samples.at(1).user, second.user);
  EXPECT_EQ(samples.at(1).answers, second.answers);
}

TEST(Ruler, AnotherSeedGivesOtherSamplesThatFit) {
  const Suite ruler = suite();
  for (const char* name : {"niah_multivalue", "vt", "cwe", "fwe", "qa_1"}) {
    const Task& task = task_of(ruler, name);
    RulerRun run = run_of(task, 2048);
    const RulerSample official = RulerSamples(run, plan_of(task).begin).at(0);
    run.seed = 7;
    RulerSamples samples(run, plan_of(task).begin);
    RulerSample other = samples.at(0);
    EXPECT_NE(other.user, official.user) << name;
    EXPECT_LE(run.count(other) + task.new_tokens, 2048) << name;
    EXPECT_GT(run.count(other) + task.new_tokens, 1500) << name;
  }
}

// There the original tries for ever: the second question's ten paragraphs are too long.
TEST(Ruler, LengthsThatNothingFitsAreNamed) {
  const Suite ruler = suite();
  const Task& task = task_of(ruler, "qa_2");
  RulerSamples samples(run_of(task, 700), plan_of(task).begin);
  EXPECT_EQ(samples.at(0).answers.size(), 1u);
  for (int64_t later : {1, 1, 2})
    EXPECT_NE(error_of([&] { samples.at(later); }).find("qa_2 at length 700"), std::string::npos);
  EXPECT_EQ(samples.at(0).answers.size(), 1u);
  for (const char* name : {"niah_single_2", "vt"}) {
    RulerSamples tiny(run_of(task_of(ruler, name), 256), plan_of(task_of(ruler, name)).begin);
    EXPECT_NE(error_of([&] { tiny.at(0); }).find("at length 256"), std::string::npos) << name;
  }
}

TEST(Ruler, LongListsOfWordsNeedTheLongerDictionary) {
  const Suite ruler = suite();
  Task task = task_of(ruler, "cwe");
  RulerSamples samples(run_of(task, 65536), plan_of(task).begin);
  const std::string error = error_of([&] { samples.at(0); });
  EXPECT_NE(error.find("there are 8,166; give RULER's english_words.json"), std::string::npos) << error;

  std::string words = "{";
  for (int i = 0; i < 40000; ++i) words += fmt::format("{}\"{}\": \"word{}\"", i > 0 ? ", " : "", i, i);
  const fs::path file = fs::path(testing::TempDir()) / "english_words.json";
  write_file_atomic(file, words + "}");
  task.make["words"] = file.string();
  RulerSamples more(run_of(task, 65536), plan_of(task).begin);
  const RulerSample sample = more.at(0);
  ASSERT_EQ(sample.answers.size(), 10u);
  EXPECT_TRUE(sample.answers[0].starts_with("word"));

  write_file_atomic(file, "[\"word\"]");
  EXPECT_NE(error_of([&] { plan_ruler_cwe(task); }).find("one object of words"), std::string::npos);
}

TEST(Ruler, QuestionsOfNaturalQuestionsInsteadOfSquad) {
  const fs::path folder = fs::path(testing::TempDir()) / "ruler_nq";
  fs::create_directories(folder);
  std::string lines;
  for (int i = 0; i < 60; ++i) {
    const std::string n = std::to_string(i);
    lines += dump_json({{"question", "what is " + n},
                        {"answers", {"number " + n, "no. " + n}},
                        {"ctxs", {{{"title", "T" + n}, {"text", "It is number " + n + "."}}}}}) +
             "\n";
  }
  write_file_atomic(folder / "nq-open-oracle.jsonl", lines);
  const Suite ruler = suite();
  const Task& task = task_of(ruler, "qa_1");
  const RulerPlan plan = plan_ruler_qa(task, folder);
  EXPECT_EQ(plan.cell, (Cell{{{"data", "qa_nq"}}}));
  EXPECT_EQ(plan.samples, 60);
  const RulerSample sample = RulerSamples(run_of(task, 300), plan.begin).at(5);
  EXPECT_NE(sample.user.find("T5\nIt is number 5."), std::string::npos);
  EXPECT_TRUE(sample.user.ends_with("Question: what is 5"));
  EXPECT_EQ(sample.answers, (std::vector<std::string>{"number 5", "no. 5"}));
}

TEST(Ruler, DataThatIsNotThereIsNamed) {
  const Suite ruler = suite();
  EXPECT_EQ(error_of([&] { plan_ruler_qa(task_of(ruler, "qa_2"), ""); }),
            "missing: none of hotpotqa.json, hotpot_dev_distractor_v1.json is named with --data");
  const fs::path folder = fs::path(testing::TempDir()) / "ruler_bad";
  fs::create_directories(folder);
  write_file_atomic(folder / "hotpotqa.json", R"([{"question": "a", "answer": "b", "context": []}])");
  EXPECT_NE(error_of([&] { plan_ruler_qa(task_of(ruler, "qa_2"), folder); }).find("no question with a"),
            std::string::npos);
  write_file_atomic(folder / "squad.json", R"({"data": [{"paragraphs": [{"qas": []}]}]})");
  EXPECT_NE(error_of([&] { plan_ruler_qa(task_of(ruler, "qa_1"), folder); }).find("\"context\" is missing"),
            std::string::npos);
}

TEST(Ruler, KeysOfRowsAreChecked) {
  const Suite ruler = suite();
  Task task = task_of(ruler, "vt");
  task.make["haystack"] = "book.txt";  // said to the whole suite
  EXPECT_EQ(plan_ruler_vt(task).samples, 500);
  EXPECT_EQ(plan_of(task_of(ruler, "niah_single_2")).cell, (Cell{{{"haystack", "essays"}}}));
  task.make["num_chain"] = 2;
  EXPECT_NE(error_of([&] { plan_ruler_vt(task); }).find("num_chain"), std::string::npos);
  task = task_of(ruler, "niah_multivalue");
  task.make["num_needle_k"] = 20;
  EXPECT_NE(error_of([&] { plan_ruler_niah(task); }).find("room for 40 needles"), std::string::npos);
}

}  // namespace
}  // namespace longspan
