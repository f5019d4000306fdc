// Rows behind a frozen context: their loss is that of reading context and row as one text, and their gradient
// that of this loss while the context's keys and values stay as they are.
#include "model/frozen_context.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/random.h"
#include "base/threads.h"
#include "model/golden.h"
#include "model/training.h"
#include "model/training_buffers.h"

namespace longspan {
namespace {

constexpr int64_t kTokens = 48, kContext = 700;  // of a pass; of a context, two whole pages of which are far
const Trained kEverything{.all = true, .projections = {}, .embeddings = true};
const TrainingPlan kRecompute{.recompute = true, .head_chunk = 7};

/// One, two and three zones, with and without frequencies that stretch.
const char* const kPositions[] = {"",
                                  "abf:base=1e6,length=1024",
                                  "yarn:factor=16",
                                  "rerope:window=30,log_n=1,original=64",
                                  "self_extend:window=40,group=16",
                                  "nlpe:window=24,log_n=1,original=32"};

struct Trainee {
  Checkpoint checkpoint;
  TrainingModel m;
  PositionSpec spec;
  std::shared_ptr<TrainingBuffers> buffers;
};

Trainee trainee(const std::string& position, const Trained& trained = kEverything,
                const TrainingPlan& plan = kRecompute, const Kernels& k = kernels(),
                Compute compute = Compute::F32, int64_t tokens = kTokens) {
  Trainee t{open_checkpoint(golden_dir() / "gqa"), {}, {}, {}};
  ModelConfig config = read_config(t.checkpoint);
  if (!position.empty()) config.position = parse_position(position, config.position);
  t.m = make_training_model(t.checkpoint, config, device_with(k), compute, trained, 3);
  t.spec = position_spec(config.position, config.head_shape(), 1024);
  t.buffers = make_training_buffers(t.m, t.spec, tokens, plan, kContext);
  return t;
}

/// Documents of these sizes behind a context of `context` tokens; every second token counts, with weights
/// that differ.
TrainingRow frozen_row(int64_t context, const std::vector<int64_t>& sizes) {
  Random random(static_cast<uint64_t>(context));
  TrainingRow row;
  auto token = [&] { return static_cast<int32_t>(random.below(kGoldenVocab)); };
  for (int64_t t = 0; t < context; ++t) row.context.push_back(token());
  for (int64_t size : sizes) {
    int64_t start = row.tokens();
    std::vector<int32_t> ids;
    for (int64_t t = 0; t < size; ++t) ids.push_back(token());
    for (int64_t t = 0; t < size; ++t) {
      bool counts = t + 1 < size && t % 2 == 1;
      row.ids.push_back(ids[static_cast<size_t>(t)]);
      row.positions.push_back(static_cast<double>(context + t));
      row.starts.push_back(start);
      row.targets.push_back(t + 1 < size ? ids[static_cast<size_t>(t) + 1] : -1);
      row.weights.push_back(counts ? 0.5f + static_cast<float>(random.uniform()) : 0.0f);
    }
  }
  return row;
}

/// The cache of the context alone.
KvCache read_context(const Trainee& t, const TrainingRow& row, Activations& a) {
  KvCache cache(std::make_shared<KvPool>(
      *t.m.model.device, kv_layout(t.m.model.config, {DType::F32, DType::F32}, key_copies(t.spec)),
      pages_for(kContext) + 4));
  read(t.m.model, cache, t.spec, row.context, a, {});
  return cache;
}

/// The loss of the row's documents by inference: each is read behind a fork of the cache.
double loss_behind(const Trainee& t, const KvCache& cache, const TrainingRow& row, Activations& a) {
  double loss = 0;
  for (size_t begin = 0, end = 0; begin < row.ids.size(); begin = end) {
    for (end = begin; end < row.ids.size() && row.starts[end] == static_cast<int64_t>(begin);) ++end;
    KvCache fork = cache.fork(cache.length());
    std::span<const int32_t> ids = std::span(row.ids).subspan(begin, end - begin);
    std::vector<float> log_probs;
    Reading reading{.from = 0, .to = ids.size() - 1};
    reading.on_hidden = [&](Tensor hidden, size_t first) {
      append_log_probs(t.m.model, hidden, ids.subspan(first + 1, static_cast<size_t>(hidden.rows())), a,
                       log_probs);
    };
    read(t.m.model, fork, t.spec, ids, a, reading);
    for (size_t i = 0; i < log_probs.size(); ++i) loss -= row.weights[begin + i] * log_probs[i];
  }
  return loss;
}

double norm(const Tensor& x) {
  double squares = 0;
  for (int64_t t = 0; t < x.rows(); ++t)
    for (int64_t i = 0; i < x.cols(); ++i) squares += std::pow(x.row(t)[i], 2);
  return std::sqrt(squares);
}

double distance(const Tensor& a, const Tensor& b) {
  double sum = 0;
  for (int64_t t = 0; t < a.rows(); ++t)
    for (int64_t i = 0; i < a.cols(); ++i) sum += std::pow(static_cast<double>(a.row(t)[i]) - b.row(t)[i], 2);
  return std::sqrt(sum);
}

class FrozenContextOn : public testing::TestWithParam<const Kernels*> {
 protected:
  void SetUp() override {
    if (!GetParam()->supported()) GTEST_SKIP() << "this processor lacks " << GetParam()->name;
    set_threads(1);
  }
};
INSTANTIATE_TEST_SUITE_P(Model, FrozenContextOn, testing::ValuesIn(all_kernels_here()),
                         [](const auto& info) { return std::string(info.param->name); });

TEST_P(FrozenContextOn, TheLossIsThatOfReadingContextAndRow) {
  for (const char* position : kPositions)
    // All near; whole pages; a page that the rows have to copy; several pages far.
    for (int64_t context : {20, 256, 300, 700}) {
      Trainee t = trainee(position, kEverything, kRecompute, *GetParam());
      TrainingRow row = frozen_row(context, {9, 2, 17, 5});
      RowLoss got = row_gradient(t.m, t.spec, row, 1, *t.buffers);
      Activations a = make_activations(t.m.model, t.spec, 64);
      double want = loss_behind(t, read_context(t, row, a), row, a);
      EXPECT_NEAR(got.loss, want, 2e-5 * want) << position << " " << context;
      EXPECT_EQ(got.targets, 4 + 8 + 2);
    }
}

TEST_P(FrozenContextOn, GradientsAreThoseOfThePlainLoops) {
  for (const char* position : kPositions) {
    Trainee t = trainee(position, kEverything, kRecompute, *GetParam()),
            plain = trainee(position, kEverything, kRecompute, kernels_named("reference"));
    TrainingRow row = frozen_row(kContext, {9, 2, 17, 5});
    row_gradient(t.m, t.spec, row, 1, *t.buffers);
    row_gradient(plain.m, plain.spec, row, 1, *plain.buffers);
    for (size_t i = 0; i < t.m.parameters.size(); ++i) {
      Arena host;
      Tensor got = to_host(*t.m.model.device, t.m.parameters[i].gradient, host);
      EXPECT_LT(distance(got, plain.m.parameters[i].gradient), 2e-4 * norm(plain.m.parameters[i].gradient))
          << position << " " << t.m.parameters[i].name;
    }
  }
}

/// Derivatives of `loss` along each parameter's gradient and along a random direction, by central
/// differences.
void expect_differences(TrainingModel& m, const std::function<double()>& loss, const std::string& what) {
  Random random(4);
  for (Parameter& p : m.parameters) {
    auto rows = p.value.rows(), cols = p.value.cols();
    std::vector<float> before(p.value.row(0), p.value.row(0) + rows * cols);
    double length = norm(p.gradient);
    ASSERT_GT(length, 0) << what << p.name;
    for (bool along : {true, false}) {
      std::vector<double> direction(before.size());
      double squares = 0, wanted = 0;
      for (size_t i = 0; i < direction.size(); ++i) {
        direction[i] = along ? p.gradient.row(0)[i] : random.normal();
        squares += direction[i] * direction[i];
      }
      for (size_t i = 0; i < direction.size(); ++i) {
        direction[i] /= std::sqrt(squares);
        wanted += direction[i] * p.gradient.row(0)[i];
      }
      constexpr double kStep = 4e-3;
      auto at = [&](double step) {
        for (size_t i = 0; i < before.size(); ++i)
          p.value.row(0)[i] = before[i] + static_cast<float>(step * direction[i]);
        parameters_changed(m);
        return loss();
      };
      double slope = (at(kStep) - at(-kStep)) / (2 * kStep);
      EXPECT_NEAR(slope, wanted, 0.01 * length + 2e-3) << what << p.name << (along ? "" : ", random");
    }
    std::copy(before.begin(), before.end(), p.value.row(0));
    parameters_changed(m);
  }
}

TEST(FrozenContext, TheGradientIsThatOfTheRowsWhileTheContextsCacheIsHeld) {
  set_threads(2);
  for (const char* position :
       {"", "rerope:window=30,log_n=1,original=64", "nlpe:window=24,log_n=1,original=32"}) {
    Trainee t = trainee(position);
    TrainingRow row = frozen_row(kContext, {9, 2, 17, 5});
    Activations a = make_activations(t.m.model, t.spec, 64);
    KvCache held = read_context(t, row, a);
    row_gradient(t.m, t.spec, row, 1, *t.buffers);
    expect_differences(
        t.m, [&] { return loss_behind(t, held, row, a); }, std::string(position) + " ");
  }
}

TEST(FrozenContext, EveryPlanAndAnyNumberOfPassesGiveTheSame) {
  set_threads(2);
  const TrainingRow row = frozen_row(kContext, {9, 2, 17, 5, 11});
  const char* position = "rerope:window=30,log_n=1,original=64";
  Trainee whole = trainee(position);
  RowLoss loss = row_gradient(whole.m, whole.spec, row, 1, *whole.buffers);
  for (const TrainingPlan& plan :
       {TrainingPlan{.recompute = false, .head_chunk = 7},
        TrainingPlan{.recompute = true, .keep_attention = false, .head_chunk = 7}}) {
    Trainee t = trainee(position, kEverything, plan);
    row_gradient(t.m, t.spec, row, 1, *t.buffers);
    for (size_t i = 0; i < t.m.parameters.size(); ++i)
      EXPECT_EQ(distance(t.m.parameters[i].gradient, whole.m.parameters[i].gradient), 0)
          << t.m.parameters[i].name;
  }
  Trainee small = trainee(position, kEverything, kRecompute, kernels(), Compute::F32, 20);  // three passes
  RowLoss again = row_gradient(small.m, small.spec, row, 1, *small.buffers);
  EXPECT_NEAR(again.loss, loss.loss, 1e-5 * loss.loss);
  EXPECT_EQ(again.targets, loss.targets);
  EXPECT_NEAR(again.weight, loss.weight, 1e-6);
  for (size_t i = 0; i < small.m.parameters.size(); ++i)
    EXPECT_LT(distance(small.m.parameters[i].gradient, whole.m.parameters[i].gradient),
              1e-4 * norm(whole.m.parameters[i].gradient));
  // The same buffers for another context, and for a row without one.
  TrainingRow other = frozen_row(290, {4, 4});
  Trainee fresh = trainee(position);
  EXPECT_EQ(row_gradient(whole.m, whole.spec, other, 0, *whole.buffers).loss,
            row_gradient(fresh.m, fresh.spec, other, 0, *fresh.buffers).loss);
  other.context.clear();
  EXPECT_EQ(row_gradient(whole.m, whole.spec, other, 0, *whole.buffers).loss,
            row_gradient(fresh.m, fresh.spec, other, 0, *fresh.buffers).loss);
}

TEST(FrozenContext, ManyShortRows) {
  set_threads(2);
  std::vector<int64_t> sizes(300, 2);  // more than one pass may have
  for (int64_t& size : sizes) size = 3;
  Trainee t =
      trainee("rerope:window=30,log_n=1,original=64", kEverything, kRecompute, kernels(), Compute::F32, 1024);
  TrainingRow row = frozen_row(600, sizes);
  RowLoss got = row_gradient(t.m, t.spec, row, 0, *t.buffers);
  Activations a = make_activations(t.m.model, t.spec, 64);
  double want = loss_behind(t, read_context(t, row, a), row, a);
  EXPECT_NEAR(got.loss, want, 2e-5 * want);
}

TEST_P(FrozenContextOn, Bf16IsNearF32) {
  const Kernels& k = *GetParam();
  if (k.preferred != Compute::BF16) GTEST_SKIP() << k.name << " does not multiply BF16";
  const char* position = "rerope:window=30,log_n=1,original=64";
  TrainingRow row = frozen_row(kContext, {9, 2, 17, 5});
  Trainee exact = trainee(position), coarse = trainee(position, kEverything, kRecompute, k, Compute::BF16);
  RowLoss a = row_gradient(exact.m, exact.spec, row, 1, *exact.buffers),
          b = row_gradient(coarse.m, coarse.spec, row, 1, *coarse.buffers);
  EXPECT_NEAR(a.loss, b.loss, 0.01 * a.loss);
  // Dozens of roundings in a model of large random weights, and those of the context's keys and values.
  for (size_t i = 0; i < exact.m.parameters.size(); ++i) {
    Arena host;
    Tensor got = to_host(*coarse.m.model.device, coarse.m.parameters[i].gradient, host);
    EXPECT_LT(distance(exact.m.parameters[i].gradient, got), 0.15 * norm(exact.m.parameters[i].gradient))
        << exact.m.parameters[i].name;
  }
}

TEST(FrozenContext, BytesAreWhatIsAllocated) {
  for (const char* position : kPositions)
    for (int64_t context : {100, 300, 5000}) {
      Trainee t = trainee(position);
      FrozenContext made(t.m.model, t.spec, context, 40, DType::F32);
      EXPECT_EQ(made.allocated(),
                FrozenContext::bytes(t.m.model.config, t.spec, context, 40, DType::F32, kernels(), 0))
          << position << " " << context;
    }
}

TEST(FrozenContext, MethodsThatCannotHaveOneAreRefused) {
  ModelConfig config = read_config(open_checkpoint(golden_dir() / "gqa"));
  auto error = [&](const char* position) {
    try {
      PositionConfig p = parse_position(position, config.position);
      check_frozen(config, position_spec(p, config.head_shape(), 64));
      return std::string();
    } catch (const Error& e) {
      return std::string(e.what());
    }
  };
  EXPECT_NE(error("alibi").find("slopes of distance"), std::string::npos);
  EXPECT_NE(error("dual_chunk:size=12,local=4").find("counted in chunks"), std::string::npos);
  EXPECT_EQ(error("rerope:window=30,log_n=1"), "");
}

}  // namespace
}  // namespace longspan
