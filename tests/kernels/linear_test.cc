// Every implementation's dense product against reference, for every dtype of weight, few and many rows, any
// stride.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <thread>

#include "base/threads.h"
#include "kernels/implementations.h"
#include "kernels/kernels.h"

namespace longspan {
namespace {

// Errors are measured against sum |x w|, what rounding of any order of summation is proportional to.
// Each addition of an F32 sum costs at most 2^-24 of the sum so far; errors of either sign cancel, so that 50
// times 2^-24 is wide for sums of at most 2048 products.
constexpr double kF32Tolerance = 3e-6;
// BF16 products round each weight to 8 bits: at most 2^-9 of each product; BF16 weights are not rounded.
constexpr double kBf16Tolerance = 0x1p-9 + kF32Tolerance;

constexpr DType kWeightTypes[] = {DType::F32,  DType::F16,  DType::BF16, DType::Q8_0,
                                  DType::Q4_0, DType::Q4_1, DType::Q5_0, DType::Q5_1,
                                  DType::Q4_K, DType::Q5_K, DType::Q6_K};

struct Case {
  DType weight = DType::F32, x = DType::F32;
  int64_t tokens = 1, cols = 64, features = 64, gap = 0;
  bool bias = false, accumulate = false;
};

double tolerance(const Kernels& k, const Case& c) {
  bool rounds = c.x == DType::BF16 && k.product_dtype(k.preferred, c.tokens) == DType::BF16;
  return rounds && c.weight != DType::BF16 ? kBf16Tolerance : kF32Tolerance;
}

void expect_close(Tensor got, Tensor want, Tensor x, const Linear& w, double tolerance,
                  const std::string& what) {
  std::vector<float> row(static_cast<size_t>(x.cols()));
  double worst = 0;
  for (int64_t j = 0; j < want.cols(); ++j) {
    dequantise(row.data(), w.weight.row<std::byte>(j), w.weight.dtype, x.cols());
    for (int64_t t = 0; t < want.rows(); ++t) {
      double size = 1e-3 + std::fabs(want.row(t)[j]);
      for (int64_t i = 0; i < x.cols(); ++i)
        size += std::fabs(static_cast<double>(get(x, t, i)) * row[size_t(i)]);
      double error = std::fabs(got.row(t)[j] - want.row(t)[j]) / size;
      worst = error > worst || std::isnan(error) ? error : worst;
    }
  }
  EXPECT_LE(worst, tolerance) << what;
}

void check(const Case& c, uint64_t seed) {
  Random random(seed);
  OwnedTensor x = normal_matrix(random, c.x, c.tokens, c.cols, c.gap);
  OwnedTensor start = normal_matrix(random, DType::F32, c.tokens, c.features, 2 * c.gap);
  OwnedTensor bias = normal_matrix(random, DType::F32, 1, c.features);
  OwnedTensor weight = random_weight(random, c.weight, c.features, c.cols);
  Linear reference{weight, c.bias ? static_cast<Tensor>(bias) : Tensor{}};
  OwnedTensor want = start;
  want.memory = std::make_shared<std::vector<std::byte>>(*start.memory);
  want.data = want.memory->data();
  all_kernels()[0]->linear(want, x, reference, c.accumulate);
  for (const Kernels* k : implementations_here()) {
    if (!k->supported()) continue;
    for (bool as_stored : {false, true}) {
      Linear w{weight, reference.bias, as_stored};
      OwnedTensor got = start;
      got.memory = std::make_shared<std::vector<std::byte>>(*start.memory);
      got.data = got.memory->data();
      k->linear(got, x, w, c.accumulate);
      std::string what = std::string(k->name) + (as_stored ? " as stored " : " ") + name(c.weight) + " x " +
                         name(c.x) + " T " + std::to_string(c.tokens) + " C " + std::to_string(c.cols) +
                         " N " + std::to_string(c.features) + (c.bias ? " bias" : "") +
                         (c.accumulate ? " accumulate" : "");
      expect_close(got, want, x, reference, tolerance(*k, c), what);
    }
  }
}

/// In 8 bits everybody rounds the same rows to the same codes: what is left is the order of F32 sums. Rows of
/// ReLU's kind, zero groups and large outliers among them.
void check_eight_bits(DType dtype, int64_t tokens, int64_t cols, int64_t features, bool accumulate,
                      uint64_t seed) {
  Random random(seed);
  OwnedTensor x = normal_matrix(random, DType::F32, tokens, cols, 64);
  for (int64_t i = 0; i < 32; ++i) x.row(tokens / 2)[i] = 0;
  x.row(tokens - 1)[cols - 1] = 300;
  OwnedTensor start = normal_matrix(random, DType::F32, tokens, features), want = start,
              bias = normal_matrix(random, DType::F32, 1, features),
              weight = random_weight(random, dtype, features, cols);
  Linear w{.weight = weight, .bias = bias, .eight_bits = true};
  want.memory = std::make_shared<std::vector<std::byte>>(*start.memory);
  want.data = want.memory->data();
  all_kernels()[0]->linear(want, x, w, accumulate);
  std::vector<std::byte> first;
  for (const Kernels* k : all_kernels()) {
    if (!k->supported() || !k->on_host) continue;
    OwnedTensor got = start;
    got.memory = std::make_shared<std::vector<std::byte>>(*start.memory);
    got.data = got.memory->data();
    k->linear(got, x, w, accumulate);
    std::string what = fmt::format("{} {} T {} C {} N {}", k->name, name(dtype), tokens, cols, features);
    expect_close(got, want, x, w, kF32Tolerance, what);
    if (k == all_kernels()[0]) continue;
    if (first.empty()) first = *got.memory;
    EXPECT_EQ(*got.memory, first) << what << ": other bits than the first fast one";
  }
}

class LinearOfDtype : public testing::TestWithParam<DType> {};

TEST_P(LinearOfDtype, AgreesWithReference) {
  DType dtype = GetParam();
  int64_t block = dtype_info(dtype).block_elements;
  uint64_t seed = 1;
  for (int64_t tokens : {1, 2, 3, 4, 7, 8, 9, 63})
    for (DType x : {DType::F32, DType::BF16})
      for (int64_t repeat = 0; repeat < 2; ++repeat) {
        int64_t cols = std::array{16, 33, 256, 600, 768}[seed % 5];
        if (cols % block != 0) cols = (cols + block - 1) / block * block;
        int64_t features = 5 + static_cast<int64_t>(seed * 37 % 60);
        check({dtype, x, tokens, cols, features, seed % 3 ? 64 : 0, seed % 4 > 1, seed % 8 < 4}, seed);
        ++seed;
      }
}

TEST_P(LinearOfDtype, AgreesInEightBits) {
  if (!is_quantised(GetParam())) GTEST_SKIP() << "8 bits are for quantised weights";
  bool wide = dtype_info(GetParam()).block_elements == 256;
  check_eight_bits(GetParam(), 8, wide ? 256 : 32, 1, false, 1);
  check_eight_bits(GetParam(), 9, wide ? 512 : 96, 47, true, 2);
  check_eight_bits(GetParam(), 31, wide ? 768 : 544, 100, false, 3);  // a depth of more than one piece
  check_eight_bits(GetParam(), 70, 1280, 203, true, 4);
}

TEST_P(LinearOfDtype, AgreesOnManyRowsAndFeatures) {
  check({GetParam(), DType::F32, 64, 512, 130, 0, true, false}, 1);
  check({GetParam(), DType::BF16, 512, 256, 70, 128, false, true}, 2);
  check({GetParam(), DType::BF16, 1, 1536, 577, 0, false, true}, 3);
  check({GetParam(), DType::BF16, 8, 256, 8300, 0, false, false}, 4);  // packed in more than one piece
  check({GetParam(), DType::BF16, 70, 2816, 300, 64, true, true}, 5);  // panels in more than one piece
  check({GetParam(), DType::F32, 70, 1280, 100, 0, false, true}, 6);
}

INSTANTIATE_TEST_SUITE_P(Weights, LinearOfDtype, testing::ValuesIn(kWeightTypes),
                         [](const auto& info) { return std::string(name(info.param)); });

TEST(Linear, OneWeightServesBothPrecisionsAndAnyNumberOfThreads) {
  Random random(5);
  OwnedTensor weight = random_weight(random, DType::Q8_0, 96, 64);
  int before = threads();
  for (const Kernels* k : implementations_here()) {
    if (!k->supported()) continue;
    Linear w{weight, {}};
    for (int n : {1, 2, 3, 7})
      for (DType dtype : {DType::F32, DType::BF16}) {
        w.as_stored = n % 2 != 0;
        set_threads(n);
        OwnedTensor x = normal_matrix(random, dtype, 20, 64), got = make_matrix(DType::F32, 20, 96),
                    want = make_matrix(DType::F32, 20, 96);
        k->linear(got, x, w, false);
        all_kernels()[0]->linear(want, x, w, false);
        expect_close(got, want, x, w, tolerance(*k, {DType::Q8_0, dtype, 20}), k->name);
      }
  }
  set_threads(before);
}

TEST(Linear, IsPackedOnceByThreadsThatMeet) {
  Random random(6);
  OwnedTensor weight = random_weight(random, DType::Q8_0, 200, 320),
              x = normal_matrix(random, DType::F32, 16, 320), want = make_matrix(DType::F32, 16, 200);
  Linear w{weight, {}};
  all_kernels()[0]->linear(want, x, w, false);
  const Kernels& k = kernels();
  std::vector<OwnedTensor> got;
  for (int i = 0; i < 4; ++i) got.push_back(make_matrix(DType::F32, 16, 200));
  std::vector<std::thread> workers;
  for (int i = 0; i < 4; ++i)
    workers.emplace_back([&, i] {
      set_threads(1);
      k.linear(got[static_cast<size_t>(i)], x, w, false);
    });
  for (std::thread& worker : workers) worker.join();
  for (const OwnedTensor& y : got) expect_close(y, want, x, w, kF32Tolerance, k.name);
}

TEST(Linear, NanAndInfinityPassThrough) {
  Random random(7);
  OwnedTensor weight = random_weight(random, DType::Q8_0, 64, 64);
  for (const Kernels* k : all_kernels())
    for (int64_t tokens : {1, 16}) {
      if (!k->supported()) continue;
      OwnedTensor x = normal_matrix(random, DType::F32, tokens, 64), y = make_matrix(DType::F32, tokens, 64);
      x.row(0)[3] = NAN;
      for (int how = 0; how < 4; ++how) {
        Linear w{.weight = weight, .as_stored = how % 2 > 0, .eight_bits = how > 1};
        k->linear(y, x, w, false);
        EXPECT_TRUE(std::isnan(y.row(0)[5])) << k->name;
        EXPECT_TRUE(tokens == 1 || std::isfinite(y.row(tokens - 1)[5])) << k->name;
      }
    }
}

TEST(Linear, PackedBytesAreWhatPackingTakes) {
  Random random(8);
  OwnedTensor weight = random_weight(random, DType::Q8_0, 576, 1536);
  for (const Kernels* k : implementations_here()) {
    if (!k->supported()) continue;
    Linear w{weight, {}};
    if (std::string(k->name) == "cuda") {  // reads the weight as stored, or converts it for one product
      EXPECT_EQ(k->packed_bytes(w, Compute::BF16), 0);
      continue;
    }
    int64_t width = k->preferred == Compute::BF16 ? 2 : 4;
    EXPECT_GE(k->packed_bytes(w, Compute::BF16), 576 * 1536 * width) << k->name;
    EXPECT_LE(k->packed_bytes(w, Compute::BF16), 576 * 1536 * width * 9 / 8) << k->name;
    EXPECT_GE(k->packed_bytes(w, Compute::F32), 576 * 1536 * 4) << k->name;
    w.as_stored = true;
    EXPECT_EQ(k->packed_bytes(w, Compute::BF16), 0) << k->name;
    Linear rounded{.weight = weight, .eight_bits = true};
    EXPECT_EQ(k->packed_bytes(rounded, Compute::Int8), 0) << k->name;
  }
}

}  // namespace
}  // namespace longspan
