// Whole runs on a tiny model: recorded losses, resuming bit by bit, damaged snapshots, NaN, results.
#include "train/trainer.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "model/adapter_files.h"
#include "model/frozen_context.h"
#include "train/fixture.h"
#include "train/validation.h"

namespace longspan {
namespace {

class TrainerTest : public TrainTest {
 protected:
  static std::string result(const Recipe& r, const char* file) { return read_file(r.output / file); }
  Recipe adapters(const std::string& output) {
    Recipe r = recipe(output);
    r.trained = {
        .lora_rank = 4, .lora_alpha = 8, .projections = {"q_proj", "o_proj", "down_proj"}, .norms = true};
    return r;
  }
};

/// PyTorch's, in double (tools/make_loss_golden.py).
TEST_F(TrainerTest, TenLossesOfEachConfigurationAreThoseOfPyTorch) {
  Json golden = parse_json_file(fs::path(LONGSPAN_SOURCE) / "tests" / "losses" / "tiny.json");
  Recipe full = recipe("full"), same = recipe("same"), bf16 = recipe("bf16"), keep = recipe("keep");
  // At a small rate: at a large one the kernels' last bits would grow from step to step.
  for (Recipe* r : {&full, &same, &bf16, &keep}) r->stages[0].schedule.lr = 2e-3;
  bf16.compute = Compute::BF16;
  keep.plan.recompute = false;
  Recipe lora = adapters("lora"), shorts = adapters("shorts");
  shorts.stages[0].short_rows = {.rows = 2, .tokens = 12, .cross_entropy = 0.5, .divergence = 2};
  auto expect = [&](const std::vector<double>& got, const char* name, double tolerance) {
    std::vector<double> wanted = golden.at(name);
    ASSERT_EQ(got.size(), wanted.size()) << name;
    for (size_t i = 0; i < wanted.size(); ++i)
      EXPECT_NEAR(got[i], wanted[i], tolerance) << name << " step " << i + 1;
  };
  constexpr double kF32 = 2e-5;  // kernels differ in the order of their sums
  std::vector<double> losses = run(full);
  expect(losses, "full", kF32);
  EXPECT_EQ(run(keep), losses);  // recomputing changes no bit
  expect(run(lora), "lora", kF32);
  expect(run(shorts), "lora_short_rows", kF32);
  expect(run(bf16), "full", 0.02);  // rounds what feeds products to 8 bits
  // Every step reads the same rows, so that the loss has to fall.
  rows_repeat_ = true;
  losses = run(same);
  expect(losses, "full_same_rows", kF32);
  EXPECT_LT(losses.back(), 0.8 * losses.front());
}

TEST_F(TrainerTest, AResumedRunIsTheSameRunBitByBit) {
  for (bool lora : {false, true}) {
    auto make = [&](const std::string& output) {
      Recipe r = lora ? adapters(output) : recipe(output);
      Stage second = r.stages[0];
      r.stages[0].steps = r.stages[0].schedule.steps = 4;
      second.name = "second", second.position = "linear:factor=2", second.steps = second.schedule.steps = 5;
      second.short_rows = {.rows = 1, .tokens = 12, .divergence = 1};
      r.stages.push_back(second);
      r.validation_steps = 4, r.validation_lengths = {16, 48};
      return r;
    };
    Recipe whole = make(lora ? "whole-lora" : "whole"), parts = make(lora ? "parts-lora" : "parts");
    std::vector<double> losses = run(whole), pieces;
    ASSERT_EQ(losses.size(), 9u);
    for (int64_t steps : {2, 2, 1, 100}) {
      std::vector<double> piece = run(parts, !pieces.empty(), steps);
      pieces.insert(pieces.end(), piece.begin(), piece.end());
    }
    EXPECT_EQ(pieces, losses);
    const char* file = lora ? "adapter/adapter_model.safetensors" : "model/model.safetensors";
    EXPECT_EQ(result(parts, file), result(whole, file));
    EXPECT_EQ(result(parts, "snapshots/step-00000009.snapshot"),
              result(whole, "snapshots/step-00000009.snapshot"));
  }
}

/// Row k behind a context of `context` tokens: three documents of eight tokens.
TrainingRow frozen_row(int64_t k, int64_t context) {
  TrainingRow row = synthetic_row(k, 3, 8);
  row.context = synthetic_row(k + 700, 1, context).ids;
  for (double& position : row.positions) position += static_cast<double>(context);
  return row;
}

TEST_F(TrainerTest, AStageOfFrozenContextsAndFreshMomentsResumesBitByBit) {
  auto make = [&](const std::string& output) {
    Recipe r = adapters(output);
    r.trained.norm_lr = 0.2;
    r.stages[0].steps = r.stages[0].schedule.steps = 3;
    r.stages[0].position = "rerope:window=24,log_n=1";
    Stage second = r.stages[0];
    second.name = "frozen", second.row_tokens = 640, second.batch_tokens = 32, second.fresh_optimizer = true;
    second.steps = second.schedule.steps = 5;
    second.short_rows = {.rows = 1, .tokens = 12, .divergence = 1};
    ChatData frozen, plain;
    frozen.options.frozen = true, frozen.options.row_tokens = 640, frozen.options.frozen_row_tokens = 24;
    plain.options.row_tokens = 32;
    second.data.chat = {frozen, plain};
    r.stages.push_back(second);
    r.digest = 9;
    return r;
  };
  Checkpoint checkpoint = open_checkpoint(golden_model());
  auto go = [&](const Recipe& r, bool resume, size_t stop_after) {
    std::vector<double> losses;
    TrainingData d = data(r);
    // A mixture of lengths, of which two are frozen.
    d.stages[1].rows.row = [](int64_t k) {
      return k % 3 == 0 ? synthetic_row(k, 2, 16) : frozen_row(k, k % 3 == 1 ? 100 : 600);
    };
    TrainerEvents events;
    events.step = [&](const StepReport& s) {
      losses.push_back(s.loss);
      if (s.step == 5) EXPECT_EQ(s.tokens, 24 + 100 + 12);
    };
    events.stop = [&] { return losses.size() >= stop_after; };
    train(r, checkpoint, d, resume, events);
    return losses;
  };
  Recipe whole = make("whole"), parts = make("parts");
  std::vector<double> losses = go(whole, false, 100), pieces;
  ASSERT_EQ(losses.size(), 8u);
  for (size_t steps : {3, 2, 1, 100}) {
    std::vector<double> piece = go(parts, !pieces.empty(), steps);
    pieces.insert(pieces.end(), piece.begin(), piece.end());
  }
  EXPECT_EQ(pieces, losses);
  EXPECT_EQ(result(parts, "adapter/adapter_model.safetensors"),
            result(whole, "adapter/adapter_model.safetensors"));
  // Memory is planned with the context, and buffers for the rows only.
  auto bytes = [&](const Recipe& r) {
    for (const auto& [label, n] : training_memory(r, checkpoint))
      if (label == "buffers of a row") return n;
    return int64_t{0};
  };
  ModelConfig config = read_config(checkpoint);
  PositionSpec spec = stage_spec(whole.stages[1], config);
  const Kernels& k = kernels();
  EXPECT_EQ(bytes(whole), training_buffer_bytes(config, DType::F32, spec, 32, training_plan(whole, k), 4) +
                              FrozenContext::bytes(config, spec, 640, 32, DType::F32, k, 4));
  EXPECT_EQ(pass_tokens(whole.stages[1]), 32);
  EXPECT_EQ(frozen_tokens(whole.stages[1]), 640);
  // Every record of the mixture counts in the forecast.
  EXPECT_EQ(forecast_stage(whole, whole.stages[1], config).tokens, 5 * (640 + 32) / 2 + 5 * 12);
}

TEST_F(TrainerTest, MomentsBeginAnewWhereAStageSaysSo) {
  Recipe r = recipe();
  r.stages.push_back(r.stages[0]);
  r.stages.push_back(r.stages[0]);
  r.stages[1].fresh_optimizer = true;
  RunState state;
  state.stage = 0, state.stage_step = 4;
  EXPECT_EQ(moment_steps(r, state), 4);
  state.stage = 1;
  EXPECT_EQ(moment_steps(r, state), 4);
  state.stage = 2;
  EXPECT_EQ(moment_steps(r, state), 14);
  // The first step of AdamW moves every weight by lr, whatever came before: a second stage at the rate of its
  // only step gives the weights of a run that begins there.
  Recipe two = recipe("two"), one = recipe("one");
  for (Recipe* each : {&two, &one}) {
    each->weight_decay = 0, each->clip = 0;
    each->stages[0].steps = each->stages[0].schedule.steps = 1;
    each->stages[0].schedule = {.lr = 0, .warmup = 0, .steps = 1};
  }
  two.stages.push_back(two.stages[0]);
  two.stages[1].fresh_optimizer = true;
  two.stages[1].schedule.lr = one.stages[0].schedule.lr = 1e-3;
  rows_repeat_ = true;
  run(two), run(one);
  EXPECT_EQ(result(two, "model/model.safetensors"), result(one, "model/model.safetensors"));
}

TEST_F(TrainerTest, ADamagedSnapshotGivesWayToAnOlderOne) {
  Recipe r = recipe();
  std::vector<double> losses = run(r);  // snapshots after 3, 6, 9, 10; three are kept
  fs::remove_all(r.output / "model");
  for (const char* name : {"step-00000010.snapshot", "step-00000009.snapshot"}) {
    std::string bytes = result(r, (std::string("snapshots/") + name).c_str());
    bytes[bytes.size() / 2] ^= 1;
    std::ofstream(r.output / "snapshots" / name, std::ios::binary) << bytes;
  }
  notes_.clear();
  std::vector<double> again = run(r, true);
  EXPECT_NE(notes_.find("step-00000009.snapshot: the snapshot is damaged"), std::string::npos) << notes_;
  EXPECT_NE(notes_.find("going on after step 6 of 10"), std::string::npos);
  EXPECT_EQ(again, std::vector<double>(losses.begin() + 6, losses.end()));
}

TEST_F(TrainerTest, SnapshotsAreNeverMixedUp) {
  Recipe r = recipe();
  run(r, false, 3);
  EXPECT_NE(error_of([&] { run(r); }).find("--resume"), std::string::npos);
  r.digest = 8;
  EXPECT_NE(error_of([&] { run(r, true); }).find("a different recipe"), std::string::npos);
  Recipe other = adapters("run");
  EXPECT_NE(error_of([&] { run(other, true); }).find("other parameters"), std::string::npos);
  EXPECT_EQ(snapshots(r.output / "snapshots").size(), 1u);
}

TEST_F(TrainerTest, ANumberThatIsNoneStopsBeforeTheUpdate) {
  Recipe r = recipe();
  Checkpoint checkpoint = open_checkpoint(golden_model());
  TrainingData d = data(r);
  d.stages[0].rows.row = [](int64_t k) {
    TrainingRow row = synthetic_row(k, 2, 16);
    if (k == 9) row.weights[3] = std::numeric_limits<float>::quiet_NaN();  // step 5
    return row;
  };
  std::string error = error_of([&] { train(r, checkpoint, d, false, {}); });
  EXPECT_NE(error.find("step 5: the loss is NaN or infinite"), std::string::npos) << error;
  EXPECT_NE(error.find("document 9.0"), std::string::npos);
  EXPECT_NE(error.find("step-00000003.snapshot"), std::string::npos);
  ASSERT_EQ(snapshots(r.output / "snapshots").size(), 1u);
}

TEST_F(TrainerTest, AJumpNamesTheDocumentsOfItsStep) {
  Recipe r = recipe();
  r.stages[0].steps = r.stages[0].schedule.steps = 16;
  r.stages[0].schedule.lr = 1e-4;
  Checkpoint checkpoint = open_checkpoint(golden_model());
  TrainingData d = data(r);
  d.stages[0].rows.row = [](int64_t k) {
    TrainingRow row = synthetic_row(k, 1, 32);
    if (k < 26) std::fill(row.weights.begin() + 1, row.weights.end(), 0.0f);
    return row;
  };
  std::vector<StepReport> reports;
  r.jump = 1.2;
  train(r, checkpoint, d, false, {.step = [&](const StepReport& s) { reports.push_back(s); }});
  ASSERT_EQ(reports.size(), 16u);
  bool named = false;
  for (const StepReport& s : reports)
    for (const std::string& document : s.suspicious) {
      EXPECT_GT(s.step, 10);
      named |= document == fmt::format("document {}.0", 2 * (s.step - 1));
    }
  EXPECT_TRUE(named);
}

TEST_F(TrainerTest, ReportsHoldWhatOneSees) {
  Recipe r = recipe();
  r.validation_steps = 5, r.validation_lengths = {8, 48};
  run(r);
  const StepReport& s = reports_.at(4);
  EXPECT_EQ(s.step, 5);
  EXPECT_EQ(s.steps, 10);
  EXPECT_EQ(s.tokens, 64);
  EXPECT_DOUBLE_EQ(s.lr, learning_rate(r.stages[0].schedule, 5));
  EXPECT_GT(s.grad_norm, 0);
  EXPECT_GT(s.mfu, 0);
  EXPECT_LT(s.mfu, 1);
  EXPECT_GT(s.memory, 1 << 20);
  EXPECT_TRUE(std::isnan(s.divergence));
  EXPECT_EQ(reports_.back().seconds_left, 0);
  ASSERT_EQ(validations_.size(), 3u);  // before the first step, after 5 and 10
  EXPECT_EQ(validations_[1].step, 5);
  EXPECT_EQ(validations_[1].loss[1].first, 48);
  EXPECT_LT(validations_[2].loss[1].second, validations_[0].loss[1].second);
}

TEST_F(TrainerTest, ValidationIsTheLossOfTheLastTokens) {
  Checkpoint checkpoint = open_checkpoint(golden_model());
  ModelConfig config = read_config(checkpoint);
  TrainingModel m =
      make_training_model(checkpoint, config, host_device(kernels()), Compute::F32, {.all = true}, 1);
  TrainingRow row = synthetic_row(4, 1, 48);
  PositionSpec spec = position_spec(config.position, config.head_shape(), 48);
  auto buffers = make_training_buffers(m, spec, 48, {});
  RowLoss loss = row_gradient(m, spec, row, 0, *buffers);
  auto found = validation_loss(m.model, config.position, {row.ids}, {48}, {});
  EXPECT_NEAR(found.at(0).second, loss.loss / 47, 1e-5);
}

TEST_F(TrainerTest, TheWrittenModelIsTheTrainedOne) {
  Recipe r = recipe();
  r.stages[0].position = "linear:factor=2";
  run(r);
  Checkpoint written = open_checkpoint(r.output / "model");
  ModelConfig config = read_config(written);
  EXPECT_EQ(config.position.method, "linear");
  EXPECT_EQ(extended_context(config.position), 128);
  TrainingModel m = make_training_model(written, config, host_device(kernels()), Compute::F32,
                                        {.all = true, .embeddings = true}, 1);
  TrainingModel again = make_training_model(open_checkpoint(golden_model()), config, host_device(kernels()),
                                            Compute::F32, {.all = true, .embeddings = true}, 1);
  Moments moments = make_moments(again);
  read_snapshot(snapshots(r.output / "snapshots")[0], again, moments);
  ASSERT_EQ(m.parameters.size(), again.parameters.size());
  for (size_t i = 0; i < m.parameters.size(); ++i)
    EXPECT_EQ(std::memcmp(m.parameters[i].value.data, again.parameters[i].value.data,
                          static_cast<size_t>(m.parameters[i].value.bytes())),
              0)
        << m.parameters[i].name;
}

/// Held-out loss of a model under its own positions.
double held_out(const Model& model) {
  return validation_loss(model, model.config.position, {synthetic_row(77, 1, 48).ids}, {48}, {})[0].second;
}

TEST_F(TrainerTest, AdaptersComeBackAndMergeIntoTheSameModel) {
  Recipe r = adapters("run");
  r.merge = true;
  r.validation_steps = 10, r.validation_lengths = {48};
  run(r);
  Json config = parse_json_file(r.output / "adapter" / "adapter_config.json");
  EXPECT_EQ(config["r"], 4);
  EXPECT_EQ(config["lora_alpha"], 8.0);
  EXPECT_EQ(config["target_modules"], Json({"q_proj", "o_proj", "down_proj"}));
  EXPECT_EQ(config["modules_to_save"], Json({"input_layernorm", "norm", "post_attention_layernorm"}));
  EXPECT_TRUE(adapter_position(r.output / "adapter").starts_with("rope:"));

  auto load = [](const fs::path& path, Checkpoint& checkpoint) {
    checkpoint = open_checkpoint(path);
    Model model;
    model.config = read_config(checkpoint);
    model.weights = load_weights(checkpoint, model.config);
    model.device = host_device(kernels());
    return model;
  };
  Checkpoint base, merged;
  Model adapted = load(golden_model(), base);
  double before = held_out(adapted);
  std::vector<NamedTensor> whole = load_adapter(r.output / "adapter", adapted);
  EXPECT_EQ(whole.size(), 5u);  // norms
  double after = held_out(adapted);
  EXPECT_GT(std::abs(after - before), 0.01);
  EXPECT_NEAR(held_out(load(r.output / "merged", merged)), after, 1e-4);

  Checkpoint other_checkpoint;
  Model other = load(golden_model("mqa"), other_checkpoint);
  std::string error = error_of([&] { load_adapter(r.output / "adapter", other); });
  EXPECT_NE(error.find("adapter_model.safetensors"), std::string::npos) << error;
}

TEST_F(TrainerTest, PeftFindsTheAdaptersPositionsInItsBase) {
  Recipe r = adapters("same");
  run(r);
  auto base_of = [](const Recipe& recipe) {
    return parse_json_file(recipe.output / "adapter" / "adapter_config.json")["base_model_name_or_path"]
        .get<std::string>();
  };
  EXPECT_EQ(base_of(r), fs::absolute(golden_model()).string());
  EXPECT_FALSE(fs::exists(r.output / "base"));

  Recipe stretched = adapters("stretched");
  for (Stage& stage : stretched.stages) stage.position = "linear:factor=2";
  run(stretched);
  fs::path base = base_of(stretched);
  EXPECT_EQ(base, fs::absolute(stretched.output / "base"));
  EXPECT_TRUE(fs::is_symlink(base / "model.safetensors"));
  Checkpoint opened = open_checkpoint(base);
  EXPECT_EQ(opened.metadata["rope_parameters"]["rope_type"], "linear");  // as transformers reads it
  EXPECT_EQ(opened.metadata["rope_parameters"]["factor"], 2.0);
  std::string readme = read_file(stretched.output / "adapter" / "README.md");
  EXPECT_NE(readme.find("PeftModel.from_pretrained(base, "), std::string::npos);
  EXPECT_NE(readme.find(base.string()), std::string::npos);
}

TEST_F(TrainerTest, AveragesAndSharesOfTheOriginal) {
  Recipe plain = recipe("plain"), half = recipe("half");
  half.original_share = 1;
  run(plain), run(half);
  Checkpoint original = open_checkpoint(golden_model()), written = open_checkpoint(half.output / "model");
  for (const NamedTensor& t : original.tensors)
    EXPECT_EQ(std::memcmp(written.require(t.name).data, t.tensor.data, static_cast<size_t>(t.tensor.bytes())),
              0)
        << t.name;
  Recipe mean = recipe("mean");
  mean.averaged = 2;  // after steps 9 and 10
  run(mean);
  EXPECT_NE(result(mean, "model/model.safetensors"), result(plain, "model/model.safetensors"));
}

TEST_F(TrainerTest, TooLittleMemoryIsSaidBeforeAnythingStarts) {
  EXPECT_NE(error_of([] {
              check_memory({{"gradients", int64_t{1} << 60}, {"moments", 5}}, int64_t{1} << 50);
            }).find("gradients"),
            std::string::npos);
  Checkpoint checkpoint = open_checkpoint(golden_model());
  auto table = training_memory(recipe(), checkpoint);
  int64_t gradients = 0;
  for (const auto& [label, bytes] : table)
    if (label == "gradients") gradients = bytes;
  TrainingModel m = make_training_model(checkpoint, read_config(checkpoint), host_device(kernels()),
                                        Compute::F32, {.all = true, .embeddings = true}, 1);
  int64_t elements = 0;
  for (const Parameter& p : m.parameters) elements += p.value.rows() * p.value.cols();
  EXPECT_EQ(gradients, 4 * elements);
  // Over the limit by a byte, at the limit, and where the system does not say.
  EXPECT_NE(error_of([] { check_memory({{"gradients", 11}}, 10); }), "no error");
  EXPECT_EQ(error_of([] { check_memory({{"gradients", 10}}, 10); }), "no error");
  EXPECT_EQ(error_of([] { check_memory({{"gradients", int64_t{1} << 60}}, std::nullopt); }), "no error");
  EXPECT_NE(error_of([] {
              check_memory({{"gradients", 1}}, 0);
            }),
            "no error");  // a full container is not unknown
}

/// The cache of the longest held-out text and the buffers of a chunk, beside the buffers of training.
TEST_F(TrainerTest, MemoryCountsWhatValidationAllocates) {
  Checkpoint checkpoint = open_checkpoint(golden_model());
  ModelConfig config = read_config(checkpoint);
  auto counted = [&](const Recipe& r) {
    for (const auto& [label, bytes] : training_memory(r, checkpoint))
      if (label == "validation") return bytes;
    return int64_t{0};
  };
  Recipe r = recipe();
  r.validation_lengths = {16, 700, 40};
  EXPECT_EQ(counted(r), 0);  // steps = 0: never
  r.validation_steps = 5;
  for (const char* position : {"yarn:factor=16", "self_extend:group=16,window=16"}) {
    r.stages[0].position = position;
    PositionSpec spec = position_spec(stage_position(r.stages[0], config), config.head_shape(), 700);
    Model model{.device = host_device(kernels()), .config = config};
    auto pool = std::make_shared<KvPool>(
        *model.device, kv_layout(config, {DType::F32, DType::F32}, key_copies(spec)), pages_for(700));
    KvCache cache(pool);
    cache.reserve(700);
    int64_t allocated = std::ssize(cache.pages()) * pool->layout().page_bytes() +
                        make_activations(model, spec, kValidationChunk).arena.bytes();
    EXPECT_EQ(counted(r), allocated) << position;
  }
}

}  // namespace
}  // namespace longspan
