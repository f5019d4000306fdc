// Every implementation of the operations that are not dense products, against reference.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <limits>

#include "base/error.h"
#include "kernels/cache_codes.h"
#include "kernels/implementations.h"

namespace longspan {
namespace {

// Relative to the greater of 1 and the value: few F32 roundings each; BF16 output may fall to the other side
// of one rounding (a step is at most 2^-7 of the value).
constexpr double kF32Tolerance = 2e-6;
constexpr double kBf16Tolerance = 0x1p-7;
// Elements of awkward rows: below, at and beyond one vector of either width.
constexpr int64_t kCols[] = {1, 5, 8, 16, 23, 64, 100, 576, 601};
constexpr int64_t kTokens[] = {1, 2, 7, 9, 64, 512};

void expect_close(Tensor got, Tensor want) {
  double tolerance = want.dtype == DType::BF16 ? kBf16Tolerance : kF32Tolerance, worst = 0;
  for (int64_t t = 0; t < want.rows(); ++t)
    for (int64_t i = 0; i < want.cols(); ++i) {
      double w = get(want, t, i), error = std::fabs(get(got, t, i) - w) / std::max(1.0, std::fabs(w));
      worst = error > worst || std::isnan(error) ? error : worst;
    }
  EXPECT_LE(worst, tolerance) << "T " << want.rows() << " C " << want.cols();
}

TEST(Elementwise, RmsNorm) {
  Random random(1);
  for (int64_t tokens : kTokens)
    for (int64_t cols : kCols)
      for (DType dtype : {DType::F32, DType::BF16}) {
        OwnedTensor x = normal_matrix(random, DType::F32, tokens, cols, 64, 3),
                    weight = normal_matrix(random, DType::F32, 1, cols),
                    want = make_matrix(dtype, tokens, cols);
        reference().rmsnorm(want, x, weight, 1e-5f);
        for_each_implementation([&](const Kernels& k) {
          OwnedTensor got = make_matrix(dtype, tokens, cols, 64);
          k.rmsnorm(got, x, weight, 1e-5f);
          expect_close(got, want);
          expect_gaps_untouched(got);
        });
      }
}

TEST(Elementwise, LayerNorm) {
  Random random(41);
  for (int64_t tokens : kTokens)
    for (int64_t cols : kCols)
      for (DType dtype : {DType::F32, DType::BF16}) {
        OwnedTensor x = normal_matrix(random, DType::F32, tokens, cols, 64, 3),
                    weight = normal_matrix(random, DType::F32, 1, cols),
                    bias = normal_matrix(random, DType::F32, 1, cols),
                    want = make_matrix(dtype, tokens, cols);
        // A mean that is large beside the deviations, as the residual of deep models has.
        for (int64_t t = 0; t < tokens; ++t)
          for (int64_t i = 0; i < cols; ++i) x.row(t)[i] += 20;
        reference().layernorm(want, x, weight, bias, 1e-2f);
        for_each_implementation([&](const Kernels& k) {
          OwnedTensor got = make_matrix(dtype, tokens, cols, 64);
          k.layernorm(got, x, weight, bias, 1e-2f);
          for (int64_t t = 0; t < tokens; ++t)
            for (int64_t i = 0; i < cols; ++i) {
              double w = get(want, t, i), scale = std::max(1.0, std::fabs(w));
              ASSERT_NEAR(get(got, t, i), w, (dtype == DType::BF16 ? kBf16Tolerance : 2e-5) * scale);
            }
          expect_gaps_untouched(got);
        });
      }
  // The formula, in place: mean 2.5, variance 1.25.
  for_every_implementation([](const Kernels& k) {
    OwnedTensor x = make_matrix(DType::F32, 1, 4), weight = copied(x), bias = copied(x);
    for (int i = 0; i < 4; ++i) {
      x.row(0)[i] = static_cast<float>(i + 1), weight.row(0)[i] = 2, bias.row(0)[i] = static_cast<float>(i);
    }
    k.layernorm(x, x, weight, bias, 0);
    for (int i = 0; i < 4; ++i)
      EXPECT_NEAR(x.row(0)[i], (i + 1 - 2.5) / std::sqrt(1.25) * 2 + i, 1e-6) << k.name;
  });
}

TEST(Elementwise, GeluIsExact) {
  Random random(42);
  for (int64_t tokens : kTokens)
    for (int64_t cols : kCols)
      for (DType dtype : {DType::F32, DType::BF16}) {
        OwnedTensor x = normal_matrix(random, DType::F32, tokens, cols, 64, 3),
                    want = make_matrix(dtype, tokens, cols);
        reference().gelu(want, x);
        for_each_implementation([&](const Kernels& k) {
          OwnedTensor got = make_matrix(dtype, tokens, cols, 64);
          k.gelu(got, x);
          expect_close(got, want);
          expect_gaps_untouched(got);
        });
      }
  // By mpmath, x (1 + erf(x / sqrt 2)) / 2, and in place.
  const std::pair<float, double> points[] = {{-10.0f, -7.6198530241605e-23},
                                             {-3.0f, -0.0040496940948902},
                                             {-1.0f, -0.15865525393145705},
                                             {-0.125f, -0.056282721896235885},
                                             {0.0f, 0},
                                             {1.0f, 0.84134474606854295},
                                             {3.0f, 2.9959503059051098},
                                             {40.0f, 40}};
  for_every_implementation([&](const Kernels& k) {
    OwnedTensor x = make_matrix(DType::F32, 1, std::ssize(points));
    for (int64_t i = 0; i < x.cols(); ++i) x.row(0)[i] = points[i].first;
    k.gelu(x, x);
    for (int64_t i = 0; i < x.cols(); ++i) EXPECT_NEAR(x.row(0)[i], points[i].second, 4e-7) << k.name;
  });
}

TEST(Elementwise, SoftCap) {
  Random random(3);
  for (float cap : {0.5f, 30.0f})
    for (int64_t tokens : kTokens)
      for (int64_t cols : kCols) {
        OwnedTensor x = normal_matrix(random, DType::F32, tokens, cols, 64, 20), want = copied(x);
        reference().soft_cap(want, cap);
        for_each_implementation([&](const Kernels& k) {
          OwnedTensor got = copied(x);
          k.soft_cap(got, cap);
          for (int64_t t = 0; t < tokens; ++t)
            for (int64_t i = 0; i < cols; ++i)
              ASSERT_NEAR(get(got, t, i), get(want, t, i), 3e-7 * cap) << k.name;
          expect_gaps_untouched(got);
        });
      }
  // The formula, and the ends of the range.
  OwnedTensor x = make_matrix(DType::F32, 1, 4);
  const float values[] = {0, 15, -1e30f, 1e30f};
  std::copy_n(values, 4, x.row(0));
  for_every_implementation([&](const Kernels& k) {
    OwnedTensor got = copied(x);
    k.soft_cap(got, 30);
    const double want[] = {0, 30 * std::tanh(0.5), -30, 30};
    for (int64_t i = 0; i < 4; ++i) EXPECT_NEAR(get(got, 0, i), want[i], 1e-5) << k.name;
  });
}

constexpr Activation kActivations[] = {Activation::Silu, Activation::GeluTanh};

TEST(Elementwise, Gate) {
  Random random(2);
  for (Activation activation : kActivations)
    for (int64_t tokens : kTokens)
      for (int64_t cols : kCols)
        for (DType dtype : {DType::F32, DType::BF16}) {
          OwnedTensor gate = normal_matrix(random, DType::F32, tokens, cols, 128, 5),
                      up = normal_matrix(random, DType::F32, tokens, cols, 4),
                      want = make_matrix(dtype, tokens, cols);
          reference().gate(want, gate, up, activation);
          for_each_implementation([&](const Kernels& k) {
            OwnedTensor got = make_matrix(dtype, tokens, cols, 32);
            k.gate(got, gate, up, activation);
            expect_close(got, want);
            expect_gaps_untouched(got);
          });
        }
}

OwnedTensor activated(const Kernels& k, Activation activation, const OwnedTensor& gate) {
  OwnedTensor up = make_matrix(DType::F32, 1, gate.cols()), got = make_matrix(DType::F32, 1, gate.cols());
  std::fill_n(up.row(0), up.cols(), 1.0f);
  k.gate(got, gate, up, activation);
  return got;
}

OwnedTensor evenly(int64_t n, float first, float last) {
  OwnedTensor x = make_matrix(DType::F32, 1, n);
  for (int64_t i = 0; i < n; ++i)
    x.row(0)[i] = first + (last - first) * static_cast<float>(i) / static_cast<float>(n);
  return x;
}

// silu(g) is g e^g / (1 + e^g), so wherever g is not tiny the relative error of the gate is that of the
// exponential.
TEST(Elementwise, ExponentialIsPreciseOverItsWholeRange) {
  OwnedTensor gate = evenly(20000, -87, 87);
  for_every_implementation([&](const Kernels& k) {
    OwnedTensor got = activated(k, Activation::Silu, gate);
    double worst = 0;
    for (int64_t i = 0; i < gate.cols(); ++i) {
      double g = gate.row(0)[i], want = g / (1 + std::exp(-g));
      if (g != 0) worst = std::max(worst, std::fabs(got.row(0)[i] / want - 1));
    }
    EXPECT_LE(worst, 1e-6);
  });
}

// By mpmath, 0.5 g (1 + tanh(sqrt(2 / pi) (g + 0.044715 g^3))): where 1 + tanh loses all its digits too.
TEST(Elementwise, GeluIsItsFormula) {
  const std::vector<std::pair<float, double>> points = {{-10.0f, -1.204092348209806e-37},
                                                        {-9.0f, -1.3364595947348725e-28},
                                                        {-6.5f, -6.2782587725914021e-13},
                                                        {-5.0f, -2.291796196629506e-7},
                                                        {-3.0f, -0.0036373920817730188},
                                                        {-1.0f, -0.1588080093917233},
                                                        {-0.125f, -0.056282801375776612},
                                                        {0.0009765625f, 0.00048866171094577544},
                                                        {0.125f, 0.068717198624223388},
                                                        {1.0f, 0.8411919906082767},
                                                        {3.0f, 2.996362607918227},
                                                        {6.5f, 6.4999999999993722},
                                                        {40.0f, 40.0}};
  OwnedTensor fine = evenly(20000, -12, 12);
  for_every_implementation([&](const Kernels& k) {
    OwnedTensor gate = make_matrix(DType::F32, 1, std::ssize(points));
    for (size_t i = 0; i < points.size(); ++i) gate.row(0)[i] = points[i].first;
    OwnedTensor got = activated(k, Activation::GeluTanh, gate);
    for (size_t i = 0; i < points.size(); ++i) {
      double want = points[i].second;
      EXPECT_NEAR(got.row(0)[i], want, 1e-5 * std::fabs(want) + 1e-38) << points[i].first;
    }
    got = activated(k, Activation::GeluTanh, fine);
    double worst = 0;
    for (int64_t i = 0; i < fine.cols(); ++i) {
      double g = fine.row(0)[i],
             want = 0.5 * g * (1 + std::tanh(std::sqrt(2 / M_PI) * (g + 0.044715 * g * g * g)));
      worst = std::max(worst, std::fabs(got.row(0)[i] - want) / std::max(1.0, std::fabs(g)));
    }
    EXPECT_LE(worst, 2e-7);
  });
}

TEST(Elementwise, Rope) {
  Random random(3);
  for (Turn turn : {Turn::Forward, Turn::Back})
    for (int64_t tokens : {1, 3, 64, 300})
      for (auto [head_dim, rotary] :
           {std::pair<int64_t, int64_t>{64, 64}, {128, 128}, {80, 32}, {20, 20}, {6, 2}}) {
        OwnedTensor cos = normal_matrix(random, DType::F32, tokens, rotary / 2),
                    sin = normal_matrix(random, DType::F32, tokens, rotary / 2),
                    x = normal_matrix(random, DType::F32, tokens, 3 * head_dim, 16), want = copied(x);
        reference().rope(want, {cos, sin}, 3, head_dim, turn);
        for_each_implementation([&](const Kernels& k) {
          OwnedTensor got = copied(x);
          k.rope(got, {cos, sin}, 3, head_dim, turn);
          expect_close(got, want);
          expect_gaps_untouched(got);
        });
      }
}

TEST(Elementwise, Hadamard) {
  Random random(31);
  // The matrix of size 2 over its root, twice.
  OwnedTensor two = make_matrix(DType::F32, 1, 6);
  std::vector<float> before{3, 1, 0, 2, -1, 5};
  for (int64_t i = 0; i < 6; ++i) two.row(0)[i] = before[static_cast<size_t>(i)];
  reference().hadamard(two, 1, 6);
  for (int64_t i = 0; i < 6; i += 2) {
    EXPECT_FLOAT_EQ(two.row(0)[i], (before[size_t(i)] + before[size_t(i) + 1]) / std::sqrt(2.0f));
    EXPECT_FLOAT_EQ(two.row(0)[i + 1], (before[size_t(i)] - before[size_t(i) + 1]) / std::sqrt(2.0f));
  }
  for (int64_t tokens : {1, 33})
    for (int64_t head_dim : {64, 128, 256, 80, 96, 20, 7}) {
      OwnedTensor x = normal_matrix(random, DType::F32, tokens, 3 * head_dim, 16), want = copied(x);
      reference().hadamard(want, 3, head_dim);
      for_each_implementation([&](const Kernels& k) {
        OwnedTensor got = copied(x);
        k.hadamard(got, 3, head_dim);
        expect_close(got, want);
        expect_gaps_untouched(got);
        k.hadamard(got, 3, head_dim);  // its own inverse
        expect_close(got, x);
      });
    }
}

TEST(Elementwise, Embed) {
  Random random(4);
  OwnedTensor ids = int_vector({3, 0, 11, 7, 3});
  for (DType dtype : {DType::F32, DType::F16, DType::BF16, DType::Q8_0, DType::Q4_0, DType::Q4_1, DType::Q5_0,
                      DType::Q5_1, DType::Q4_K, DType::Q5_K, DType::Q6_K})
    for (int64_t cols :
         is_quantised(dtype) ? std::vector<int64_t>{256, 768} : std::vector<int64_t>{3, 40, 97}) {
      OwnedTensor table = random_weight(random, dtype, 12, cols), want = make_matrix(DType::F32, 5, cols);
      reference().embed(want, table, ids);
      for_each_implementation([&](const Kernels& k) {
        OwnedTensor got = make_matrix(DType::F32, 5, cols, 64);
        k.embed(got, table, ids);
        expect_close(got, want);
        expect_gaps_untouched(got);
      });
    }
}

/// Numbers of every kind: normal, subnormal in each type, halfway cases, overflow, infinite, NaN.
float awkward(Random& random) {
  constexpr float kSpecial[] = {0.0f,     -0.0f,    INFINITY,       -INFINITY,      NAN,        65504.0f,
                                65519.9f, 65520.0f, 1e30f,          3.4e38f,        5.9e-8f,    2.9e-8f,
                                6.1e-5f,  1e-40f,   1.00048828125f, 1.00146484375f, 1.00390625f};
  if (random.below(4) == 0) return kSpecial[random.below(std::size(kSpecial))];
  return std::ldexp(static_cast<float>(random.normal()), static_cast<int>(random.below(60)) - 40);
}

TEST(Elementwise, StoreKvRoundsBitForBit) {
  Random random(5);
  for (DType dtype : {DType::F32, DType::F16, DType::BF16})
    for (auto [tokens, heads, dim] :
         {std::array<int64_t, 3>{1, 3, 64}, {300, 2, 80}, {40, 1, 20}, {520, 3, 64}}) {
      OwnedTensor x = make_matrix(DType::F32, tokens, heads * dim, 12);
      for (int64_t t = 0; t < tokens; ++t)
        for (int64_t i = 0; i < heads * dim; ++i) x.row(t)[i] = awkward(random);
      auto written = [&](const Kernels& k) {
        constexpr int64_t kPages = 4;
        OwnedTensor pool = make_matrix(dtype, kPages * heads * kPageTokens, dim),
                    table = int_vector({2, 0, 3, 1});
        OwnedSequences one({static_cast<int32_t>(tokens)}, {200});
        KvPages pages{
            reinterpret_cast<std::byte*>(pool.data), pool.bytes() / kPages, table, dtype, heads, dim};
        k.store_kv(pages, x, one);
        return pool;
      };
      OwnedTensor want = written(reference());
      for_each_implementation(
          [&](const Kernels& k) { EXPECT_TRUE(*written(k).memory == *want.memory) << name(dtype); });
    }
}

/// Finite numbers; what infinite ones become is left open.
TEST(Elementwise, StoreKvQuantisesAsDefined) {
  Random random(32);
  for (DType dtype : {DType::Q8_0, DType::Q4_0}) {
    constexpr int64_t kTokens = 300, kHeads = 2, kDim = 64, kPages = 2;
    OwnedTensor x = normal_matrix(random, DType::F32, kTokens, kHeads * kDim, 12);
    for (int64_t i = 0; i < kDim; ++i) x.row(1)[i] = 0, x.row(2)[i] = i % 2 ? -3.0f : 3.0f;
    auto written = [&](const Kernels& k) {
      OwnedTensor pool = make_matrix(dtype, kPages * kHeads * kPageTokens, kDim), table = int_vector({1, 0});
      OwnedSequences one({kTokens}, {100});
      k.store_kv({reinterpret_cast<std::byte*>(pool.data), pool.bytes() / kPages, table, dtype, kHeads, kDim},
                 x, one);
      return pool;
    };
    OwnedTensor want = written(reference());
    for (int64_t t = 0; t < kTokens; ++t)
      for (int64_t h = 0; h < kHeads; ++h) {
        int64_t at = 100 + t;
        const auto* page =
            reinterpret_cast<const std::byte*>(want.data) + (at < kPageTokens ? want.bytes() / kPages : 0);
        std::vector<float> got(kDim);
        load_codes(got.data(), page + h * want.bytes() / kPages / kHeads, dtype, kDim, at % kPageTokens);
        for (int64_t g = 0; g < kDim; g += 32) {
          const float* in = x.row(t) + h * kDim + g;
          float most = 0;
          for (int64_t i = 0; i < 32; ++i) most = std::max(most, std::fabs(in[i]));
          // Half a step of max / 127 or max / 8, a whole one at the end that Q4_0 lacks (+8); scales are F16.
          double step = most / (dtype == DType::Q8_0 ? 127.0 : 8.0);
          for (int64_t i = 0; i < 32; ++i)
            ASSERT_NEAR(got[size_t(g + i)], in[i], (dtype == DType::Q8_0 ? 0.5 : 1.0) * step + 0.001 * most);
        }
      }
    for_each_implementation(
        [&](const Kernels& k) { EXPECT_TRUE(*written(k).memory == *want.memory) << name(dtype); });
  }
}

TEST(Elementwise, LogProb) {
  Random random(6);
  for (int64_t tokens : {1, 2, 9})
    for (int64_t cols : {1, 7, 16, 1000, 49152}) {
      OwnedTensor x = normal_matrix(random, DType::F32, tokens, cols, 8, 6),
                  want = make_matrix(DType::F32, 1, tokens);
      std::vector<int32_t> ids;
      for (int64_t t = 0; t < tokens; ++t)
        ids.push_back(static_cast<int32_t>(random.below(static_cast<uint64_t>(cols))));
      OwnedTensor targets = int_vector(ids);
      if (cols > 7) x.row(0)[0] = -INFINITY;
      reference().log_prob(want, x, targets);
      for_each_implementation([&](const Kernels& k) {
        OwnedTensor got = make_matrix(DType::F32, 1, tokens);
        k.log_prob(got, x, targets);
        expect_close(got, want);
      });
    }
}

TEST(Elementwise, NanStaysInItsRow) {
  Random random(7);
  for_each_implementation([&](const Kernels& k) {
    OwnedTensor x = normal_matrix(random, DType::F32, 2, 70), y = make_matrix(DType::F32, 2, 70),
                one = normal_matrix(random, DType::F32, 1, 70), p = make_matrix(DType::F32, 1, 2);
    x.row(0)[1] = NAN;
    x.row(0)[2] = INFINITY;
    OwnedTensor targets = int_vector({0, 0});
    k.rmsnorm(y, x, one, 1e-5f);
    EXPECT_TRUE(std::isnan(y.row(0)[0]));
    EXPECT_TRUE(std::isfinite(y.row(1)[0]));
    for (Activation activation : kActivations) {
      k.gate(y, x, x, activation);
      EXPECT_TRUE(std::isnan(y.row(0)[1]));
      EXPECT_TRUE(std::isfinite(y.row(0)[0]) && std::isfinite(y.row(1)[0]));
    }
    k.log_prob(p, x, targets);
    EXPECT_TRUE(std::isnan(p.row(0)[0]));
    EXPECT_TRUE(std::isfinite(p.row(0)[1]));
  });
}

TEST(Dispatch, UnknownNameListsWhatThereIs) {
  try {
    kernels_named("sse9");
    FAIL() << "no Error";
  } catch (const Error& e) {
    std::string text = e.what();
    for (const Kernels* k : all_kernels()) EXPECT_NE(text.find(k->name), std::string::npos) << text;
    EXPECT_NE(text.find("sse9"), std::string::npos) << text;
  }
}

TEST(Dispatch, NamesFindTheirRows) {
  for (const Kernels* k : all_kernels())
    if (k->supported()) {
      EXPECT_EQ(&kernels_named(k->name), k);
    }
  EXPECT_TRUE(kernels().supported());
}

}  // namespace
}  // namespace longspan
