// The gradient of a row: every tensor of small models against PyTorch, packed documents against single ones,
// recompute against none, adapters against the full weights they stand for, and the divergence against
// differences.
#include "model/training.h"

#include <gtest/gtest.h>

#include <cstring>

#include "base/error.h"
#include "base/random.h"
#include "base/threads.h"
#include "model/golden.h"

namespace longspan {
namespace {

const TrainingPlan kKeepAll{.recompute = false, .head_chunk = 7};
const TrainingPlan kRecompute{.recompute = true, .head_chunk = 7};
const TrainingPlan kRecomputeAll{.recompute = true, .keep_attention = false, .head_chunk = 7};

struct Trainee {
  Checkpoint checkpoint;
  TrainingModel m;
  PositionSpec spec;
  std::shared_ptr<TrainingBuffers> buffers;
};

Trainee trainee(const std::string& name, const Trained& trained, const TrainingPlan& plan = kRecompute,
                Compute compute = Compute::F32, const Kernels& k = kernels(),
                const std::string& position = "") {
  Trainee t{open_checkpoint(golden_dir() / name), {}, {}, {}};
  ModelConfig config = read_config(t.checkpoint);
  if (!position.empty()) config.position = parse_position(position, config.position);
  t.m = make_training_model(t.checkpoint, config, device_with(k), compute, trained, 3);
  t.spec = position_spec(config.position, config.head_shape(), 64);
  t.buffers = make_training_buffers(t.m, t.spec, 64, plan);
  return t;
}

const Trained kEverything{.all = true, .projections = {}, .embeddings = true};

TrainingRow golden_row(const Json& c) {
  TrainingRow row;
  row.ids = c["ids"].get<std::vector<int32_t>>();
  row.positions = c["positions"].get<std::vector<double>>();
  row.starts = c["starts"].get<std::vector<int64_t>>();
  row.targets = c["targets"].get<std::vector<int32_t>>();
  row.weights = c["weights"].get<std::vector<float>>();
  return row;
}

TrainingRow first_row() { return golden_row(parse_json_file(golden_dir() / "gradients.json")[0]); }

/// Tokens [begin, end) of a row, as a row.
TrainingRow part(const TrainingRow& row, size_t begin, size_t end) {
  auto cut = [&](auto v) {
    return decltype(v)(v.begin() + static_cast<long>(begin), v.begin() + static_cast<long>(end));
  };
  TrainingRow out{cut(row.ids), cut(row.positions), cut(row.starts), cut(row.targets), cut(row.weights), {}};
  for (int64_t& start : out.starts) start -= static_cast<int64_t>(begin);
  return out;
}

double norm(const Tensor& tensor) {
  Arena host;
  Tensor x = tensor.device ? to_host(*tensor.device, tensor, host) : tensor;
  double squares = 0;
  kernels_named("reference").sum_of_squares(host_vector(&squares, DType::F64, 1), std::span(&x, 1));
  return std::sqrt(squares);
}

double distance(const Tensor& first, const Tensor& second) {
  Arena host;
  Tensor a = first.device ? to_host(*first.device, first, host) : first;
  Tensor b = second.device ? to_host(*second.device, second, host) : second;
  double sum = 0;
  for (int64_t t = 0; t < a.rows(); ++t)
    for (int64_t i = 0; i < a.cols(); ++i) sum += std::pow(static_cast<double>(a.row(t)[i]) - b.row(t)[i], 2);
  return std::sqrt(sum);
}

const Parameter& parameter(const TrainingModel& m, const std::string& name) {
  for (const Parameter& p : m.parameters)
    if (p.name == name) return p;
  throw std::runtime_error("no parameter " + name);
}

class Training : public testing::TestWithParam<const Kernels*> {
 protected:
  void SetUp() override {
    if (!GetParam()->supported()) GTEST_SKIP() << "this processor lacks " << GetParam()->name;
    set_threads(1);
  }
};
INSTANTIATE_TEST_SUITE_P(Model, Training, testing::ValuesIn(all_kernels_here()),
                         [](const auto& info) { return std::string(info.param->name); });

TEST_P(Training, EveryGradientEqualsPyTorch) {
  std::ifstream file(golden_dir() / "gradients.f32", std::ios::binary);
  for (const Json& c : parse_json_file(golden_dir() / "gradients.json")) {
    Trainee t = trainee(c["checkpoint"], kEverything, kRecompute, Compute::F32, *GetParam());
    RowLoss loss = row_gradient(t.m, t.spec, golden_row(c), c["scale"], *t.buffers);
    EXPECT_NEAR(loss.loss, c["loss"].get<double>(), 1e-4 * loss.loss) << c["checkpoint"];
    EXPECT_EQ(c["parameters"].size(), t.m.parameters.size());
    for (const Json& p : c["parameters"]) {
      const Parameter& got = parameter(t.m, p["name"]);
      std::vector<float> want(p["size"].get<size_t>());
      file.read(reinterpret_cast<char*>(want.data()),
                static_cast<std::streamsize>(want.size() * sizeof(float)));
      ASSERT_TRUE(file);
      ASSERT_EQ(got.gradient.rows() * got.gradient.cols(), static_cast<int64_t>(want.size()));
      Tensor view = host_matrix(want.data(), DType::F32, got.gradient.rows(), got.gradient.cols());
      EXPECT_LT(distance(got.gradient, view), 1e-4 * norm(view)) << c["checkpoint"] << " " << p["name"];
    }
  }
}

TEST(TrainingRows, PackedDocumentsEqualSingleOnes) {
  TrainingRow row = first_row();
  size_t cut = static_cast<size_t>(row.starts.back());
  Trainee packed = trainee("gqa", kEverything), single = trainee("gqa", kEverything);
  RowLoss together = row_gradient(packed.m, packed.spec, row, 1, *packed.buffers), apart;
  for (const TrainingRow& one : {part(row, 0, cut), part(row, cut, row.ids.size())}) {
    RowLoss loss = row_gradient(single.m, single.spec, one, 1, *single.buffers);
    apart.loss += loss.loss, apart.weight += loss.weight, apart.targets += loss.targets;
  }
  EXPECT_NEAR(together.loss, apart.loss, 1e-6 * apart.loss);
  EXPECT_EQ(together.weight, apart.weight);
  EXPECT_EQ(together.targets, apart.targets);
  for (size_t i = 0; i < packed.m.parameters.size(); ++i)
    EXPECT_LT(distance(packed.m.parameters[i].gradient, single.m.parameters[i].gradient),
              1e-5 * norm(packed.m.parameters[i].gradient))
        << packed.m.parameters[i].name;
}

TEST(TrainingRows, RecomputeGivesTheSameBits) {
  for (Compute compute : {Compute::F32, kernels().preferred})
    for (const char* position : {"", "nlpe:window=8,log_n=1,original=16"}) {
      Trainee kept = trainee("gqa", kEverything, kKeepAll, compute, kernels(), position);
      row_gradient(kept.m, kept.spec, first_row(), 1, *kept.buffers);
      for (const TrainingPlan& plan : {kRecompute, kRecomputeAll}) {
        Trainee made = trainee("gqa", kEverything, plan, compute, kernels(), position);
        row_gradient(made.m, made.spec, first_row(), 1, *made.buffers);
        for (size_t i = 0; i < kept.m.parameters.size(); ++i) {
          const Tensor &a = kept.m.parameters[i].gradient, &b = made.m.parameters[i].gradient;
          EXPECT_EQ(distance(a, b), 0) << kept.m.parameters[i].name;
          EXPECT_GT(norm(a), 0) << kept.m.parameters[i].name;
        }
      }
    }
}

TEST(TrainingRows, Bf16IsNearF32) {
  if (kernels().preferred != Compute::BF16) GTEST_SKIP() << "this processor does not multiply BF16";
  Trainee exact = trainee("gqa", kEverything),
          coarse = trainee("gqa", kEverything, kRecompute, Compute::BF16);
  RowLoss a = row_gradient(exact.m, exact.spec, first_row(), 1, *exact.buffers),
          b = row_gradient(coarse.m, coarse.spec, first_row(), 1, *coarse.buffers);
  EXPECT_NEAR(a.loss, b.loss, 0.01 * a.loss);
  // 2^-9 for each of some dozens of roundings on the way, in a model of large random weights.
  for (size_t i = 0; i < exact.m.parameters.size(); ++i)
    EXPECT_LT(distance(exact.m.parameters[i].gradient, coarse.m.parameters[i].gradient),
              0.06 * norm(exact.m.parameters[i].gradient))
        << exact.m.parameters[i].name;
}

const Trained kLora{.lora_rank = 3,
                    .lora_alpha = 6,
                    .projections = {"q_proj", "v_proj", "o_proj", "down_proj"},
                    .norms = true};

/// B is zero at the start, which would hide A's gradient.
void fill_b(TrainingModel& m) {
  Random random(8);
  for (Parameter& p : m.parameters)
    if (p.name.ends_with("lora_B.weight"))
      for (int64_t r = 0; r < p.value.rows(); ++r)
        for (int64_t i = 0; i < p.value.cols(); ++i)
          p.value.row(r)[i] = 0.2f * static_cast<float>(random.normal());
  parameters_changed(m);
}

TEST(TrainingRows, AdaptersFollowTheWeightsTheyStandFor) {
  Trainee low = trainee("gqa", kLora), full = trainee("gqa", kEverything);
  fill_b(low.m);
  // W + scale B A in the place of W: dA = scale B^T dW, dB = scale dW A^T.
  for (size_t l = 0; l < low.m.model.adapters.size(); ++l) {
    const Adapter& adapter = low.m.model.adapters[l].q;
    ASSERT_EQ(adapter.scale, 2.0f);
    for (auto [role, linear] : {std::pair{&LayerAdapters::q, &LayerWeights::q},
                                {&LayerAdapters::v, &LayerWeights::v},
                                {&LayerAdapters::o, &LayerWeights::o},
                                {&LayerAdapters::down, &LayerWeights::down}}) {
      const Adapter& from = low.m.model.adapters[l].*role;
      Tensor to = (full.m.model.weights.layers[l].*linear).weight;
      for (int64_t j = 0; j < to.rows(); ++j)
        for (int64_t i = 0; i < to.cols(); ++i)
          for (int64_t r = 0; r < 3; ++r)
            to.row(j)[i] += from.scale * from.b.weight.row(j)[r] * from.a.weight.row(r)[i];
    }
  }
  parameters_changed(full.m);
  RowLoss a = row_gradient(low.m, low.spec, first_row(), 1, *low.buffers),
          b = row_gradient(full.m, full.spec, first_row(), 1, *full.buffers);
  EXPECT_NEAR(a.loss, b.loss, 1e-5 * b.loss);
  const Tensor& dw = parameter(full.m, "model.layers.1.self_attn.o_proj.weight").gradient;
  const Parameter &pa = parameter(low.m, "base_model.model.model.layers.1.self_attn.o_proj.lora_A.weight"),
                  &pb = parameter(low.m, "base_model.model.model.layers.1.self_attn.o_proj.lora_B.weight");
  for (int64_t r = 0; r < 3; ++r) {
    for (int64_t i = 0; i < dw.cols(); ++i) {
      double want = 0;
      for (int64_t j = 0; j < dw.rows(); ++j) want += 2.0 * pb.value.row(j)[r] * dw.row(j)[i];
      EXPECT_NEAR(pa.gradient.row(r)[i], want, 1e-4 * norm(pa.gradient));
    }
    for (int64_t j = 0; j < dw.rows(); ++j) {
      double want = 0;
      for (int64_t i = 0; i < dw.cols(); ++i) want += 2.0 * dw.row(j)[i] * pa.value.row(r)[i];
      EXPECT_NEAR(pb.gradient.row(j)[r], want, 1e-4 * norm(pb.gradient));
    }
  }
  for (const Parameter& p : low.m.parameters) {
    if (!p.name.ends_with("norm.weight")) continue;
    EXPECT_LT(distance(p.gradient, parameter(full.m, p.name).gradient), 1e-4 * norm(p.gradient)) << p.name;
  }
}

/// Some elements of every parameter's gradient against central differences of `loss`.
void expect_differences(TrainingModel& m, const std::function<double()>& loss) {
  Random random(4);
  for (Parameter& p : m.parameters) {
    double largest = 0;
    for (int64_t r = 0; r < p.gradient.rows(); ++r)
      for (int64_t i = 0; i < p.gradient.cols(); ++i)
        largest = std::max<double>(largest, std::fabs(p.gradient.row(r)[i]));
    for (int n = 0; n < 3; ++n) {
      auto r = static_cast<int64_t>(random.below(static_cast<uint64_t>(p.value.rows()))),
           i = static_cast<int64_t>(random.below(static_cast<uint64_t>(p.value.cols())));
      float before = p.value.row(r)[i], step = 2e-3f;
      auto at = [&](float x) {
        p.value.row(r)[i] = x;
        parameters_changed(m);
        return loss();
      };
      double up = at(before + step), down = at(before - step);
      p.value.row(r)[i] = before;
      EXPECT_NEAR(p.gradient.row(r)[i], (up - down) / (2.0 * step), 0.02 * largest + 1e-3)
          << p.name << " " << r << "," << i;
    }
    parameters_changed(m);
  }
}

TEST(TrainingRows, DivergenceFromTheModelWithoutItsAdapters) {
  Trainee t = trainee("gqa", {.lora_rank = 2, .lora_alpha = 2, .projections = {"k_proj", "gate_proj"}});
  EXPECT_NEAR(row_divergence(t.m, t.spec, nullptr, t.spec, first_row(), 0, *t.buffers).loss, 0, 1e-5)
      << "B is zero: both are the same model";
  fill_b(t.m);
  RowLoss loss = row_divergence(t.m, t.spec, nullptr, t.spec, first_row(), 1, *t.buffers);
  EXPECT_GT(loss.loss, 0.01);
  expect_differences(
      t.m, [&] { return row_divergence(t.m, t.spec, nullptr, t.spec, first_row(), 0, *t.buffers).loss; });
}

TEST(TrainingRows, DivergenceFromAnotherModelUnderItsOwnPositions) {
  Trainee t = trainee("gqa", kEverything, kRecompute, Compute::F32, kernels(), "linear:factor=3");
  Trainee original = trainee("gqa", kEverything);
  RowLoss loss = row_divergence(t.m, t.spec, &original.m.model, original.spec, first_row(), 1, *t.buffers);
  EXPECT_GT(loss.loss, 0.01);
  auto again = [&] {
    return row_divergence(t.m, t.spec, &original.m.model, original.spec, first_row(), 0, *t.buffers).loss;
  };
  EXPECT_EQ(again(), loss.loss);
  expect_differences(t.m, again);
}

TEST(TrainingRows, ZonesTrainToo) {
  for (const char* position :
       {"nlpe:window=6,log_n=1,original=8", "self_extend:window=6,group=3", "dual_chunk:size=12,local=4"}) {
    Trainee t = trainee("gqa", kEverything, kRecompute, Compute::F32, kernels(), position);
    row_gradient(t.m, t.spec, first_row(), 1, *t.buffers);
    expect_differences(t.m, [&] { return row_gradient(t.m, t.spec, first_row(), 0, *t.buffers).loss; });
  }
}

// Scaled embeddings, norms behind both halves, local layers with a frequency of their own, GELU.
TEST(TrainingRows, GemmaTrains) {
  for (const Trained& trained :
       {kEverything, Trained{.lora_rank = 2, .projections = {"o_proj", "down_proj"}, .norms = true}}) {
    Trainee t = trainee("gemma3", trained);
    if (trained.lora_rank > 0) fill_b(t.m);
    row_gradient(t.m, t.spec, first_row(), 1, *t.buffers);
    expect_differences(t.m, [&] { return row_gradient(t.m, t.spec, first_row(), 0, *t.buffers).loss; });
  }
}

// The head's rows are divided by their L2 norm in front of every product.
TEST(TrainingRows, NormHeadTrains) {
  Trainee t = trainee("index", kEverything);
  ASSERT_TRUE(t.m.model.config.norm_head);
  const Parameter& head = parameter(t.m, "lm_head.weight");
  for (int64_t i = 0; i < head.value.cols(); ++i) head.value.row(3)[i] *= 1.7f;  // of any length
  parameters_changed(t.m);
  double length = 0;
  for (int64_t i = 0; i < head.value.cols(); ++i)
    length += std::pow(t.m.model.weights.head.weight.row(3)[i], 2);
  EXPECT_NEAR(length, 1, 1e-6);
  row_gradient(t.m, t.spec, first_row(), 1, *t.buffers);
  expect_differences(t.m, [&] { return row_gradient(t.m, t.spec, first_row(), 0, *t.buffers).loss; });
}

TEST(TrainingRows, Refusals) {
  auto error = [](const std::string& name, const Trained& trained) {
    try {
      trainee(name, trained);
      return std::string();
    } catch (const Error& e) {
      return std::string(e.what());
    }
  };
  EXPECT_NE(error("gqa", {}).find("nothing trains"), std::string::npos);
  EXPECT_NE(error("gqa", {.lora_rank = 2, .projections = {"qproj"}}).find("there are: q_proj"),
            std::string::npos);
  Trainee t = trainee("gqa", kEverything);
  EXPECT_THROW(
      {
        TrainingRow row = first_row();
        for (int i = 0; i < 2; ++i) row.ids.insert(row.ids.end(), row.ids.begin(), row.ids.end());
        row_gradient(t.m, t.spec, row, 1, *t.buffers);
      },
      Error);
}

TEST(TrainingBuffers, BytesAreWhatIsAllocated) {
  // Through the labelled table of the model's own arena and the prediction of the buffers: both in whole
  // bytes.
  Trainee t = trainee("gqa", kEverything);
  int64_t parameters = 0;
  for (const Parameter& p : t.m.parameters) parameters += p.value.rows() * p.value.cols() * 4;
  EXPECT_EQ(t.m.memory.bytes(), 2 * parameters);
  for (const char* name : {"gqa", "gemma3", "qwen3"})
    for (const Trained& trained : {kEverything, kLora})
      for (const TrainingPlan& plan : {kRecompute, kKeepAll})
        for (const char* position : {"", "self_extend:window=6,group=3"}) {
          Trainee made = trainee(name, trained, plan, Compute::F32, kernels(), position);
          EXPECT_EQ(
              training_buffer_bytes(*made.buffers),
              training_buffer_bytes(made.m.model.config, DType::F32, made.spec, 64, plan, trained.lora_rank))
              << name << " " << position;
        }
}

}  // namespace
}  // namespace longspan
