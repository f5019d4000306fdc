// train from a recipe to a result with the built program: what it writes, that killing it at any moment costs
// nothing but time, and that its adapter is read by the other commands.
#include <array>
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
  // The page has the command and the recipe as it ran.
  std::string page = read_file(dir_ / "run" / "report.html");
  for (const char* part :
       {"<svg", "longspan train ", " --set result.merge=true", "merge = true", "[[stage]]"})
    EXPECT_NE(page.find(part), page.npos) << part;

  std::string base = tiny_model(64), adapter = (dir_ / "run" / "adapter").string();
  double adapted = nll({base, "--adapter", adapter});
  EXPECT_LT(adapted, nll({base}) - 0.1);
  EXPECT_NEAR(nll({(dir_ / "run" / "merged").string()}), adapted, 1e-3);
  Outcome merged = run({"merge", base, adapter, "-o", (dir_ / "by-hand").string()});
  EXPECT_EQ(merged.status, 0) << merged.err;
  EXPECT_EQ(read_file(dir_ / "by-hand" / "model.safetensors"),
            read_file(dir_ / "run" / "merged" / "model.safetensors"));
  // Positions without a window of their own need to be told which one to promise.
  fs::copy(adapter, dir_ / "zones");
  write("zones/longspan.json", R"({"position": "rerope:window=32"})");
  std::string zones = (dir_ / "zones").string(), out = (dir_ / "zones-merged").string();
  EXPECT_NE(run({"merge", base, zones, "-o", out}).err.find("--to"), std::string::npos);
  Outcome promised = run({"merge", base, zones, "-o", out, "--to", "1k", "--json"});
  EXPECT_EQ(promised.status, 0) << promised.err;
  EXPECT_EQ(promised.json()["window"], 1024);
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
}

/// 8 steps of 192 tokens and a short row of 48, then 4 of 96.
TEST_F(Train, CheckOpensEveryInputAndTellsTokensAndHours) {
  std::string file = recipe("run");
  Outcome check = run({"train", file, "--check"});
  EXPECT_EQ(check.status, 0) << check.err;
  for (const char* part :
       {"gradients", "text: 1,920 tokens in 8 steps", "conversations: 384 tokens in 4 steps",
        "it will take about", "a row of 96 tokens"})
    EXPECT_NE(check.err.find(part), std::string::npos) << part << " in " << check.err;
  Outcome object = run({"train", file, "--check", "--json", "-q"});
  ASSERT_EQ(object.status, 0) << object.err;
  Json json = object.json();
  EXPECT_EQ(json["stages"][1]["tokens"], 384);
  double flops = json["stages"][0]["flops"].get<double>() + json["stages"][1]["flops"].get<double>();
  EXPECT_NEAR(json["hours"].get<double>() * 3600 * json["flops_per_s"].get<double>() / flops, 1, 1e-9);
  EXPECT_FALSE(fs::exists(dir_ / "run"));
  write("binary.jsonl", std::string("\x89PNG\r\n\x1a\n\0\0", 10));
  for (const auto& [set, part] :
       {std::pair{"stage.0.text.0.files=[\"absent.jsonl\"]", "absent.jsonl"},
        std::pair{"stage.1.chat.0.files=[\"absent.jsonl\"]", "absent.jsonl"},
        std::pair{"stage.0.short.text.0.files=[\"absent.jsonl\"]", "absent.jsonl"},
        std::pair{"validation.files=[\"absent.jsonl\"]", "absent.jsonl"},
        std::pair{"stage.0.text.0.files=[\"binary.jsonl\"]", "binary.jsonl"},
        std::pair{"validation.lengths=[32, 100000]", "100000"}, std::pair{"model=nowhere", "nowhere"}}) {
    Outcome r = run({"train", file, "--check", "-q", "--set", set});
    EXPECT_EQ(r.status, 1) << set;
    EXPECT_TRUE(r.one_sentence()) << r.err;
    EXPECT_NE(r.err.find(part), std::string::npos) << r.err;
    EXPECT_FALSE(fs::exists(dir_ / "run"));
  }
}

TEST_F(Train, AMisspeltKeyIsNamedBeforeWhatItsAbsenceCauses) {
  std::string file = recipe("run"), text = read_file(file);
  const std::array<const char*, 3> changes[] = {
      {"lora_rank = 4\nnorms = true", "lora_rankk = 4", "lora_rank"},
      {"model = ", "modell = ", "model"},
      {"[trained]", "[traind]", "trained"},
      {"lr = 1e-2", "lrr = 1e-2", "lr"},
      {"steps = 8", "step = 8", "steps"},
      {"length = 96", "lenght = 96", "length"},
      {"files = [\"heldout.jsonl\"]", "file = [\"x\"]", "files"},
      {"files = [\"words.jsonl\"]", "filess = [\"x\"]", "files"},
      {"files = [\"chats.jsonl\"]", "filess = [\"x\"]", "files"},
      {"position_target", "position_targett", "position_target"},
  };
  for (const auto& [from, to, meant] : changes) {
    std::string changed = text;
    changed.replace(changed.find(from), std::string(from).size(), to);
    Outcome r = run({"train", write("changed.toml", changed), "--check"});
    EXPECT_EQ(r.status, 1);
    EXPECT_TRUE(r.one_sentence()) << r.err;
    EXPECT_NE(r.err.find(std::string("is unknown (did you mean ") + meant + "?)"), std::string::npos)
        << r.err;
  }
}

TEST_F(Train, ResumingWithoutASnapshotIsAnError) {
  Outcome r = run({"train", recipe("run"), "--resume", "-q"});
  EXPECT_EQ(r.status, 1);
  EXPECT_TRUE(r.one_sentence()) << r.err;
  for (const char* part : {"there is no snapshot to resume from", "without --resume"})
    EXPECT_NE(r.err.find(part), std::string::npos) << r.err;
  EXPECT_FALSE(fs::exists(dir_ / "run"));
}

TEST_F(Train, CtrlCMakesASnapshotAndLeaves) {
  std::string whole = recipe("whole"), parts = recipe("parts");
  std::vector<std::string> more = {"-q",        "--set", "stage.0.steps=60", "--set", "snapshots.steps=0",
                                   "--threads", "1"};
  auto with = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  };
  ASSERT_EQ(run(with({"train", whole})).status, 0);
  fs::path lines = dir_ / "parts" / "metrics.jsonl";
  auto begun = [&](pid_t) { return fs::exists(lines) && fs::file_size(lines) > 0; };
  Outcome stopped = run_until(begun, SIGINT,
                              {"train", parts, "--set", "stage.0.steps=60", "--set", "snapshots.steps=0",
                               "--set", "name='two words'", "--threads", "1"});
  EXPECT_EQ(stopped.status, 130);
  EXPECT_TRUE(fs::exists(dir_ / "parts" / "snapshots"));
  EXPECT_FALSE(fs::exists(dir_ / "parts" / "adapter"));
  // The command that it prints is whole: a shell runs it as it is.
  size_t at = stopped.err.find("longspan train ");
  ASSERT_NE(at, std::string::npos) << stopped.err;
  std::string command = stopped.err.substr(at + 9, stopped.err.find('\n', at) - at - 9);
  EXPECT_EQ(command, "train " + parts +
                         " --resume --set stage.0.steps=60 --set snapshots.steps=0 --set "
                         "'name='\\''two words'\\''' --threads 1");
  ASSERT_EQ(std::system((std::string(LONGSPAN_PROGRAM) + " " + command + " 2>/dev/null").c_str()), 0);
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
        // Killed before its first snapshot, there is nothing to go on from.
        bool some = false;
        std::error_code none;
        for (const auto& entry : fs::directory_iterator(dir_ / "trial" / "snapshots", none))
          some |= entry.path().extension() == ".snapshot";
        std::vector<std::string> again = {"train", recipe("trial"), "-q"};
        if (some) again.push_back("--resume");
        Outcome r = run(again);
        ASSERT_EQ(r.status, 0) << r.err;
        ASSERT_EQ(weights("trial"), weights("whole"));
        ASSERT_EQ(read_file(dir_ / "trial" / "snapshots" / "step-00000012.snapshot"),
                  read_file(dir_ / "whole" / "snapshots" / "step-00000012.snapshot"));
      });
}

}  // namespace
}  // namespace longspan
