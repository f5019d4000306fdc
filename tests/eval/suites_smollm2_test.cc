// Suites as a real model counts and answers them: what a cache saves of a grid of needles, lengths that RULER
// fills, and choices that are better than chance.
#include <gtest/gtest.h>

#include "base/compressed.h"
#include "base/file.h"
#include "checkpoint/checkpoint.h"
#include "eval/likelihood.h"
#include "generate/sequence.h"
#include "model/model_files.h"
#include "suites/fixture.h"

namespace longspan {
namespace {

class SuitesSmolLM2 : public testing::Test {
 protected:
  void SetUp() override {
    if (!fs::exists(model_)) GTEST_SKIP() << model_ << " is missing; `longspan fetch smollm2` brings it";
  }
  PromptMaker prompts() { return load_prompt_maker(open_metadata(model_), ""); }

  const fs::path model_ = cache_dir() / "smollm2" / "SmolLM2-135M-Instruct.Q4_1.gguf";
};
using SuitesSmolLM2Slow = SuitesSmolLM2;

TEST_F(SuitesSmolLM2Slow, TokensOfTheGridOfNeedlesAreReadOnce) {
  const PromptMaker smollm2 = prompts();
  std::string lengths = "256";
  for (int j = 2; j <= 32; ++j) lengths += "," + std::to_string(256 * j);
  double grid = part_read(smollm2, read_suite("needle", "", {}, {"make.lengths=[" + lengths + "]"}));
  EXPECT_LT(grid, 0.35);
  double issue =
      part_read(smollm2, read_suite("needle", "", {}, {"make.lengths=[2048,4096,8192]", "make.depths=5"}));
  EXPECT_LT(issue, 0.5);
  RecordProperty("grid", std::to_string(grid));
  RecordProperty("issue", std::to_string(issue));
}

TEST_F(SuitesSmolLM2, RulersCasesFitTheLength) {
  const PromptMaker smollm2 = prompts();
  const fs::path golden = fs::path(LONGSPAN_GOLDEN) / "suites" / "ruler";
  const fs::path essays = fs::path(testing::TempDir()) / "longspan_ruler_essays.json";
  write_file_atomic(essays, unpack(read_file(golden / "essays.json.zst"), "essays.json.zst"));
  const Suite ruler = read_suite("ruler", "", {}, {"make.lengths=[1024, 4096]"});
  for (Task task : ruler.tasks) {
    if (task.name == "qa_2") continue;
    if (task.maker == "ruler_niah") task.make["haystack"] = essays.string();
    const MakeContext context{.prompts = smollm2, .data = golden, .limit = 2};
    const std::vector<Case> cases = find_maker(task.maker).make(task, context);
    ASSERT_EQ(cases.size(), 4u) << task.name;
    EXPECT_EQ(cases[3].id, task.name + "/4096/1");
    EXPECT_EQ(cases[3].cell.at("length"), 4096);
    CaseText text = cases[3].text();
    ASSERT_TRUE(text.prompt) << task.name;  // counted while the text was fitted
    const std::vector<int32_t> carried = text.prompt->ids;
    text.prompt = nullptr;
    const int64_t tokens = prompt_tokens(smollm2, task, text) + task.new_tokens;
    EXPECT_EQ(carried, text.prompt->ids) << task.name;
    EXPECT_LE(tokens, 4096) << task.name;
    EXPECT_GT(tokens, 2800) << task.name;
    EXPECT_FALSE(text.references.empty()) << task.name;
  }
}

TEST_F(SuitesSmolLM2Slow, ContinuesTexts) {
  Engine engine(model_, EngineOptions{});
  Suite suite = read_suite("short", "", {"continuation"}, {"make.class=[\"novel\", \"encyclopedia\"]"});
  MakeContext context{.prompts = engine.prompts(), .limit = 16};
  std::vector<std::string> missing;
  double right = 0;
  for (const Case& c : make_cases(suite, context, missing)) {
    CaseText text = c.text();
    Sequence sequence(engine, 1024);
    Prompt prompt = make_prompt(engine.prompts(), suite.tasks[0], text, 0);
    const ChoiceScores result = run_choice(sequence, engine, prompt, text, {}).value();
    for (const MetricScore& score : result.scores)
      if (score.metric == "accuracy_gain") right += score.clean;
  }
  EXPECT_GE(right, 9);  // chance is 4
}

}  // namespace
}  // namespace longspan
