// The attention of an answer against weights that are made from one pass over the whole text.
#include "generate/attention_mass.h"

#include <gtest/gtest.h>

#include <numeric>

#include "checkpoint/build_files.h"
#include "model/family.h"

namespace longspan {
namespace {

TEST(AttentionMass, IsTheMeanOverRowsLayersAndHeads) {
  TemporaryDirectory directory;
  make_family(directory.path, "gqa", true);
  Engine engine(directory.path, {});
  std::vector<int32_t> prompt, answer = {3, 9, 27, 5, 1};
  for (int32_t i = 0; i < 300; ++i) prompt.push_back(i * i % 60);
  Sequence sequence(engine, 400);
  sequence.feed(prompt);
  std::vector<float> mass = attention_mass(sequence, engine, answer);
  ASSERT_EQ(mass.size(), prompt.size());
  EXPECT_EQ(sequence.ids().size(), prompt.size() + answer.size());
  // One row at a time: other passes, the same means.
  std::vector<double> sums(prompt.size());
  Sequence single(engine, 400);
  single.feed(prompt);
  double rest = 0;  // of the weights: on the first token and on the answer's own
  int64_t rows = 0;
  for (int32_t id : answer) {
    auto observe = [&](int64_t, std::span<const AttentionZone> zones, const AttentionShape& shape) {
      Device& device = *engine.model().device;
      Arena memory(device);
      Tensor row = memory.vector("rows", DType::I32, 1);
      const std::vector<int32_t> zero = {0};
      device.upload(row, std::span<const int32_t>(zero));
      Tensor weights = memory.matrix("weights", DType::F32, shape.heads, shape.sequences.most_keys);
      device.kernels().attention_weights(weights, zones, shape, row);
      std::vector<float> all = device.download<float>(weights);
      for (int64_t h = 0; h < shape.heads; ++h, ++rows)
        for (int64_t n = 0; n < shape.sequences.most_keys; ++n) {
          double w = all[static_cast<size_t>(h * shape.sequences.most_keys + n)];
          if (n >= 1 && n < 300)
            sums[static_cast<size_t>(n)] += w;
          else
            rest += w;
        }
    };
    single.observe(std::span(&id, 1), observe);
  }
  for (size_t n = 0; n < mass.size(); ++n)
    EXPECT_NEAR(mass[n], n == 0 ? 0 : sums[n] / static_cast<double>(rows), 1e-5) << n;
  double all = std::accumulate(mass.begin(), mass.end(), 0.0);
  EXPECT_NEAR(all + rest / static_cast<double>(rows), 1, 1e-4);
}

}  // namespace
}  // namespace longspan
