// Operations that move, convert or add elements. Each rounds once, so every implementation is held to the
// bits of the formula; and to its own memory: the bytes between rows are compared too.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernels/implementations.h"

namespace longspan {
namespace {

// Elements of rows: around one and two vectors of either width, and so many that threads divide them.
constexpr int64_t kCols[] = {1, 7, 8, 9, 15, 16, 17, 31, 33, 64, 100, 600};
constexpr int64_t kRows[] = {1, 3, 64};
constexpr DType kActivations[] = {DType::F32, DType::F16, DType::BF16};
constexpr DType kQuantised[] = {DType::Q8_0, DType::Q4_0, DType::Q4_1, DType::Q5_0,
                                DType::Q5_1, DType::Q4_K, DType::Q5_K, DType::Q6_K};

template <class Body>
void for_each_size(Body body) {
  for (int64_t rows : kRows)
    for (int64_t cols : kCols) {
      SCOPED_TRACE(testing::Message() << rows << " x " << cols);
      body(rows, cols);
    }
}

/// All bytes, those between rows included.
void expect_same_memory(const OwnedTensor& got, const OwnedTensor& want) {
  EXPECT_TRUE(*got.memory == *want.memory);
}

/// Numbers of every kind: normal, subnormal in each type, halfway cases, overflow, infinite, NaN.
OwnedTensor awkward_matrix(Random& random, DType dtype, int64_t rows, int64_t cols, int64_t gap) {
  constexpr float kSpecial[] = {0.0f,     -0.0f,    INFINITY,  -INFINITY, NAN,       65504.0f,
                                65519.9f, 65520.0f, 1e30f,     3.4e38f,   5.9e-8f,   2.9e-8f,
                                6.1e-5f,  1e-40f,   0x1.01p0f, 0x1.03p0f, 0x1.002p0f};
  OwnedTensor x = make_matrix(dtype, rows, cols, gap);
  for (int64_t t = 0; t < rows; ++t)
    for (int64_t i = 0; i < cols; ++i)
      put(x, t, i,
          random.below(4) == 0
              ? kSpecial[random.below(std::size(kSpecial))]
              : std::ldexp(static_cast<float>(random.normal()), static_cast<int>(random.below(60)) - 40));
  return x;
}

OwnedTensor dequantised(const Tensor& x) {
  OwnedTensor out = make_matrix(DType::F32, x.rows(), x.cols());
  for (int64_t t = 0; t < x.rows(); ++t) dequantise(out.row(t), x.row<std::byte>(t), x.dtype, x.cols());
  return out;
}

/// out as the scalar conversions of dtype.h give it.
OwnedTensor converted(const Tensor& x, DType dtype, int64_t gap) {
  OwnedTensor values = dequantised(x), out = make_matrix(dtype, x.rows(), x.cols(), gap);
  for (int64_t t = 0; t < x.rows(); ++t)
    for (int64_t i = 0; i < x.cols(); ++i) put(out, t, i, values.row(t)[i]);
  return out;
}

TEST(Movement, SplitGivesTwoPartsThatAddUp) {
  Random random(43);
  for (int64_t tokens : {1, 7, 300})
    for (int64_t cols : {1, 5, 16, 23, 601}) {
      OwnedTensor x = normal_matrix(random, DType::F32, tokens, cols, 64, 3),
                  high = make_matrix(DType::BF16, tokens, cols), low = copied(high);
      reference().split(high, low, x);
      for (int64_t t = 0; t < tokens; ++t)
        for (int64_t i = 0; i < cols; ++i) {
          double v = get(x, t, i);
          ASSERT_NEAR(get(high, t, i), v, std::fabs(v) * 0x1p-8);
          ASSERT_NEAR(double{get(high, t, i)} + get(low, t, i), v, std::fabs(v) * 0x1p-16);
        }
      for_each_implementation([&](const Kernels& k) {
        OwnedTensor h = make_matrix(DType::BF16, tokens, cols, 32),
                    l = make_matrix(DType::BF16, tokens, cols, 2);
        k.split(h, l, x);
        for (int64_t t = 0; t < tokens; ++t)
          for (int64_t i = 0; i < cols; ++i) {
            ASSERT_EQ(get(h, t, i), get(high, t, i)) << k.name;
            ASSERT_EQ(get(l, t, i), get(low, t, i)) << k.name;
          }
        expect_gaps_untouched(h);
        expect_gaps_untouched(l);
      });
    }
}

TEST(Movement, ConvertRoundsBitForBit) {
  Random random(1);
  for (DType from : kActivations)
    for (DType to : kActivations) {
      if (from == to) continue;
      SCOPED_TRACE(testing::Message() << name(from) << " to " << name(to));
      for_each_size([&](int64_t rows, int64_t cols) {
        OwnedTensor x = awkward_matrix(random, from, rows, cols, 8), want = converted(x, to, 20);
        for_every_implementation([&](const Kernels& k) {
          OwnedTensor got = make_matrix(to, rows, cols, 20);
          k.convert(got, x);
          expect_same_memory(got, want);
        });
      });
    }
}

// Equal numbers; the sign of a zero is left open.
TEST(Movement, ConvertDequantises) {
  Random random(2);
  for (DType from : kQuantised)
    for (DType to : kActivations)
      for (auto [rows, cols] : {std::pair<int64_t, int64_t>{1, 256}, {3, 768}, {200, 256}}) {
        SCOPED_TRACE(testing::Message() << name(from) << " to " << name(to));
        OwnedTensor x = random_weight(random, from, rows, cols), want = converted(x, to, 4);
        for_every_implementation([&](const Kernels& k) {
          OwnedTensor got = make_matrix(to, rows, cols, 4);
          k.convert(got, x);
          expect_gaps_untouched(got);
          for (int64_t t = 0; t < rows; ++t)
            for (int64_t j = 0; j < cols; ++j) ASSERT_EQ(get(got, t, j), get(want, t, j)) << t << "," << j;
        });
      }
}

TEST(Movement, ConvertToTheSameTypeCopiesEveryBit) {
  Random random(3);
  std::vector<DType> all(std::begin(kQuantised), std::end(kQuantised));
  all.insert(all.end(), {DType::F32, DType::F16, DType::BF16, DType::I32, DType::F64});
  for (DType dtype : all)
    for (int64_t rows : kRows)
      for (int64_t cols : is_quantised(dtype) ? std::vector<int64_t>{256, 768}
                                              : std::vector<int64_t>(std::begin(kCols), std::end(kCols))) {
        OwnedTensor x = make_matrix(dtype, rows, cols, 12), want = make_matrix(dtype, rows, cols, 28);
        int64_t used = dtype_bytes(dtype, cols);
        for (std::byte& b : *x.memory) b = static_cast<std::byte>(random.below(256));  // also NaN of any kind
        for (int64_t t = 0; t < rows; ++t) std::copy_n(x.row<std::byte>(t), used, want.row<std::byte>(t));
        for_every_implementation([&](const Kernels& k) {
          OwnedTensor got = make_matrix(dtype, rows, cols, 28);
          k.convert(got, x);
          expect_same_memory(got, want);
        });
      }
}

// The rows of a file lie at any address.
TEST(Movement, ConvertReadsFromOddAddresses) {
  Random random(4);
  for (DType from : {DType::F32, DType::F16, DType::BF16, DType::Q8_0, DType::Q4_K}) {
    OwnedTensor x = random_weight(random, from, 3, 256), want = converted(x, DType::F32, 0);
    std::vector<std::byte> moved(x.memory->size() + 1);
    std::copy(x.memory->begin(), x.memory->end(), moved.begin() + 1);
    for_every_implementation([&](const Kernels& k) {
      OwnedTensor got = make_matrix(DType::F32, 3, 256);
      k.convert(got, host_matrix(moved.data() + 1, from, 3, 256));
      expect_same_memory(got, want);
    });
  }
}

TEST(Movement, GatherTakesRowsInAnyOrder) {
  Random random(5);
  for (DType dtype : kActivations)
    for_each_size([&](int64_t rows, int64_t cols) {
      OwnedTensor x = awkward_matrix(random, DType::F32, 11, cols, 4),
                  want = make_matrix(dtype, rows, cols, 20);
      std::vector<int32_t> from;
      for (int64_t t = 0; t < rows; ++t) {
        from.push_back(static_cast<int32_t>(random.below(11)));
        for (int64_t i = 0; i < cols; ++i) put(want, t, i, x.row(from.back())[i]);
      }
      for_every_implementation([&](const Kernels& k) {
        OwnedTensor got = make_matrix(dtype, rows, cols, 20);
        k.gather(got, x, int_vector(from));
        expect_same_memory(got, want);
      });
    });
}

TEST(Movement, ScatterLeavesOtherRows) {
  Random random(6);
  for_each_size([&](int64_t rows, int64_t cols) {
    OwnedTensor x = awkward_matrix(random, DType::F32, rows, cols, 4),
                before = normal_matrix(random, DType::F32, rows + 5, cols, 8), want = copied(before);
    std::vector<int32_t> to(static_cast<size_t>(rows + 5));
    std::iota(to.begin(), to.end(), 0);
    for (size_t i = to.size() - 1; i > 0; --i) std::swap(to[i], to[random.below(i + 1)]);
    to.resize(static_cast<size_t>(rows));
    for (int64_t t = 0; t < rows; ++t) std::copy_n(x.row(t), cols, want.row(to[static_cast<size_t>(t)]));
    for_every_implementation([&](const Kernels& k) {
      OwnedTensor got = copied(before);
      k.scatter(got, x, int_vector(to));
      expect_same_memory(got, want);
    });
  });
}

TEST(Movement, FillWritesEveryElementAndNothingElse) {
  for (DType dtype : {DType::F32, DType::F16, DType::BF16, DType::F64})
    for (float value : {0.0f, -0.0f, 1.5f, 1.0f / 3, -1e30f})
      for (int64_t gap : {0, 24})
        for_each_size([&](int64_t rows, int64_t cols) {
          OwnedTensor want = make_matrix(dtype, rows, cols, gap);
          for (int64_t t = 0; t < rows; ++t)
            for (int64_t i = 0; i < cols; ++i) {
              if (dtype == DType::F64)
                want.row<double>(t)[i] = value;
              else
                put(want, t, i, value);
            }
          for_every_implementation([&](const Kernels& k) {
            OwnedTensor got = make_matrix(dtype, rows, cols, gap);
            k.fill(got, value);
            expect_same_memory(got, want);
          });
        });
}

TEST(Movement, FillClearsALargeTensor) {
  for_every_implementation([&](const Kernels& k) {
    OwnedTensor x = make_matrix(DType::F32, 1001, 3001);  // 12 MB, not a multiple of what one thread clears
    k.fill(x, 0);
    EXPECT_TRUE(
        std::all_of(x.memory->begin(), x.memory->end(), [](std::byte b) { return b == std::byte{}; }));
  });
}

TEST(Movement, AddAndAxpbyRoundOnce) {
  Random random(7);
  for_each_size([&](int64_t rows, int64_t cols) {
    OwnedTensor x = normal_matrix(random, DType::F32, rows, cols, 4),
                y = normal_matrix(random, DType::F32, rows, cols, 12), sum = copied(x), mean = copied(x);
    for (int64_t t = 0; t < rows; ++t)
      for (int64_t i = 0; i < cols; ++i) {
        sum.row(t)[i] = x.row(t)[i] + y.row(t)[i];
        float first = 0.7f * x.row(t)[i], second = 0.3f * y.row(t)[i];
        mean.row(t)[i] = first + second;
      }
    for_every_implementation([&](const Kernels& k) {
      OwnedTensor got = copied(x);
      k.add(got, y);
      expect_same_memory(got, sum);
      got = copied(x);
      k.axpby(got, 0.7f, y, 0.3f);
      expect_same_memory(got, mean);
    });
  });
}

TEST(Movement, ScaleTakesOneFactorOrOnePerRow) {
  Random random(8);
  for_each_size([&](int64_t rows, int64_t cols) {
    OwnedTensor x = normal_matrix(random, DType::F32, rows, cols, 20),
                factors = normal_matrix(random, DType::F32, 1, rows);
    factors.row(0)[0] = 1 / 1.25f;  // 1 with the other factor: this row stays
    OwnedTensor want = copied(x), want_rows = copied(x);
    for (int64_t t = 0; t < rows; ++t)
      for (int64_t i = 0; i < cols; ++i) {
        want.row(t)[i] = 1.25f * x.row(t)[i];
        float factor = 1.25f * factors.row(0)[t];
        want_rows.row(t)[i] = factor * x.row(t)[i];
      }
    for_every_implementation([&](const Kernels& k) {
      OwnedTensor got = copied(x);
      k.scale(got, 1, {});
      expect_same_memory(got, x);
      k.scale(got, 1.25f, {});
      expect_same_memory(got, want);
      got = copied(x);
      k.scale(got, 1.25f, factors);
      expect_same_memory(got, want_rows);
    });
  });
}

/// x A^T or (x A^T) B^T in double.
std::vector<double> product(const std::vector<double>& x, const Tensor& w, int64_t rows) {
  std::vector<double> y(static_cast<size_t>(rows * w.rows()));
  for (int64_t t = 0; t < rows; ++t)
    for (int64_t n = 0; n < w.rows(); ++n)
      for (int64_t c = 0; c < w.cols(); ++c)
        y[static_cast<size_t>(t * w.rows() + n)] += x[static_cast<size_t>(t * w.cols() + c)] * w.row(n)[c];
  return y;
}

std::vector<double> elements(const Tensor& x) {
  std::vector<double> values;
  for (int64_t t = 0; t < x.rows(); ++t)
    for (int64_t i = 0; i < x.cols(); ++i) values.push_back(get(x, t, i));
  return values;
}

void expect_near(const std::vector<double>& got, const std::vector<double>& want, double tolerance) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < want.size(); ++i)
    EXPECT_NEAR(got[i], want[i], tolerance * (1 + std::fabs(want[i]))) << i;
}

TEST(LowRank, IsScaleTimesBothProducts) {
  Random random(9);
  for (DType dtype : {DType::F32, DType::BF16})
    for (auto [rows, cols, rank, features] :
         {std::array<int64_t, 4>{1, 33, 1, 5}, {7, 64, 8, 100}, {8, 100, 16, 31}, {40, 576, 8, 192}}) {
      OwnedTensor x = normal_matrix(random, dtype, rows, cols),
                  a = normal_matrix(random, DType::F32, rank, cols, 0, 0.1f),
                  b = normal_matrix(random, DType::F32, features, rank, 0, 0.1f),
                  before = normal_matrix(random, DType::F32, rows, features);
      Adapter adapter{{a, {}}, {b, {}}, 1.75f};
      std::vector<double> low = product(elements(x), a, rows);
      for (double& value : low) value *= 1.75;
      std::vector<double> want_out = product(low, b, rows), added = elements(before);
      for (size_t i = 0; i < added.size(); ++i) want_out[i] += added[i];
      for_every_implementation([&](const Kernels& k) {
        OwnedTensor out = copied(before), got_low = make_matrix(DType::F32, rows, rank);
        k.low_rank(out, got_low, x, adapter);
        // BF16 rows may meet an A rounded to BF16: sums of at most 576 products, each wrong by up to 2^-9 of
        // itself, are wrong by 0.005 on the average.
        double tolerance = dtype == DType::BF16 && k.preferred == Compute::BF16 ? 0.03 : 1e-5;
        expect_near(elements(got_low), low, tolerance);
        expect_near(elements(out), want_out, tolerance);
      });
    }
}

TEST(LowRank, HasTheBitsOfItsParts) {
  Random random(10);
  for (DType dtype : {DType::F32, DType::BF16})
    for (int64_t rows : {1, 40}) {
      OwnedTensor x = normal_matrix(random, dtype, rows, 96), a = normal_matrix(random, DType::F32, 8, 96),
                  b = normal_matrix(random, DType::F32, 50, 8),
                  before = normal_matrix(random, DType::F32, rows, 50);
      Adapter adapter{{a, {}}, {b, {}}, 0.3f};
      for_every_implementation([&](const Kernels& k) {
        OwnedTensor got = copied(before), want = copied(before), low = make_matrix(DType::F32, rows, 8),
                    want_low = make_matrix(DType::F32, rows, 8);
        k.low_rank(got, low, x, adapter);
        k.linear(want_low, x, adapter.a, false);
        k.scale(want_low, 0.3f, {});
        k.linear(want, want_low, adapter.b, true);
        expect_same_memory(low, want_low);
        expect_same_memory(got, want);
      });
    }
}

TEST(Merge, AddsTheProductOfTheAdapter) {
  Random random(11);
  for (int64_t cols : kCols)
    for (auto [features, rank] : {std::pair<int64_t, int64_t>{1, 1}, {7, 8}, {64, 16}}) {
      OwnedTensor w = normal_matrix(random, DType::F32, features, cols, 8),
                  a = normal_matrix(random, DType::F32, rank, cols),
                  b = normal_matrix(random, DType::F32, features, rank);
      Adapter adapter{{a, {}}, {b, {}}, 0.5f};
      for_every_implementation([&](const Kernels& k) {
        OwnedTensor got = copied(w);
        k.merge(got, adapter);
        expect_gaps_untouched(got);
        for (int64_t n = 0; n < features; ++n)
          for (int64_t c = 0; c < cols; ++c) {
            double want = w.row(n)[c];
            for (int64_t r = 0; r < rank; ++r) want += 0.5 * b.row(n)[r] * a.row(r)[c];
            EXPECT_NEAR(got.row(n)[c], want, 1e-5) << n << "," << c;
          }
      });
    }
}

TEST(RopeTable, IsCosAndSinOfTheMappedPosition) {
  // cos(1048575) and sin(1048575 / 8) by mpmath: F32 angles would be off by 0.04 and 0.008.
  std::vector<double> positions{0, 1, 2.5, 1000, 1048575};
  Rotation plain{{}, {1.0, 0.125, 0.0}};
  Rotation mapped{{.modulus = 700, .divisor = 4, .offset = 3, .cap = 60, .floor = true}, {0.5, 0.01}};
  std::vector<double> mapped_to{3, 3, 3, 60, 60};  // floor((p mod 700) / 4) + 3 is 78 and 171 at the last two
  for_every_implementation([&](const Kernels& k) {
    auto check = [&](const Rotation& rotation, const std::vector<double>& at, double scale) {
      auto pairs = static_cast<int64_t>(rotation.inv_freq.size());
      OwnedTensor cos = make_matrix(DType::F32, 5, pairs, 4), sin = make_matrix(DType::F32, 5, pairs, 4);
      k.rope_table({cos, sin}, owned_vector(DType::F64, positions), rotation, scale);
      for (int64_t t = 0; t < 5; ++t)
        for (int64_t i = 0; i < pairs; ++i) {
          double angle = at[static_cast<size_t>(t)] * rotation.inv_freq[static_cast<size_t>(i)];
          EXPECT_EQ(cos.row(t)[i], static_cast<float>(std::cos(angle) * scale)) << t << "," << i;
          EXPECT_EQ(sin.row(t)[i], static_cast<float>(std::sin(angle) * scale)) << t << "," << i;
        }
      expect_gaps_untouched(cos);
      expect_gaps_untouched(sin);
      return std::pair(cos.row(4)[0], sin.row(4)[1]);
    };
    auto [cosine, sine] = check(plain, positions, 1);
    EXPECT_NEAR(cosine, 0.7880422395289274, 1e-7);
    EXPECT_NEAR(sine, -0.9965660318629086, 1e-7);
    check(mapped, mapped_to, 1.3);
  });
}

// Positions are made by more than one thread.
TEST(RopeTable, EveryRowIsMade) {
  std::vector<double> positions(1000);
  std::iota(positions.begin(), positions.end(), 5.0);
  Rotation rotation{{}, {0.3, 0.02, 0.001}};
  for_every_implementation([&](const Kernels& k) {
    OwnedTensor cos = make_matrix(DType::F32, 1000, 3), sin = make_matrix(DType::F32, 1000, 3);
    k.rope_table({cos, sin}, owned_vector(DType::F64, positions), rotation, 1);
    for (int64_t t = 0; t < 1000; ++t)
      for (int64_t i = 0; i < 3; ++i) {
        double angle = static_cast<double>(t + 5) * rotation.inv_freq[static_cast<size_t>(i)];
        ASSERT_EQ(cos.row(t)[i], static_cast<float>(std::cos(angle)));
        ASSERT_EQ(sin.row(t)[i], static_cast<float>(std::sin(angle)));
      }
  });
}

}  // namespace
}  // namespace longspan
