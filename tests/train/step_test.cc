// One step: AdamW by hand, accumulation, the rows that it takes, and when a figure counts as a jump.
#include "train/step.h"

#include <chrono>
#include <cmath>
#include <cstring>
#include <thread>

#include "model/flops.h"
#include "train/fixture.h"
#include "train/jumps.h"

namespace longspan {
namespace {

/// L2, over all gradients.
double gradient_norm(const TrainingModel& m) {
  std::vector<Tensor> gradients;
  for (const Parameter& p : m.parameters) gradients.push_back(p.gradient);
  double squares = 0;
  kernels().sum_of_squares(host_vector(&squares, DType::F64, 1), gradients);
  return std::sqrt(squares);
}

class StepTest : public TrainTest {
 protected:
  TrainingModel model(const Trained& trained) {
    return make_training_model(checkpoint_, config_, host_device(kernels()), Compute::F32, trained, 1);
  }
  /// Gradients of the batch, one after the other.
  std::vector<float> gradients(const std::vector<TrainingRow>& rows, StepLoss* loss = nullptr) {
    TrainingModel m = model({.all = true, .embeddings = true});
    Stage stage;
    stage.name = "s", stage.row_tokens = 64;
    StagePositions positions = stage_positions(stage, config_);
    auto buffers = make_training_buffers(m, positions.spec, 64, {});
    StepRows step{rows, {}};
    StepScalars scalars = make_step_scalars(m);
    StepLoss got = batch_gradient(m, positions, {}, {}, step, *buffers, scalars);
    EXPECT_NEAR(got.gradient_norm, gradient_norm(m), 1e-9 * got.gradient_norm);
    if (loss) *loss = got;
    std::vector<float> all;
    for (const Parameter& p : m.parameters) {
      const auto* g = static_cast<const float*>(p.gradient.data);
      all.insert(all.end(), g, g + p.gradient.rows() * p.gradient.cols());
    }
    return all;
  }

  Checkpoint checkpoint_ = open_checkpoint(golden_model());
  ModelConfig config_ = read_config(checkpoint_);
};

TEST_F(StepTest, UpdateIsAdamWWithClippingAndDecayWhereItBelongs) {
  TrainingModel m = model({.all = true});
  Moments moments = make_moments(m);
  Recipe r = recipe();
  r.beta1 = 0.8, r.beta2 = 0.9, r.eps = 1e-3, r.weight_decay = 0.5, r.clip = 2;
  auto at = [](Tensor t) { return static_cast<float*>(t.data); };
  size_t norm_index = m.parameters.size(), matrix_index = norm_index;
  for (size_t i = 0; i < m.parameters.size(); ++i) {
    if (m.parameters[i].name == "model.norm.weight") norm_index = i;
    if (m.parameters[i].name == "model.layers.1.mlp.up_proj.weight") matrix_index = i;
  }
  ASSERT_LT(norm_index, m.parameters.size());
  ASSERT_LT(matrix_index, m.parameters.size());
  at(m.parameters[norm_index].gradient)[0] = 3;
  at(m.parameters[matrix_index].gradient)[5] = -4;
  double norm = gradient_norm(m);
  EXPECT_NEAR(norm, 5, 1e-6);
  double before[2] = {at(m.parameters[norm_index].value)[0], at(m.parameters[matrix_index].value)[5]};
  double g[2] = {3 * 0.4, -4 * 0.4}, first[2] = {0, 0}, second[2] = {0, 0};  // clipped to norm 2
  for (int step = 1; step <= 3; ++step) {
    update(m, moments, r, 0.01, norm, step);
    for (int i = 0; i < 2; ++i) {
      first[i] = 0.8 * first[i] + 0.2 * g[i], second[i] = 0.9 * second[i] + 0.1 * g[i] * g[i];
      double direction =
          first[i] / (1 - std::pow(0.8, step)) / (std::sqrt(second[i] / (1 - std::pow(0.9, step))) + 1e-3);
      before[i] -= 0.01 * (direction + (i == 1 ? 0.5 * before[i] : 0));
    }
  }
  EXPECT_NEAR(at(m.parameters[norm_index].value)[0], before[0], 2e-6);
  EXPECT_NEAR(at(m.parameters[matrix_index].value)[5], before[1], 2e-6);
  zero_gradients(m);
  EXPECT_EQ(gradient_norm(m), 0);
}

TEST_F(StepTest, NormsHaveARateOfTheirOwn) {
  TrainingModel m =
      model({.lora_rank = 2, .projections = {"q_proj"}, .norms = true, .norm_lr = 0.25, .lora_start = 3});
  Moments moments = make_moments(m);
  Recipe r = recipe();
  r.eps = 0, r.weight_decay = 0, r.clip = 0;
  std::vector<float> before;
  double largest = 0;
  for (const Parameter& p : m.parameters) {
    auto* values = static_cast<float*>(p.value.data);
    before.push_back(values[0]);
    static_cast<float*>(p.gradient.data)[0] = 7;
    for (int64_t i = 0; p.name.ends_with("lora_A.weight") && i < p.value.rows() * p.value.cols(); ++i)
      largest = std::max<double>(largest, std::fabs(values[i]));
  }
  EXPECT_GT(largest, 2.5 / std::sqrt(32));  // A begins in U(-3 / sqrt(32), 3 / sqrt(32))
  EXPECT_LE(largest, 3 / std::sqrt(32));
  update(m, moments, r, 0.01, 1, 1);  // the first step is lr times the sign
  for (size_t i = 0; i < m.parameters.size(); ++i) {
    const Parameter& p = m.parameters[i];
    double rate = p.name.ends_with("norm.weight") ? 0.25 : 1;
    EXPECT_NEAR(static_cast<float*>(p.value.data)[0], before[i] - 0.01 * rate, 1e-6) << p.name;
  }
}

TEST_F(StepTest, DocumentsInOneRowOrInTwoGiveTheSameGradient) {
  TrainingRow both = synthetic_row(3, 2, 24), first = both, second = both;
  auto cut = [](auto& v, size_t begin, size_t end) {
    v = {v.begin() + static_cast<long>(begin), v.begin() + static_cast<long>(end)};
  };
  auto cut_row = [&](TrainingRow& row, size_t begin, size_t end) {
    cut(row.ids, begin, end), cut(row.positions, begin, end), cut(row.targets, begin, end);
    cut(row.weights, begin, end), cut(row.starts, begin, end);
    for (int64_t& s : row.starts) s -= static_cast<int64_t>(begin);
  };
  cut_row(first, 0, 24), cut_row(second, 24, 48);
  second.weights[0] = both.weights[24] = 5;  // the mean is over the whole batch, not of means of rows
  StepLoss one, two;
  std::vector<float> a = gradients({both}, &one), b = gradients({first, second}, &two);
  EXPECT_NEAR(one.loss, two.loss, 1e-6);
  EXPECT_EQ(one.targets, 46);
  EXPECT_EQ(two.targets, 46);
  double difference = 0, size = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    difference += (a[i] - b[i]) * (a[i] - b[i]);
    size += a[i] * a[i];
  }
  EXPECT_GT(size, 0);
  EXPECT_LT(std::sqrt(difference / size), 1e-5);
}

TEST_F(StepTest, RowsAreTakenUntilTheBatchIsNearestToItsTokens) {
  Stage stage;
  stage.row_tokens = 32, stage.batch_tokens = 96;
  stage.short_rows.rows = 2;
  RunState state;
  state.rows = 5, state.short_rows = 7;
  StageRows rows{synthetic_source(2, 16), synthetic_source(1, 8)};
  StepRows step = next_rows(stage, rows, state);
  ASSERT_EQ(step.rows.size(), 3u);  // of 32
  EXPECT_EQ(step.rows[0].ids, synthetic_row(5, 2, 16).ids);
  EXPECT_EQ(step.rows[2].ids, synthetic_row(7, 2, 16).ids);
  ASSERT_EQ(step.short_rows.size(), 2u);
  EXPECT_EQ(step.short_rows[1].ids, synthetic_row(8, 1, 8).ids);
  EXPECT_EQ(step.tokens(), 3 * 32 + 16);
  EXPECT_EQ(step.documents()[1], "document 5.1");
  rows.rows = synthetic_source(1, 31);
  EXPECT_EQ(next_rows(stage, rows, state).rows.size(), 3u);  // 93 is nearer than 124
  rows.rows = synthetic_source(1, 16);
  EXPECT_EQ(next_rows(stage, rows, state).rows.size(), 5u);  // 80: another one might be of 32
  stage.batch_tokens = 10;
  EXPECT_EQ(next_rows(stage, rows, state).rows.size(), 1u);
}

TEST_F(StepTest, MethodsThatDependOnTheLengthTakeThatOfTheRow) {
  Stage stage;
  stage.name = "s", stage.row_tokens = 256, stage.position = "dynamic_ntk:factor=2";
  StagePositions p = stage_positions(stage, config_);
  TrainingRow row = synthetic_row(1, 1, 200);
  EXPECT_EQ(p.of(row), position_spec(p.config, config_.head_shape(), 200));
  EXPECT_NE(p.of(row).inv_freq, p.spec.inv_freq);
  stage.position = "yarn:factor=4";
  p = stage_positions(stage, config_);
  EXPECT_EQ(p.of(row), p.spec);
}

TEST_F(StepTest, ShapesGiveTheElementsThatTrain) {
  for (const Trained& trained :
       {Trained{.all = true}, Trained{.all = true, .embeddings = true},
        Trained{.lora_rank = 3, .projections = {"q_proj", "k_proj", "down_proj"}, .norms = true}}) {
    TrainingModel m = model(trained);
    int64_t n = 0;
    for (const Parameter& p : m.parameters) n += p.value.rows() * p.value.cols();
    EXPECT_EQ(trained_elements(config_, trained), n);
  }
}

TEST_F(StepTest, FlopsCountProductsAndWhatADocumentSees) {
  // Products of a token: 2 layers of q, o 32 x 32, k, v 16 x 32, gate, up, down 64 x 32; norms; head 64 x 32.
  double weights = 2 * (2 * 1024 + 2 * 512 + 3 * 2048 + 64) + 32 + 2048;
  TrainingRow one = synthetic_row(1, 1, 32), two = synthetic_row(1, 2, 16);
  double seen_one = 32 * 33 / 2, seen_two = 2 * 16 * 17 / 2;
  EXPECT_DOUBLE_EQ(row_flops(config_, {.all = true}, one), 6 * weights * 32 + 12 * 2 * 32 * seen_one);
  EXPECT_DOUBLE_EQ(row_flops(config_, {.all = true}, two), 6 * weights * 32 + 12 * 2 * 32 * seen_two);
  EXPECT_DOUBLE_EQ(forward_flops(config_, one) * 3, row_flops(config_, {.all = true}, one));
}

/// Of a product that takes a known time at least.
TEST(MeasuredPeak, IsFlopsOverTheTimeOfOneProduct) {
  static constexpr auto kProduct = std::chrono::milliseconds(20);
  Kernels slow = *all_kernels()[0];
  slow.linear = [](Tensor, Tensor, const Linear&, bool) { std::this_thread::sleep_for(kProduct); };
  double most = 2.0 * 512 * 1024 * 1024 / std::chrono::duration<double>(kProduct).count();
  double peak = measured_peak(*host_device(slow), Compute::F32);
  EXPECT_LE(peak, most);
  EXPECT_GT(peak, most / 20);  // even when others keep this thread waiting
}

TEST(Jumps, HistoryThatIsNotNumbersIsForgotten) {
  Jumps jumps(Json{{"loss", {1, "two"}}, {"grad_norm", 3}, {"other", {1.0, 2.0}}});
  EXPECT_EQ(jumps.history(), (Json{{"other", {1.0, 2.0}}}));
}

TEST(Jumps, ALongWayAboveTheMedianIsAJump) {
  Jumps jumps;
  for (int i = 0; i < 9; ++i) EXPECT_FALSE(jumps.jumped("loss", i == 4 ? 100 : 1, 3));
  EXPECT_FALSE(jumps.jumped("loss", 1, 3));
  EXPECT_FALSE(jumps.jumped("loss", 2.9, 3));
  EXPECT_TRUE(jumps.jumped("loss", 3, 3));
  EXPECT_FALSE(jumps.jumped("grad_norm", 1000, 3));  // a series of its own
  Jumps again(jumps.history());
  EXPECT_TRUE(again.jumped("loss", 3, 3));
  for (int i = 0; i < 200; ++i) again.jumped("loss", 1, 3);
  EXPECT_EQ(again.history()["loss"].size(), kJumpWindow);
}

}  // namespace
}  // namespace longspan
