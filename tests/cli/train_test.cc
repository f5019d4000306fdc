// train from a recipe to a result with the built program: what it writes, that killing it at any moment costs
// nothing but time, and that its adapter is read by the other commands.
#include <sstream>

#include "base/random.h"
#include "cli/program.h"

namespace longspan {

namespace {

class Train : public ProgramTest {
 protected:
  /// Documents of words that repeat, a JSON line each.
  std::string corpus(const std::string& name, uint64_t seed, int documents, int words) {
    const char* known[] = {"the", "quick", "fox", "jumps", "over", "a", "lazy", "dog", "and", "sleeps."};
    std::string lines;
    for (int d = 0; d < documents; ++d) {
      Random random(seed * 1000 + static_cast<uint64_t>(d));
      std::string text;
      for (int w = 0; w < words; ++w) text += std::string(w ? " " : "") + known[random.below(10)];
      lines += dump_json({{"id", name + std::to_string(d)}, {"text", text}}) + "\n";
    }
    return write(name + ".jsonl", lines);
  }

  /// 12 steps of adapters in two stages; a snapshot after each step.
  std::string recipe(const std::string& name) {
    corpus("words", 1, 40, 30), corpus("heldout", 2, 3, 80);
    std::string chats;
    for (int i = 0; i < 20; ++i)
      chats += dump_json({{"messages",
                           {{{"role", "user"}, {"content", "who sleeps? " + std::to_string(i)}},
                            {{"role", "assistant"}, {"content", "the dog."}}}}}) +
               "\n";
    write("chats.jsonl", chats);
    return write(name + ".toml", "model = \"" + tiny_model(64) + "\"\noutput = \"" + name + R"("
compute = "f32"
[trained]
lora_rank = 4
norms = true
[snapshots]
steps = 1
[validation]
steps = 6
files = ["heldout.jsonl"]
lengths = [32, 96]
[[stage]]
name = "text"
position = "linear:factor=2"
length = 96
batch_tokens = 192
steps = 8
lr = 1e-2
warmup = 2
[[stage.text]]
files = ["words.jsonl"]
[stage.short]
rows = 1
tokens = 48
divergence = 0.5
[[stage.short.text]]
files = ["words.jsonl"]
[[stage]]
name = "conversations"
position = "linear:factor=2"
length = 96
steps = 4
lr = 5e-3
[[stage.chat]]
files = ["chats.jsonl"]
weight = 3
text_weight = 0.1
[[stage.text]]
files = ["words.jsonl"]
positions = "skipped"
position_target = 128
)");
  }

  std::string weights(const std::string& output) {
    return read_file(dir_ / output / "adapter" / "adapter_model.safetensors");
  }
  double nll(const std::vector<std::string>& model) {
    std::vector<std::string> arguments = {
        "score",        "--file",    write("text", "the quick fox jumps over a lazy dog"),
        "--json",       "--compute", "f32",
        "--cache-type", "f32"};
    arguments.insert(arguments.begin() + 1, model.begin(), model.end());
    Outcome r = run(arguments);
    EXPECT_EQ(r.status, 0) << r.err;
    return r.json()["nll"];
  }
};

TEST_F(Train, ARecipeLeavesAllThatItPromises) {
  Outcome r = run({"train", recipe("run"), "--json", "--set", "result.merge=true"});
  ASSERT_EQ(r.status, 0) << r.err;
  std::istringstream lines(r.out);
  int steps = 0, validations = 0;
  std::vector<double> losses;
  for (std::string line; std::getline(lines, line);) {
    Json json = parse_json(line, "stdout");
    if (json.contains("validation")) {
      ++validations;
      EXPECT_GT(json["validation"]["96"].get<double>(), 0);
      continue;
    }
    EXPECT_EQ(json["step"], ++steps);
    for (const char* key : {"loss", "grad_norm", "lr", "tokens_per_s", "mfu", "memory", "seconds_left"})
      EXPECT_TRUE(json[key].is_number()) << key;
    EXPECT_EQ(json.contains("divergence"), steps <= 8);
    losses.push_back(json["loss"]);
  }
  EXPECT_EQ(steps, 12);
  EXPECT_EQ(validations, 3);
  EXPECT_LT(losses[7], losses[0]);
  for (const char* file : {"metrics.jsonl", "report.html", "tensorboard", "adapter/adapter_config.json",
                           "adapter/longspan.json", "merged/config.json", "snapshots"})
    EXPECT_TRUE(fs::exists(dir_ / "run" / file)) << file;
  EXPECT_NE(read_file(dir_ / "run" / "report.html").find("<svg"), std::string::npos);

  std::string base = tiny_model(64), adapter = (dir_ / "run" / "adapter").string();
  double adapted = nll({base, "--adapter", adapter});
  EXPECT_LT(adapted, nll({base}) - 0.1);
  EXPECT_NEAR(nll({(dir_ / "run" / "merged").string()}), adapted, 1e-3);
  Outcome merged = run({"merge", base, adapter, "-o", (dir_ / "by-hand").string()});
  EXPECT_EQ(merged.status, 0) << merged.err;
  EXPECT_EQ(read_file(dir_ / "by-hand" / "model.safetensors"),
            read_file(dir_ / "run" / "merged" / "model.safetensors"));
  Outcome ask = run({"ask", base, "--adapter", adapter, "--file", write("doc", "a fox and a dog"), "who?",
                     "-n", "3", "--json"});
  EXPECT_EQ(ask.status, 0) << ask.err;
  Outcome missing =
      run({"score", base, "--adapter", (dir_ / "none").string(), "--file", (dir_ / "text").string()});
  EXPECT_EQ(missing.status, 1);
  EXPECT_TRUE(missing.one_sentence()) << missing.err;
}

TEST_F(Train, FaultsOfARecipeAreOneSentence) {
  std::string file = recipe("run");
  for (const char* set :
       {"stage.0.lenght=3", "stage.0.length=1000", "stage.0.text.0.files=[\"nothing.jsonl\"]"}) {
    Outcome r = run({"train", file, "-q", "--set", set});
    EXPECT_EQ(r.status, 1);
    EXPECT_TRUE(r.one_sentence()) << r.err;
    EXPECT_FALSE(fs::exists(dir_ / "run" / "snapshots"));
  }
  Outcome check = run({"train", file, "--check"});
  EXPECT_EQ(check.status, 0);
  EXPECT_NE(check.err.find("gradients"), std::string::npos);
  EXPECT_FALSE(fs::exists(dir_ / "run"));
}

TEST_F(Train, CtrlCMakesASnapshotAndLeaves) {
  std::string whole = recipe("whole"), parts = recipe("parts");
  std::vector<std::string> more = {"-q", "--set", "stage.0.steps=60", "--set", "snapshots.steps=0"};
  auto with = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  };
  ASSERT_EQ(run(with({"train", whole})).status, 0);
  fs::path lines = dir_ / "parts" / "metrics.jsonl";
  auto begun = [&](pid_t) { return fs::exists(lines) && fs::file_size(lines) > 0; };
  EXPECT_EQ(run_until(begun, SIGINT, with({"train", parts})).status, 130);
  EXPECT_TRUE(fs::exists(dir_ / "parts" / "snapshots"));
  EXPECT_FALSE(fs::exists(dir_ / "parts" / "adapter"));
  Outcome resumed = run(with({"train", parts, "--resume"}));
  ASSERT_EQ(resumed.status, 0) << resumed.err;
  EXPECT_EQ(weights("parts"), weights("whole"));
}

/// 3 kills; `make soak` sets LONGSPAN_TRIALS=100.
TEST_F(Train, KilledAtAnyMomentItGoesOnToTheSameWeights) {
  ASSERT_EQ(run({"train", recipe("whole"), "-q"}).status, 0);
  kill_at_any_moment(
      [&] {
        fs::remove_all(dir_ / "trial");
        return std::vector<std::string>{"train", recipe("trial"), "-q"};
      },
      [&] {
        Outcome r = run({"train", recipe("trial"), "-q", "--resume"});
        ASSERT_EQ(r.status, 0) << r.err;
        ASSERT_EQ(weights("trial"), weights("whole"));
        ASSERT_EQ(read_file(dir_ / "trial" / "snapshots" / "step-00000012.snapshot"),
                  read_file(dir_ / "whole" / "snapshots" / "step-00000012.snapshot"));
      });
}

}  // namespace
}  // namespace longspan
