// Operations that do several things at once, against their parts as reference computes them.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "kernels/cache.h"
#include "kernels/cache_codes.h"
#include "kernels/implementations.h"
#include "kernels/kernels.h"

namespace longspan {
namespace {

constexpr float kEps = 1e-5f;
// As for products (linear_test.cc), of the sum of |x w|; the norm adds the roundings of its factor.
constexpr double kTolerance = 4e-6;

/// Calls body with each implementation that has the fused operations.
template <class Body>
void for_each_fused(Body body) {
  for_each_implementation([&](const Kernels& k) {
    ASSERT_EQ(k.fused_rows > 0, k.norm_linear != nullptr);
    ASSERT_EQ(k.fused_rows > 0, k.norm_gate != nullptr);
    ASSERT_EQ(k.fused_rows > 0, k.rope_store != nullptr);
    if (k.fused_rows > 0) body(k);
  });
}

/// A weight, its bias, and what reference makes of normed rows with them.
struct Product {
  OwnedTensor weight, bias, want, size;
  Linear w;

  Product(Random& random, DType dtype, const OwnedTensor& normed, int64_t features, bool biased)
      : weight(random_weight(random, dtype, features, normed.cols())),
        bias(normal_matrix(random, DType::F32, 1, features)),
        want(make_matrix(DType::F32, normed.rows(), features)),
        size(make_matrix(DType::F32, normed.rows(), features)) {
    w.weight = weight;
    if (biased) w.bias = bias;
    reference().linear(want, normed, w, false);
    std::vector<float> row(static_cast<size_t>(normed.cols()));
    for (int64_t n = 0; n < features; ++n) {
      dequantise(row.data(), weight.row<std::byte>(n), dtype, normed.cols());
      for (int64_t t = 0; t < normed.rows(); ++t) {
        double sum = 1e-3 + std::fabs(want.row(t)[n]);
        for (int64_t i = 0; i < normed.cols(); ++i)
          sum += std::fabs(static_cast<double>(normed.row(t)[i]) * row[static_cast<size_t>(i)]);
        size.row(t)[n] = static_cast<float>(sum);
      }
    }
  }
};

OwnedTensor normed(const OwnedTensor& x, const OwnedTensor& norm) {
  OwnedTensor out = make_matrix(DType::F32, x.rows(), x.cols());
  reference().rmsnorm(out, x, norm, kEps);
  return out;
}

constexpr DType kWeightTypes[] = {DType::F32,  DType::F16,  DType::BF16, DType::Q8_0,
                                  DType::Q4_0, DType::Q4_1, DType::Q5_0, DType::Q5_1,
                                  DType::Q4_K, DType::Q5_K, DType::Q6_K};

class FusedOfDtype : public testing::TestWithParam<DType> {};

TEST_P(FusedOfDtype, NormAndProductsAgreeWithTheirParts) {
  Random random(21);
  for (int64_t rows : {1, 2, 3, 5, 8})
    for (int64_t cols : {256, 768, 9216}) {
      OwnedTensor x = normal_matrix(random, DType::F32, rows, cols, 64, 3),
                  norm = normal_matrix(random, DType::F32, 1, cols), y = normed(x, norm);
      Product q(random, GetParam(), y, 70, true), k(random, GetParam(), y, 33, false),
          v(random, GetParam(), y, 9, true);
      for_each_fused([&](const Kernels& kernels) {
        std::array<OwnedTensor, 3> got;
        std::array<const Product*, 3> products{&q, &k, &v};
        std::vector<Projection> all;
        for (size_t i = 0; i < 3; ++i) {
          got[i] = make_matrix(DType::F32, rows, products[i]->want.cols(), 32);
          all.push_back({got[i], &products[i]->w});
        }
        kernels.norm_linear(all, x, norm, kEps);
        for (size_t i = 0; i < 3; ++i)
          for (int64_t t = 0; t < rows; ++t)
            for (int64_t n = 0; n < got[i].cols(); ++n)
              ASSERT_NEAR(got[i].row(t)[n], products[i]->want.row(t)[n],
                          kTolerance * products[i]->size.row(t)[n])
                  << "projection " << i << " T " << rows << " C " << cols << " t " << t << " n " << n;
      });
    }
}

TEST_P(FusedOfDtype, NormGateAndUpAgreeWithTheirParts) {
  Random random(22);
  for (Activation activation : {Activation::Silu, Activation::GeluTanh})
    for (int64_t rows : {1, 3, 8}) {
      int64_t cols = 768, features = 101;
      OwnedTensor x = normal_matrix(random, DType::F32, rows, cols),
                  norm = normal_matrix(random, DType::F32, 1, cols), y = normed(x, norm);
      Product gate(random, GetParam(), y, features, true), up(random, GetParam(), y, features, false);
      OwnedTensor want = make_matrix(DType::F32, rows, features);
      reference().gate(want, gate.want, up.want, activation);
      for_each_fused([&](const Kernels& kernels) {
        OwnedTensor got = make_matrix(DType::F32, rows, features, 32);
        kernels.norm_gate(got, x, norm, kEps, gate.w, up.w, activation);
        for (int64_t t = 0; t < rows; ++t)
          for (int64_t n = 0; n < features; ++n) {
            // |activation'| <= 1.13 and |activation(g)| <= |g|.
            double g = std::fabs(gate.want.row(t)[n]), u = std::fabs(up.want.row(t)[n]);
            double bound = kTolerance * (1.2 * u * gate.size.row(t)[n] + g * up.size.row(t)[n]);
            ASSERT_NEAR(got.row(t)[n], want.row(t)[n], bound + 1e-5)
                << "T " << rows << " t " << t << " n " << n;
          }
      });
    }
}

INSTANTIATE_TEST_SUITE_P(Weights, FusedOfDtype, testing::ValuesIn(kWeightTypes),
                         [](const auto& info) { return std::string(name(info.param)); });

TEST(Fused, NormOfMixedTypesAndOddRowsAgreesWithItsParts) {
  Random random(23);
  for (int64_t cols : {256, 250}) {
    OwnedTensor x = normal_matrix(random, DType::F32, 2, cols),
                norm = normal_matrix(random, DType::F32, 1, cols), y = normed(x, norm);
    Product a(random, DType::BF16, y, 20, false),
        b(random, cols == 256 ? DType::Q6_K : DType::F32, y, 12, false);
    for_each_fused([&](const Kernels& kernels) {
      OwnedTensor got_a = make_matrix(DType::F32, 2, 20), got_b = make_matrix(DType::F32, 2, 12);
      const std::vector<Projection> both{{got_a, &a.w}, {got_b, &b.w}};
      kernels.norm_linear(both, x, norm, kEps);
      for (int64_t t = 0; t < 2; ++t) {
        for (int64_t n = 0; n < 20; ++n)
          ASSERT_NEAR(got_a.row(t)[n], a.want.row(t)[n], kTolerance * a.size.row(t)[n]);
        for (int64_t n = 0; n < 12; ++n)
          ASSERT_NEAR(got_b.row(t)[n], b.want.row(t)[n], kTolerance * b.size.row(t)[n]);
      }
    });
  }
}

TEST(Fused, ARowHasTheSameBitsInEveryBatch) {
  Random random(24);
  OwnedTensor x = normal_matrix(random, DType::F32, 8, 9216),
              norm = normal_matrix(random, DType::F32, 1, 9216);
  OwnedTensor weight = random_weight(random, DType::BF16, 37, 9216);
  Linear w{weight, {}};
  for_each_fused([&](const Kernels& kernels) {
    OwnedTensor all = make_matrix(DType::F32, 8, 37), one = make_matrix(DType::F32, 1, 37);
    const std::vector<Projection> of_all{{all, &w}}, of_one{{one, &w}};
    kernels.norm_linear(of_all, x, norm, kEps);
    for (int64_t t = 0; t < 8; ++t) {
      kernels.norm_linear(of_one, x.slice(t, 1), norm, kEps);
      for (int64_t n = 0; n < 37; ++n) ASSERT_EQ(one.row(0)[n], all.row(t)[n]) << "t " << t << " n " << n;
    }
  });
}

TEST(Fused, RopeAndStoreAgreeWithTheirParts) {
  constexpr int64_t kHeads = 6, kKvHeads = 2;
  for (DType dtype : cache_dtypes())
    for (auto [d, rotary] : {std::pair<int64_t, int64_t>{64, 64}, {20, 12}, {96, 40}}) {
      if (d % dtype_info(dtype).block_elements != 0) continue;
      Random random(25);
      std::vector<int32_t> tokens{1, 0, 3, 2}, past{255, 7, 254, 0};
      OwnedSequences sequences(tokens, past);
      OwnedTensor q = normal_matrix(random, DType::F32, 6, kHeads * d, 32),
                  k = normal_matrix(random, DType::F32, 6, kKvHeads * d),
                  v = normal_matrix(random, DType::F32, 6, kKvHeads * d);
      OwnedTensor cosine = normal_matrix(random, DType::F32, 6, rotary / 2),
                  sine = normal_matrix(random, DType::F32, 6, rotary / 2);
      RopeTable table{cosine, sine};
      OwnedTensor pages = int_vector({3, 0, 1, 7, 5, 2, 4, 6});  // two of each sequence
      Tensor of_sequences = pages.viewed(DType::I32, 4, 2);
      int64_t stride = dtype_bytes(dtype, kKvHeads * kPageTokens * d) + 64;
      auto cache = [&] { return make_matrix(DType::Q8_0, 1, 0, 8 * stride); };
      auto view = [&](const OwnedTensor& memory) {
        return KvPages{memory.memory->data(), stride, of_sequences, dtype, kKvHeads, d};
      };
      OwnedTensor want_q = copied(q), rotated = copied(k), want_k = cache(), want_v = cache();
      reference().rope(want_q, table, kHeads, d, Turn::Forward);
      reference().rope(rotated, table, kKvHeads, d, Turn::Forward);
      reference().store_kv(view(want_k), rotated, sequences);
      reference().store_kv(view(want_v), v, sequences);
      for_each_fused([&](const Kernels& kernels) {
        OwnedTensor got_q = copied(q), got_k = cache(), got_v = cache();
        kernels.rope_store(got_q, k, v, table, table, view(got_k), view(got_v), sequences);
        for (int64_t t = 0; t < 6; ++t)
          for (int64_t i = 0; i < q.cols(); ++i)
            ASSERT_NEAR(got_q.row(t)[i], want_q.row(t)[i], 2e-6) << "t " << t << " i " << i;
        EXPECT_EQ(*got_v.memory, *want_v.memory);
        if (is_quantised(dtype)) {
          int64_t head_bytes = dtype_bytes(dtype, kPageTokens * d);
          std::vector<float> got(static_cast<size_t>(d)), want(got);
          for (auto [page, token] :
               {std::pair<int64_t, int64_t>{3, 255}, {5, 254}, {5, 255}, {2, 0}, {4, 0}, {4, 1}})
            for (int64_t h = 0; h < kKvHeads; ++h) {
              int64_t at = page * stride + h * head_bytes;
              load_codes(got.data(), got_k.memory->data() + at, dtype, d, token);
              load_codes(want.data(), want_k.memory->data() + at, dtype, d, token);
              // A rounding of a rotated key may change a code by one: of numbers below 6 * 2.
              for (size_t i = 0; i < got.size(); ++i)
                ASSERT_NEAR(got[i], want[i], dtype == DType::Q8_0 ? 12.0 / 127 : 12.0 / 8);
              EXPECT_NE(std::count(got.begin(), got.end(), 0.0f), d);
            }
          return;
        }
        // Rotated keys may differ by a rounding: compared as numbers, and every other byte as bytes.
        double tolerance = dtype == DType::BF16 ? 0x1p-7 : dtype == DType::F16 ? 0x1p-10 : 2e-6;
        int64_t width = dtype_bytes(dtype, 1);
        for (int64_t at = 0; at < 8 * stride; at += width) {
          auto number = [&](const OwnedTensor& x) {
            return get(host_vector(x.memory->data() + at, dtype, 1), 0, 0);
          };
          if (std::equal(want_k.memory->data() + at, want_k.memory->data() + at + width,
                         got_k.memory->data() + at))
            continue;
          ASSERT_NEAR(number(got_k), number(want_k), tolerance * (1 + std::fabs(number(want_k))));
        }
      });
    }
}

}  // namespace
}  // namespace longspan
