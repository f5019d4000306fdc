// Recipes: what is read, what is refused and how, and that every published one can be read.
#include "train/fixture.h"

namespace longspan {
namespace {

const char kRecipe[] = R"(model = "tiny"
output = "out"
seed = 5
compute = "bf16"

[trained]
lora_rank = 4
projections = ["q_proj", "v_proj"]
norms = true

[optimizer]
clip = 0.5

[snapshots]
steps = 10

[[stage]]
name = "first"
position = "yarn:factor=4"
length = 128
batch_tokens = 512
tokens = 5000
lr = 1e-3
warmup = 2
schedule = "wsd"
[[stage.text]]
files = ["a.jsonl", "sub/b.txt"]
rows = "overlapping"
categories = { books = 2.5 }
up_sampling = [{ tokens = 64, times = 3 }]
positions = "skipped"
position_target = 256
[[stage.chat]]
files = ["c.jsonl"]
length = 64
weight = 3
text_weight = 0.5
[stage.short]
rows = 2
tokens = 32
divergence = 1.5
[[stage.short.text]]
shards = ["shards"]
)";

class RecipeTest : public TrainTest {
 protected:
  Recipe read(const std::string& text, const std::vector<std::string>& overrides = {}) {
    return read_recipe(write("r.toml", text), overrides);
  }
  std::string refused(const std::string& text, const std::vector<std::string>& overrides = {}) {
    return error_of([&] { read(text, overrides); });
  }
  /// kRecipe with one piece replaced.
  std::string with(const std::string& from, const std::string& to) {
    std::string text = kRecipe;
    size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return text.replace(at, from.size(), to);
  }
  std::string at(const char* line_and_column) {
    return (dir_ / "r.toml").string() + ":" + line_and_column + ": ";
  }
};

TEST_F(RecipeTest, EverythingIsRead) {
  Recipe r = read(kRecipe);
  EXPECT_EQ(r.name, "r");
  EXPECT_EQ(r.model, "tiny");
  EXPECT_EQ(r.output, dir_ / "out");
  EXPECT_EQ(r.seed, 5u);
  EXPECT_EQ(r.compute, Compute::BF16);
  EXPECT_EQ(r.trained.projections, (std::vector<std::string>{"q_proj", "v_proj"}));
  EXPECT_TRUE(r.trained.norms && !r.trained.all && !r.trained.embeddings);
  EXPECT_EQ(r.clip, 0.5);
  EXPECT_EQ(r.beta2, 0.95);
  ASSERT_EQ(r.stages.size(), 1u);
  const Stage& s = r.stages[0];
  EXPECT_EQ(s.steps, 10);  // 5000 tokens by 512, rounded up
  EXPECT_EQ(s.schedule.steps, 10);
  EXPECT_EQ(s.schedule.decay, Decay::Wsd);
  ASSERT_EQ(s.data.text.size(), 1u);
  const TextOptions& text = s.data.text[0].options;
  EXPECT_EQ(s.data.text[0].files[1], dir_ / "sub" / "b.txt");
  EXPECT_TRUE(text.overlapping);
  EXPECT_EQ(text.categories[0].first, "books");
  EXPECT_EQ(text.categories[0].second, 2.5);
  EXPECT_EQ(text.up_sampling[0].tokens, 64);
  EXPECT_EQ(text.positions, TrainingPositions::Skipped);
  EXPECT_EQ(text.row_tokens, 128);
  EXPECT_EQ(stage_reach(s), 256);
  EXPECT_EQ(s.data.chat[0].options.row_tokens, 64);
  EXPECT_EQ(s.data.chat[0].options.text_weight, 0.5);
  EXPECT_EQ(s.data.chat[0].weight, 3);
  EXPECT_EQ(s.short_rows.divergence, 1.5);
  EXPECT_EQ(s.short_rows.data.text[0].options.folders[0], dir_ / "shards");
  EXPECT_EQ(s.short_rows.data.text[0].options.row_tokens, 32);
}

TEST_F(RecipeTest, OverridesReplaceByDottedKey) {
  Recipe r = read(kRecipe, {"stage.0.lr=0.25", "optimizer.beta1=0.8", "plan.recompute=false",
                            "stage.0.text.0.files=[\"x\"]", "output=else where"});
  EXPECT_EQ(r.stages[0].schedule.lr, 0.25);
  EXPECT_EQ(r.beta1, 0.8);
  EXPECT_FALSE(r.plan.recompute);
  EXPECT_EQ(r.stages[0].data.text[0].files[0], dir_ / "x");
  EXPECT_EQ(r.output, dir_ / "else where");
  EXPECT_EQ(r.digest == read(kRecipe).digest, false);
  EXPECT_EQ(read(kRecipe, {"output=x", "snapshots.steps=3"}).digest, read(kRecipe).digest);
  EXPECT_NE(refused(kRecipe, {"stage.3.lr=1"}).find("there is no stage.3"), std::string::npos);
  EXPECT_NE(refused(kRecipe, {"lr"}).find("KEY=VALUE"), std::string::npos);
  EXPECT_EQ(refused(kRecipe, {"stage.0.lr=fast"}),
            "--set stage.0.lr=fast: stage.0.lr must be a number, at least 0, not \"fast\"");
}

TEST_F(RecipeTest, FaultsAreNamedByFileLineAndKey) {
  EXPECT_EQ(refused(with("clip = 0.5", "clipp = 0.5")),
            at("12:1") +
                "optimizer.clipp is unknown (did you mean clip?); known keys: beta1, beta2, eps, "
                "weight_decay, clip");
  EXPECT_EQ(refused(with("seed = 5", "seed = \"x\"")),
            at("3:1") + "seed must be a whole number, at least 0, not \"x\"");
  EXPECT_EQ(refused(with("norms = true", "norms = 1")),
            at("9:1") + "trained.norms must be true or false, not 1");
  EXPECT_EQ(refused(with("lr = 1e-3", "lr = -1")),
            at("23:1") + "stage.0.lr must be a number, at least 0, not -1");
  EXPECT_EQ(
      refused(with("\"wsd\"", "\"sine\"")),
      at("25:1") +
          "stage.0.schedule must be one of \"constant\", \"linear\", \"cosine\", \"wsd\", not \"sine\"");
  EXPECT_TRUE(refused(with("seed = 5", "seed = ")).starts_with(at("3:8")))
      << refused(with("seed = 5", "seed = "));
  EXPECT_TRUE(
      refused(with("rank = 4", "rank = 4\nall = true")).starts_with(at("7:1") + "trained.lora_rank: "));
}

TEST_F(RecipeTest, ImpossibleNumbersAreRefused) {
  EXPECT_NE(refused(with("batch_tokens = 512", "batch_tokens = 63")).find("less than one row of 64"),
            std::string::npos);
  EXPECT_NE(refused(with("tokens = 5000", "tokens = 5000\nsteps = 3")).find("either steps or tokens"),
            std::string::npos);
  EXPECT_NE(refused(with("warmup = 2", "warmup = 11")).find("11 steps of warm-up in a stage of 10"),
            std::string::npos);
  EXPECT_NE(refused(with("position_target = 256", "position_target = 100")).find("at least the length 128"),
            std::string::npos);
  EXPECT_NE(refused(with("divergence = 1.5", "divergence = 0")).find("without weight"), std::string::npos);
  EXPECT_NE(refused(with("length = 64\nweight = 3", "length = 200")).find("from 2 to 128, not 200"),
            std::string::npos);
  EXPECT_NE(refused(with("files = [\"c.jsonl\"]", "")).find("conversations"), std::string::npos);
  EXPECT_NE(refused("model = \"x\"\n[trained]\nall = true\n").find("at least one [[stage]]"),
            std::string::npos);
  EXPECT_NE(refused("model = \"x\"\n").find("[trained]"), std::string::npos);
}

TEST_F(RecipeTest, FrozenContextsAndShares) {
  Recipe r = read(with("weight = 3\ntext_weight = 0.5", "frozen = true"),
                  {"trained.norm_lr=0.2", "trained.lora_start=1.5", "stage.0.fresh_optimizer=true"});
  const ChatOptions& chat = r.stages[0].data.chat[0].options;
  EXPECT_TRUE(chat.frozen);
  EXPECT_EQ(chat.frozen_row_tokens, 64);
  EXPECT_EQ(frozen_tokens(r.stages[0]), 64);
  EXPECT_EQ(pass_tokens(r.stages[0]), 128);  // of the text
  EXPECT_EQ(r.trained.norm_lr, 0.2);
  EXPECT_EQ(r.trained.lora_start, 1.5);
  EXPECT_TRUE(r.stages[0].fresh_optimizer);
  EXPECT_EQ(read(with("text_weight = 0.5", "text_share = 0.5")).stages[0].data.chat[0].options.text_share,
            0.5);
  EXPECT_NE(
      refused(with("text_weight = 0.5", "text_weight = 0.5\ntext_share = 0.5")).find("a text_weight already"),
      std::string::npos);
  EXPECT_NE(refused(with("text_weight = 0.5", "text_weight = 0.5\nfrozen = true")).find("is not learnt"),
            std::string::npos);
  EXPECT_NE(
      refused(with("text_weight = 0.5", "frozen = true\npositions = \"randomised\"")).find("sequential"),
      std::string::npos);
  ModelConfig config = read_config(open_checkpoint(golden_model()));
  EXPECT_EQ(stage_position(r.stages[0], config).method, "yarn");
  r.stages[0].position = "alibi:length=512";
  EXPECT_NE(error_of([&] {
              stage_position(r.stages[0], config);
            }).find("frozen contexts cannot be combined with slopes"),
            std::string::npos);
}

TEST_F(RecipeTest, MissingFilesAreFoundBeforeTheRunAndAllNamed) {
  Recipe r = read(kRecipe);
  write("a.jsonl", "{}");
  std::string error = error_of([&] { check_files(r); });
  for (const char* name : {"b.txt", "c.jsonl", "shards"})
    EXPECT_NE(error.find(name), std::string::npos) << name;
  EXPECT_EQ(error.find("a.jsonl"), std::string::npos);
}

TEST_F(RecipeTest, RowsBeyondTheReachOfThePositionsAreRefused) {
  ModelConfig config = read_config(open_checkpoint(golden_model()));  // a window of 64
  Recipe r = read(kRecipe);
  EXPECT_EQ(stage_position(r.stages[0], config).method, "yarn");
  r.stages[0].position = "yarn:factor=2";
  EXPECT_NE(error_of([&] { stage_position(r.stages[0], config); }).find("reach 256"), std::string::npos);
  r.stages[0].position = "dynamic_ntk:factor=2";
  EXPECT_TRUE(stage_spec(r.stages[0], config).depends_on_length);
  r.stages[0].position = "yarm";
  EXPECT_NE(error_of([&] { stage_position(r.stages[0], config); }).find("stage \"first\""),
            std::string::npos);
}

TEST_F(RecipeTest, PublishedRecipesAreReadable) {
  ModelConfig config = read_config(open_checkpoint(golden_model()));
  size_t count = 0;
  for (const auto& entry : fs::directory_iterator(fs::path(LONGSPAN_SOURCE) / "recipes")) {
    SCOPED_TRACE(entry.path());
    ASSERT_EQ(entry.path().extension(), ".toml");
    Recipe r = read_recipe(entry.path());
    EXPECT_EQ(r.name, entry.path().stem());
    EXPECT_FALSE(r.source.empty());
    // Windows of the models that they start from.
    for (Stage& stage : r.stages) {
      ModelConfig model = config;
      model.position.trained_context = model.position.declared_context = r.name.starts_with("giraffe") ? 2048
                                                                         : r.name == "index-long-sft"  ? 32768
                                                                                                       : 8192;
      EXPECT_FALSE(stage_spec(stage, model).inv_freq.empty());
    }
    ++count;
  }
  EXPECT_EQ(count, 13u);
}

}  // namespace
}  // namespace longspan
