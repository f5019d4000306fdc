// Against 75 samples that NVIDIA/RULER's own programs made at 1024 and 4096 tokens, a token being a run of
// \S+; the rows are those of the suite.
#include "eval/suites/ruler.h"

#include <gtest/gtest.h>

#include <map>

#include "base/error.h"
#include "base/file.h"
#include "data/compressed.h"
#include "data/documents.h"
#include "eval/words.h"

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

int64_t words(std::string_view text) { return std::ssize(split_words(code_points(text))); }

RulerRun run_of(const Task& task, int64_t length) {
  RulerRun run{.name = task.name,
               .prompt = task.prompt,
               .prefix = task.prefix,
               .length = length,
               .new_tokens = task.new_tokens};
  run.count_text = words;
  run.count_prompt = [](const std::string& user, const std::string& prefix) { return words(user + prefix); };
  return run;
}

TEST(Ruler, SamplesOfTheOriginal) {
  const Suite ruler = suite();
  std::map<std::string, std::unique_ptr<RulerSamples>> runs;
  int samples = 0;
  read_lines(kGolden / "samples.jsonl.zst", [&](std::string_view line, int64_t) {
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

}  // namespace
}  // namespace longspan
