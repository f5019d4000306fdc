// SmolLM2 itself: log-probabilities of a real text against the dequantised model in transformers,
// chunk by chunk. Slow, and skipped where the model has not been fetched.
#include <gtest/gtest.h>

#include <numeric>

#include "base/file.h"
#include "model/golden.h"

namespace longspan {
namespace {

class Smollm2Slow : public testing::Test {
 protected:
  void SetUp() override {
    path_ = cache_dir() / "smollm2" / "SmolLM2-135M-Instruct.Q4_1.gguf";
    if (!std::filesystem::exists(path_))
      GTEST_SKIP() << path_ << " is absent; longspan fetch smollm2 brings it";
    golden_ = parse_json_file(golden_dir() / "smollm2.json");
    checkpoint_ = open_checkpoint(path_);
    model_.config = read_config(checkpoint_);
    model_.weights = load_weights(checkpoint_, model_.config);
  }

  /// Log-probabilities of the second to the last of the first `count` golden ids.
  std::vector<float> score(const std::string& position, int64_t count, int64_t chunk) {
    std::vector<int32_t> ids = golden_["ids"];
    ids.resize(static_cast<size_t>(count));
    PositionConfig config = parse_position(position, model_.config.position);
    std::vector<float> logits =
        run(model_, position_spec(config, model_.config.head_shape(), count), ids, {chunk});
    std::vector<float> out(static_cast<size_t>(count - 1));
    model_.kernels().log_prob(host_vector(out.data(), DType::F32, count - 1),
                              host_matrix(logits.data(), DType::F32, count - 1, model_.config.vocab_size),
                              host_vector(ids.data() + 1, DType::I32, count - 1));
    return out;
  }

  /// Largest difference to the golden values, and the relative difference of the mean loss.
  std::pair<double, double> differences(const std::string& position, const std::vector<float>& scores) {
    std::vector<float> golden = golden_[position];
    double worst = 0, sum = 0, golden_sum = 0;
    for (size_t i = 0; i < scores.size(); ++i) {
      worst = std::max<double>(worst, std::abs(scores[i] - golden[i]));
      sum += scores[i], golden_sum += golden[i];
    }
    return {worst, std::abs(sum / golden_sum - 1)};
  }

  std::filesystem::path path_;
  Json golden_;
  Checkpoint checkpoint_;
  Model model_;
};

TEST_F(Smollm2Slow, ScoresEqualTransformersInF32) {
  for (const Kernels* k : all_kernels()) {
    if (!k->supported()) continue;
    model_.device = host_device(*k), model_.compute = Compute::F32;
    // Streaming products (chunks of few rows) and the reference read every weight for each chunk: a few
    // tokens do.
    struct Cut {
      const char* position;
      int64_t count, chunk;
    };
    bool reference = k == all_kernels()[0];
    std::vector<Cut> cuts{{"rope", 306, 306}, {"yarn:factor=4", 306, 64}, {"rope", 20, 5}};
    if (reference) cuts = {{"yarn:factor=4", 10, 10}};
    for (const Cut& cut : cuts) {
      auto [worst, loss] = differences(cut.position, score(cut.position, cut.count, cut.chunk));
      EXPECT_LT(worst, 2e-3) << k->name << " " << cut.position << " in chunks of " << cut.chunk;
      EXPECT_LT(loss, 1e-4) << k->name << " " << cut.position << " in chunks of " << cut.chunk;
    }
  }
}

TEST_F(Smollm2Slow, Bf16ProductsKeepTheLoss) {
  model_.device = host_device(kernels()), model_.compute = Compute::BF16;
  for (const char* position : {"rope", "yarn:factor=4"})
    EXPECT_LT(differences(position, score(position, 306, 306)).second, 0.005) << position;
}

TEST_F(Smollm2Slow, PlanSaysWhatLoadingCopies) {
  WeightsPlan plan = plan_weights(checkpoint_, model_.config, kernels(), Compute::F32, WeightReading::Packed);
  EXPECT_EQ(plan.copied, model_.weights.copies.bytes());
  EXPECT_EQ(plan.mapped, checkpoint_.tensor_bytes());
}

}  // namespace
}  // namespace longspan
