// The piecewise operator against its definition in torch (tools/make_piecewise_golden.py), and on
// FlagAttention's own test shapes, an eighth as long, by its own criterion.
#include "kernels/piecewise.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <vector>

#include "kernels/attention_data.h"
#include "kernels/random_tensor.h"

namespace longspan {
namespace {

/// All implementations that run here, as tables.
std::vector<const Kernels*> supported() {
  std::vector<const Kernels*> result;
  for (const Kernels* k : all_kernels())
    if (k->supported()) result.push_back(k);
  return result;
}

Tensor cube(Tensor x, int64_t heads) {
  Tensor result = x;
  result.dims = 3;
  result.size[0] = x.rows() / heads;
  result.size[1] = heads;
  result.size[2] = x.cols();
  return result;
}

struct Arguments {
  OwnedTensor q1, k1, q2, k2, v;
  int64_t heads, threshold;
  bool causal;
  float scale;

  int64_t queries() const { return q1.rows() / heads; }
  int64_t keys() const { return k1.rows() / heads; }
};

void call(const Kernels& k, const Arguments& a, Tensor out, Tensor log_sum) {
  piecewise_attention(k, cube(out, a.heads), log_sum, cube(a.q1, a.heads), cube(a.k1, a.heads),
                      cube(a.q2, a.heads), cube(a.k2, a.heads), cube(a.v, a.heads), a.threshold, a.causal,
                      a.scale);
}

template <class T>
T read(std::ifstream& file) {
  T value;
  file.read(reinterpret_cast<char*>(&value), sizeof value);
  return value;
}

OwnedTensor read_matrix(std::ifstream& file, int64_t rows, int64_t cols) {
  OwnedTensor t = make_matrix(DType::F32, rows, cols);
  file.read(reinterpret_cast<char*>(t.data), static_cast<std::streamsize>(t.bytes()));
  return t;
}

TEST(Piecewise, EqualsItsDefinitionInTorch) {
  std::ifstream file(LONGSPAN_GOLDEN "/piecewise/cases.bin", std::ios::binary);
  ASSERT_TRUE(file);
  int cases = 0;
  for (; file.peek() != EOF; ++cases) {
    auto m = read<int32_t>(file), n = read<int32_t>(file), h = read<int32_t>(file), d = read<int32_t>(file);
    auto threshold = read<int32_t>(file), causal = read<int32_t>(file);
    auto scale = read<float>(file);
    auto queries = [&] { return read_matrix(file, m * h, d); };
    auto keys = [&] { return read_matrix(file, n * h, d); };
    OwnedTensor q1 = queries(), k1 = keys(), q2 = queries(), k2 = keys(), v = keys(), want = queries();
    OwnedTensor want_sum = read_matrix(file, m, h);
    ASSERT_TRUE(file);
    Arguments a{q1, k1, q2, k2, v, h, threshold, causal != 0, scale};
    for (const Kernels* k : supported()) {
      OwnedTensor out = make_matrix(DType::F32, m * h, d), sum = make_matrix(DType::F32, m, h);
      call(*k, a, out, sum);
      for (int64_t r = 0; r < m * h; ++r)
        for (int64_t i = 0; i < d; ++i)
          ASSERT_NEAR(out.row(r)[i], want.row(r)[i], 2e-5) << k->name << " case " << cases << " row " << r;
      for (int64_t t = 0; t < m; ++t)
        for (int64_t i = 0; i < h; ++i) {
          if (std::isinf(want_sum.row(t)[i]))
            ASSERT_EQ(sum.row(t)[i], want_sum.row(t)[i]) << k->name << " case " << cases;
          else
            ASSERT_NEAR(sum.row(t)[i], want_sum.row(t)[i], 2e-5) << k->name << " case " << cases;
        }
    }
  }
  EXPECT_EQ(cases, 10);
}

float rounded(float x) { return bf16_to_f32(f32_to_bf16(x)); }

/// As torch computes it when everything is BF16: sums in F32, every result rounded.
OwnedTensor same_precision(const Arguments& a) {
  int64_t m = a.queries(), n = a.keys(), h = a.heads, d = a.q1.cols();
  OwnedTensor out = make_matrix(DType::F32, m * h, d);
  std::vector<float> p(static_cast<size_t>(n));
  for (int64_t row = 0; row < m * h; ++row) {
    int64_t at = row / h + n - m, visible = a.causal ? std::max<int64_t>(0, std::min(n, at + 1)) : n;
    float largest = -INFINITY, sum = 0;
    for (int64_t j = 0; j < visible; ++j) {
      bool far = at - j >= a.threshold;
      const float *q = (far ? a.q2 : a.q1).row(row), *k = (far ? a.k2 : a.k1).row(j * h + row % h);
      float dot = 0;
      for (int64_t i = 0; i < d; ++i) dot += q[i] * k[i];
      p[static_cast<size_t>(j)] = rounded(rounded(dot) * a.scale);
      largest = std::max(largest, p[static_cast<size_t>(j)]);
    }
    for (int64_t j = 0; j < visible; ++j)
      sum += p[static_cast<size_t>(j)] = std::exp(p[static_cast<size_t>(j)] - largest);
    std::vector<float> o(static_cast<size_t>(d));
    for (int64_t j = 0; j < visible; ++j)
      for (int64_t i = 0; i < d; ++i)
        o[static_cast<size_t>(i)] += rounded(p[static_cast<size_t>(j)] / sum) * a.v.row(j * h + row % h)[i];
    for (int64_t i = 0; i < d; ++i) out.row(row)[i] = rounded(o[static_cast<size_t>(i)]);
  }
  return out;
}

double largest_difference(const OwnedTensor& a, const OwnedTensor& b) {
  double largest = 0;
  for (int64_t r = 0; r < a.rows(); ++r)
    for (int64_t i = 0; i < a.cols(); ++i) {
      double difference = std::abs(static_cast<double>(get(a, r, i)) - get(b, r, i));
      if (!(difference < INFINITY)) return INFINITY;
      largest = std::max(largest, difference);
    }
  return largest;
}

struct Shape {
  int64_t heads, m, n, d;
};

/// FlagAttention: largest error at most twice that of torch in the same precision, plus 1e-5.
TEST(Piecewise, PassesFlagAttentionsCriterion) {
  const Shape shapes[] = {{4, 64, 76, 128},  {4, 128, 129, 64}, {4, 256, 256, 32},
                          {1, 512, 512, 16}, {1, 512, 500, 16}, {1, 1024, 483, 32}};
  Random random(5);
  float scale = 1;
  for (const Shape& s : shapes)
    for (bool causal : {false, true}) {
      auto normal = [&](int64_t rows) {  // numbers that BF16 holds
        OwnedTensor t = normal_matrix(random, DType::F32, rows * s.heads, s.d);
        for (int64_t r = 0; r < t.rows(); ++r)
          for (int64_t i = 0; i < s.d; ++i) t.row(r)[i] = rounded(t.row(r)[i]);
        return t;
      };
      int64_t threshold = s.m < s.n ? s.m / 2 : s.m - s.n / 2;
      Arguments a{normal(s.m), normal(s.n), normal(s.m), normal(s.n), normal(s.n),
                  s.heads,     threshold,   causal,      scale};
      scale = scale < 4 ? scale + 1 : 1;
      OwnedTensor want = make_matrix(DType::F32, s.m * s.heads, s.d);
      call(kernels_named("reference"), a, want, {});
      double allowed = 2 * largest_difference(same_precision(a), want) + 1e-5;
      for (const Kernels* k : supported())
        for (DType dtype : {DType::F32, DType::BF16}) {
          if (k == all_kernels()[0]) continue;  // itself
          OwnedTensor out = make_matrix(dtype, s.m * s.heads, s.d);
          call(*k, a, out, {});
          EXPECT_LE(largest_difference(out, want), dtype == DType::F32 ? 1e-4 : allowed)
              << k->name << " M " << s.m << " N " << s.n << " D " << s.d << (causal ? " causal" : "");
        }
    }
}

/// Where both pairs are one, the operator is plain attention; without keys, nothing.
TEST(Piecewise, NoKeysIsNothing) {
  Arguments a{make_matrix(DType::F32, 6, 16),
              make_matrix(DType::F32, 0, 16),
              make_matrix(DType::F32, 6, 16),
              make_matrix(DType::F32, 0, 16),
              make_matrix(DType::F32, 0, 16),
              2,
              1,
              true,
              1};
  for (const Kernels* k : supported()) {
    OwnedTensor out = make_matrix(DType::F32, 6, 16), sum = make_matrix(DType::F32, 3, 2);
    call(*k, a, out, sum);
    for (int64_t r = 0; r < 6; ++r) EXPECT_EQ(out.row(r)[3], 0) << k->name;
    EXPECT_EQ(sum.row(2)[1], -INFINITY) << k->name;
  }
}

}  // namespace
}  // namespace longspan
