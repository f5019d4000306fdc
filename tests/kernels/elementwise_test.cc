// Every implementation of the operations that are not dense products, against reference.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <limits>

#include "base/error.h"
#include "kernels/kernels.h"
#include "kernels/random_tensor.h"

namespace longspan {
namespace {

// Relative to the greater of 1 and the value: few F32 roundings each; BF16 output may fall to the other side
// of one rounding (a step is at most 2^-7 of the value).
constexpr double kF32Tolerance = 2e-6;
constexpr double kBf16Tolerance = 0x1p-7;
// Elements of awkward rows: below, at and beyond one vector of either width.
constexpr int64_t kCols[] = {1, 5, 8, 16, 23, 64, 100, 576, 601};
constexpr int64_t kTokens[] = {1, 2, 7, 9, 64, 512};

const Kernels& reference() { return *all_kernels()[0]; }

template <class Body>
void for_each_implementation(Body body) {
  for (const Kernels* k : all_kernels().subspan(1))
    if (k->supported()) {
      SCOPED_TRACE(k->name);
      body(*k);
    }
}

void expect_close(Tensor got, Tensor want) {
  double tolerance = want.dtype == DType::BF16 ? kBf16Tolerance : kF32Tolerance, worst = 0;
  for (int64_t t = 0; t < want.rows(); ++t)
    for (int64_t i = 0; i < want.cols(); ++i) {
      double w = get(want, t, i), error = std::fabs(get(got, t, i) - w) / std::max(1.0, std::fabs(w));
      worst = error > worst || std::isnan(error) ? error : worst;
    }
  EXPECT_LE(worst, tolerance) << "T " << want.rows() << " C " << want.cols();
}

/// Bytes between the rows must be as make_matrix left them.
void expect_gaps_untouched(const OwnedTensor& t) {
  int64_t used = dtype_bytes(t.dtype, t.cols());
  for (int64_t r = 0; r < t.rows(); ++r)
    for (int64_t i = used; i < t.row_stride; ++i) ASSERT_EQ(t.row<std::byte>(r)[i], std::byte{0x55});
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

TEST(Elementwise, Swiglu) {
  Random random(2);
  for (int64_t tokens : kTokens)
    for (int64_t cols : kCols)
      for (DType dtype : {DType::F32, DType::BF16}) {
        OwnedTensor gate = normal_matrix(random, DType::F32, tokens, cols, 128, 5),
                    up = normal_matrix(random, DType::F32, tokens, cols, 4),
                    want = make_matrix(dtype, tokens, cols);
        reference().swiglu(want, gate, up);
        for_each_implementation([&](const Kernels& k) {
          OwnedTensor got = make_matrix(dtype, tokens, cols, 32);
          k.swiglu(got, gate, up);
          expect_close(got, want);
          expect_gaps_untouched(got);
        });
      }
}

// silu(g) is g e^g / (1 + e^g), so wherever g is not tiny the relative error of swiglu is that of the
// exponential.
TEST(Elementwise, ExponentialIsPreciseOverItsWholeRange) {
  constexpr int64_t n = 20000;
  OwnedTensor gate = make_matrix(DType::F32, 1, n), up = make_matrix(DType::F32, 1, n);
  for (int64_t i = 0; i < n; ++i) {
    gate.row(0)[i] = -87.0f + 174.0f * static_cast<float>(i) / n;
    up.row(0)[i] = 1;
  }
  for_each_implementation([&](const Kernels& k) {
    OwnedTensor got = make_matrix(DType::F32, 1, n);
    k.swiglu(got, gate, up);
    double worst = 0;
    for (int64_t i = 0; i < n; ++i) {
      double g = gate.row(0)[i], want = g / (1 + std::exp(-g));
      if (g != 0) worst = std::max(worst, std::fabs(got.row(0)[i] / want - 1));
    }
    EXPECT_LE(worst, 1e-6);
    EXPECT_GT(worst, 0);
  });
}

TEST(Elementwise, Rope) {
  Random random(3);
  for (int64_t tokens : {1, 3, 64, 300})
    for (auto [head_dim, rotary] :
         {std::pair<int64_t, int64_t>{64, 64}, {128, 128}, {80, 32}, {20, 20}, {6, 2}}) {
      OwnedTensor cos = normal_matrix(random, DType::F32, tokens, rotary / 2),
                  sin = normal_matrix(random, DType::F32, tokens, rotary / 2),
                  x = normal_matrix(random, DType::F32, tokens, 3 * head_dim, 16);
      auto rotated = [&](const Kernels& k) {
        OwnedTensor copy = x;
        copy.memory = std::make_shared<std::vector<std::byte>>(*x.memory);
        copy.data = copy.memory->data();
        k.rope(copy, {cos, sin}, 3, head_dim);
        return copy;
      };
      OwnedTensor want = rotated(reference());
      for_each_implementation([&](const Kernels& k) {
        OwnedTensor got = rotated(k);
        expect_close(got, want);
        expect_gaps_untouched(got);
      });
    }
}

TEST(Elementwise, Embed) {
  Random random(4);
  std::vector<int32_t> ids = {3, 0, 11, 7, 3};
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
        std::vector<OwnedTensor> pages;
        std::vector<void*> at;
        for (int64_t p = 0; p * kPageTokens < 200 + tokens; ++p) {
          pages.push_back(make_matrix(dtype, heads * kPageTokens, dim));
          at.push_back(pages.back().data);
        }
        k.store_kv({at, dtype, heads, dim}, x, 200);
        return pages;
      };
      std::vector<OwnedTensor> want = written(reference());
      for_each_implementation([&](const Kernels& k) {
        std::vector<OwnedTensor> got = written(k);
        for (size_t p = 0; p < want.size(); ++p) EXPECT_EQ(*got[p].memory, *want[p].memory) << name(dtype);
      });
    }
}

TEST(Elementwise, LogProb) {
  Random random(6);
  for (int64_t tokens : {1, 2, 9})
    for (int64_t cols : {1, 7, 16, 1000, 49152}) {
      OwnedTensor x = normal_matrix(random, DType::F32, tokens, cols, 8, 6),
                  want = make_matrix(DType::F32, 1, tokens);
      std::vector<int32_t> targets;
      for (int64_t t = 0; t < tokens; ++t)
        targets.push_back(static_cast<int32_t>(random.below(static_cast<uint64_t>(cols))));
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
    std::vector<int32_t> targets = {0, 0};
    k.rmsnorm(y, x, one, 1e-5f);
    EXPECT_TRUE(std::isnan(y.row(0)[0]));
    EXPECT_TRUE(std::isfinite(y.row(1)[0]));
    k.swiglu(y, x, x);
    EXPECT_TRUE(std::isnan(y.row(0)[1]));
    EXPECT_TRUE(std::isfinite(y.row(0)[0]) && std::isfinite(y.row(1)[0]));
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
