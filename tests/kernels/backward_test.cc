// Gradients of every operation: the plain loops against central differences of the operation itself, the fast
// versions against the plain loops.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "base/threads.h"
#include "kernels/implementations.h"

namespace longspan {
namespace {

/// d sum(weight * f) / d x[row][i] by central differences; f fills `out`. F32 carries about 7 digits: with a
/// step of 2^-7 the difference of two sums is good to some 1e-4 of their size.
double difference(Tensor x, int64_t row, int64_t i, const std::function<double()>& f) {
  constexpr float kStep = 0x1p-7f;
  float before = x.row(row)[i];
  x.row(row)[i] = before + kStep;
  double up = f();
  x.row(row)[i] = before - kStep;
  double down = f();
  x.row(row)[i] = before;
  return (up - down) / (2 * kStep);
}

double weighted(const Tensor& out, const Tensor& weight) {
  double sum = 0;
  for (int64_t t = 0; t < out.rows(); ++t)
    for (int64_t i = 0; i < out.cols(); ++i) sum += static_cast<double>(out.row(t)[i]) * weight.row(t)[i];
  return sum;
}

void expect_gradient(Tensor gradient, Tensor x, const std::function<double()>& f, const char* what) {
  double largest = 0;
  for (int64_t t = 0; t < x.rows(); ++t)
    for (int64_t i = 0; i < x.cols(); ++i) largest = std::max<double>(largest, std::fabs(gradient.row(t)[i]));
  ASSERT_GT(largest, 0) << what;
  for (int64_t t = 0; t < x.rows(); ++t)
    for (int64_t i = 0; i < x.cols(); ++i)
      EXPECT_NEAR(gradient.row(t)[i], difference(x, t, i, f), 2e-3 * largest) << what << " " << t << "," << i;
}

OwnedTensor zeros(int64_t rows, int64_t cols) {
  OwnedTensor x = make_matrix(DType::F32, rows, cols);
  std::fill(x.memory->begin(), x.memory->end(), std::byte{0});
  return x;
}

TEST(Gradients, RmsNorm) {
  Random random(1);
  OwnedTensor x = normal_matrix(random, DType::F32, 3, 20), w = normal_matrix(random, DType::F32, 1, 20),
              dout = normal_matrix(random, DType::F32, 3, 20), out = zeros(3, 20), dx = zeros(3, 20),
              dw = zeros(1, 20);
  reference().rmsnorm_backward(dx, dw, dout, x, w, 1e-5f);
  auto f = [&] { return reference().rmsnorm(out, x, w, 1e-5f), weighted(out, dout); };
  expect_gradient(dx, x, f, "dx");
  expect_gradient(dw, w, f, "dweight");
}

TEST(Gradients, Linear) {
  Random random(2);
  OwnedTensor x = normal_matrix(random, DType::F32, 9, 12), w = normal_matrix(random, DType::F32, 7, 12),
              b = normal_matrix(random, DType::F32, 1, 7), dout = normal_matrix(random, DType::F32, 9, 7),
              out = zeros(9, 7), dx = zeros(9, 12), dw = zeros(7, 12), db = zeros(1, 7);
  Linear linear{w, b};
  reference().linear_input_gradient(dx, dout, linear, false);
  reference().linear_weight_gradient(dw, db, dout, x);
  auto f = [&] { return reference().linear(out, x, linear, false), weighted(out, dout); };
  expect_gradient(dx, x, f, "dx");
  expect_gradient(dw, w, f, "dweight");
  expect_gradient(db, b, f, "dbias");
}

constexpr Activation kActivations[] = {Activation::Silu, Activation::GeluTanh};

TEST(Gradients, Gate) {
  Random random(3);
  for (Activation activation : kActivations) {
    OwnedTensor gate = normal_matrix(random, DType::F32, 2, 18),
                up = normal_matrix(random, DType::F32, 2, 18),
                dout = normal_matrix(random, DType::F32, 2, 18), out = zeros(2, 18), dgate = zeros(2, 18),
                dup = zeros(2, 18);
    reference().gate_backward(dgate, dup, dout, gate, up, activation);
    auto f = [&] { return reference().gate(out, gate, up, activation), weighted(out, dout); };
    expect_gradient(dgate, gate, f, "dgate");
    expect_gradient(dup, up, f, "dup");
  }
}

// In double, over the whole range in which a gate lies.
TEST(Gradients, GateFollowsItsFormulaInEveryImplementation) {
  auto silu = [](double g) { return g / (1 + std::exp(-g)); };
  auto gelu = [](double g) {
    return 0.5 * g * (1 + std::tanh(std::sqrt(2 / M_PI) * (g + 0.044715 * g * g * g)));
  };
  constexpr int64_t n = 4001;
  OwnedTensor gate = zeros(1, n), up = zeros(1, n), dout = zeros(1, n);
  for (int64_t i = 0; i < n; ++i) {
    gate.row(0)[i] = static_cast<float>(i - n / 2) / 128;
    up.row(0)[i] = i % 2 == 0 ? 1.0f : -2.0f;
    dout.row(0)[i] = 0.5f;
  }
  for (Activation activation : kActivations)
    for_every_implementation([&](const Kernels& k) {
      OwnedTensor dgate = zeros(1, n), dup = zeros(1, n);
      k.gate_backward(dgate, dup, dout, gate, up, activation);
      for (int64_t i = 0; i < n; ++i) {
        auto f = [&](double g) { return activation == Activation::Silu ? silu(g) : gelu(g); };
        double g = gate.row(0)[i], step = 1e-5, slope = (f(g + step) - f(g - step)) / (2 * step);
        ASSERT_NEAR(dgate.row(0)[i], 0.5 * up.row(0)[i] * slope, 2e-6) << g;
        ASSERT_NEAR(dup.row(0)[i], 0.5 * f(g), 3e-7 * std::max(1.0, std::fabs(g))) << g;
      }
    });
}

TEST(Gradients, RopeTurnsBack) {
  Random random(4);
  OwnedTensor x = normal_matrix(random, DType::F32, 3, 2 * 16),
              dout = normal_matrix(random, DType::F32, 3, 32), cos = zeros(3, 6), sin = zeros(3, 6),
              out = zeros(3, 32), dx = copied(dout);
  for (int64_t t = 0; t < 3; ++t)
    for (int64_t i = 0; i < 6; ++i) {
      double angle = random.uniform() * 6;
      cos.row(t)[i] = static_cast<float>(1.3 * std::cos(angle));
      sin.row(t)[i] = static_cast<float>(1.3 * std::sin(angle));
    }
  reference().rope(dx, {cos, sin}, 2, 16, Turn::Back);
  auto f = [&] {
    for (int64_t t = 0; t < 3; ++t) std::copy_n(x.row(t), 32, out.row(t));
    reference().rope(out, {cos, sin}, 2, 16, Turn::Forward);
    return weighted(out, dout);
  };
  expect_gradient(dx, x, f, "dx");
}

/// What the operations that add to a scalar of double give.
template <class Operation>
double scalar(Operation operation, double before = 0) {
  OwnedTensor sum = owned_vector<double>(DType::F64, {before});
  operation(static_cast<Tensor>(sum));
  return sum.row<double>(0)[0];
}

TEST(Gradients, CrossEntropyAndDivergence) {
  Random random(5);
  OwnedTensor logits = normal_matrix(random, DType::F32, 3, 17),
              original = normal_matrix(random, DType::F32, 3, 17), work = zeros(3, 17),
              targets = int_vector({4, -1, 16}),
              weights = owned_vector<float>(DType::F32, {1.0f, 0.0f, 0.5f});
  auto copy = [&] {
    for (int64_t t = 0; t < 3; ++t) std::copy_n(logits.row(t), 17, work.row(t));
    return static_cast<Tensor>(work);
  };
  auto entropy = [&] {
    return 2 * scalar([&](Tensor loss) { reference().cross_entropy(loss, copy(), targets, weights, 2.0); });
  };
  auto divergence = [&](const Tensor& from, double scale) {
    return scalar([&](Tensor loss) { reference().divergence(loss, copy(), from, weights, scale); });
  };
  auto kl = [&] { return 2 * divergence(original, 2.0); };
  OwnedTensor gradient = zeros(3, 17);
  for (const std::function<double()>& f : {std::function<double()>(entropy), std::function<double()>(kl)}) {
    f();
    for (int64_t t = 0; t < 3; ++t) std::copy_n(work.row(t), 17, gradient.row(t));
    expect_gradient(gradient, logits, f, "dlogits");
  }
  EXPECT_NEAR(divergence(logits, 1.0), 0, 1e-6);
}

/// Everything of `got` within `tolerance` of the largest of `want`.
void expect_close(const Tensor& got, const Tensor& want, double tolerance, const std::string& what) {
  double largest = 1e-6, worst = 0;
  auto value = [](const Tensor& x, int64_t t, int64_t i) { return get(x, t, i); };
  for (int64_t t = 0; t < want.rows(); ++t)
    for (int64_t i = 0; i < want.cols(); ++i) {
      largest = std::max<double>(largest, std::fabs(value(want, t, i)));
      double error = std::fabs(value(got, t, i) - value(want, t, i));
      worst = error <= worst ? worst : error;
    }
  EXPECT_LE(worst, tolerance * largest) << what;
}

class Backward : public testing::TestWithParam<const Kernels*> {
 protected:
  void SetUp() override {
    if (!GetParam()->supported()) GTEST_SKIP() << "this processor lacks " << GetParam()->name;
  }
};
INSTANTIATE_TEST_SUITE_P(Kernels, Backward, testing::ValuesIn(implementations_here()),
                         [](const auto& info) { return std::string(info.param->name); });

// Sums of at most 300 F32 products: 300 times 2^-24 of the largest, errors of either sign.
constexpr double kF32 = 1e-5;

TEST_P(Backward, LinearAgrees) {
  const Kernels& k = *GetParam();
  Random random(6);
  for (DType dtype : {DType::F32, DType::BF16})
    for (auto [rows, cols, features] : {std::array<int64_t, 3>{1, 17, 5}, {33, 64, 48}, {130, 100, 257}})
      for (DType weight : {DType::F32, DType::Q8_0}) {
        if (weight == DType::Q8_0 && cols % 32 != 0) continue;
        OwnedTensor x = normal_matrix(random, dtype, rows, cols),
                    dout = normal_matrix(random, dtype, rows, features),
                    w = random_weight(random, weight, features, cols),
                    dx = normal_matrix(random, DType::F32, rows, cols),
                    dw = normal_matrix(random, DType::F32, features, cols),
                    db = normal_matrix(random, DType::F32, 1, features);
        OwnedTensor want_dx = copied(dx), want_dw = copied(dw), want_db = copied(db);
        Linear linear{w, {}};
        // BF16 rounds the weight too: 2^-9 of each product.
        bool rounds = dtype == DType::BF16 && k.preferred == Compute::BF16;
        reference().linear_input_gradient(want_dx, dout, linear, true);
        reference().linear_weight_gradient(want_dw, want_db, dout, x);
        k.linear_input_gradient(dx, dout, linear, true);
        k.linear_weight_gradient(dw, db, dout, x);
        std::string what = fmt::format("{} {} {}x{}x{}", name(dtype), name(weight), rows, cols, features);
        expect_close(dx, want_dx, rounds ? 0x1p-9 : kF32, "dx " + what);
        expect_close(dw, want_dw, kF32, "dweight " + what);
        expect_close(db, want_db, kF32, "dbias " + what);
      }
}

TEST_P(Backward, TheRestAgrees) {
  const Kernels& k = *GetParam();
  Random random(7);
  for (int64_t cols : {1, 15, 16, 100, 5000}) {
    int64_t rows = cols > 1000 ? 9 : 41;
    auto normal = [&](int64_t r) { return normal_matrix(random, DType::F32, r, cols); };
    OwnedTensor x = normal(rows), y = normal(rows), dout = normal(rows), w = normal(1);
    std::string what = fmt::format("{} columns", cols);

    OwnedTensor dx = normal(rows), dw = normal(1), want_dx = copied(dx), want_dw = copied(dw);
    reference().rmsnorm_backward(want_dx, want_dw, dout, x, w, 1e-5f);
    k.rmsnorm_backward(dx, dw, dout, x, w, 1e-5f);
    expect_close(dx, want_dx, kF32, "rmsnorm dx " + what);
    expect_close(dw, want_dw, kF32, "rmsnorm dweight " + what);

    for (Activation activation : kActivations)
      for (DType dtype : {DType::F32, DType::BF16}) {
        OwnedTensor a = make_matrix(dtype, rows, cols), b = make_matrix(dtype, rows, cols),
                    c = make_matrix(dtype, rows, cols, 8), d = make_matrix(dtype, rows, cols, 4);
        reference().gate_backward(a, b, dout, x, y, activation);
        k.gate_backward(c, d, dout, x, y, activation);
        expect_close(c, a, dtype == DType::F32 ? kF32 : 0x1p-8, "dgate " + what);
        expect_close(d, b, dtype == DType::F32 ? kF32 : 0x1p-8, "dup " + what);
        expect_gaps_untouched(c);
        expect_gaps_untouched(d);
      }

    std::vector<int32_t> target_of;
    std::vector<float> weight_of;
    for (int64_t t = 0; t < rows; ++t) {
      target_of.push_back(static_cast<int32_t>(random.below(static_cast<uint64_t>(cols))));
      weight_of.push_back(t % 3 == 0 ? 0.0f : static_cast<float>(t % 3));
    }
    OwnedTensor targets = int_vector(target_of), weights = owned_vector(DType::F32, weight_of);
    OwnedTensor got = copied(x), want = copied(x);
    auto entropy = [&](const Kernels& by, Tensor logits) {  // added to what is there
      return scalar([&](Tensor sum) { by.cross_entropy(sum, logits, targets, weights, 0.5); }, 7.0);
    };
    double loss = entropy(k, got), want_loss = entropy(reference(), want);
    EXPECT_NEAR(loss, want_loss, 1e-5 * (1 + std::fabs(want_loss))) << what;
    expect_close(got, want, kF32, "cross entropy " + what);
    got = copied(x), want = copied(x);
    auto divergence = [&](const Kernels& by, Tensor logits) {
      return scalar([&](Tensor sum) { by.divergence(sum, logits, y, weights, 0.5); }, 7.0);
    };
    loss = divergence(k, got), want_loss = divergence(reference(), want);
    EXPECT_NEAR(loss, want_loss, 1e-5 * (1 + std::fabs(want_loss))) << what;
    expect_close(got, want, kF32, "divergence " + what);

    OwnedTensor value = normal(rows), m = normal(rows), v = normal(rows);
    for (int64_t t = 0; t < rows; ++t)
      for (int64_t i = 0; i < cols; ++i) v.row(t)[i] = std::fabs(v.row(t)[i]);
    OwnedTensor value2 = copied(value), m2 = copied(m), v2 = copied(v);
    AdamW settings{.lr = 0.01, .decay = 0.1, .scale = 0.7, .step = 3};
    auto step = [&](const Kernels& by, const Tensor& p, const Tensor& first, const Tensor& second) {
      std::vector<AdamWTensor> tensors;
      for (auto [begin, count] : {std::pair<int64_t, int64_t>{0, 4}, {4, rows - 4}})
        tensors.push_back({p.slice(begin, count), dout.slice(begin, count), first.slice(begin, count),
                           second.slice(begin, count), begin == 0});
      by.adamw(tensors, settings);
    };
    step(k, value, m, v);
    step(reference(), value2, m2, v2);
    expect_close(value, value2, kF32, "adamw value " + what);
    expect_close(m, m2, kF32, "adamw m " + what);
    expect_close(v, v2, kF32, "adamw v " + what);
    auto squares = [&](const Kernels& by) {
      std::vector<Tensor> both{x, y};
      return scalar([&](Tensor sum) { by.sum_of_squares(sum, both); }, 7.0);  // overwritten
    };
    EXPECT_NEAR(squares(k) / squares(reference()), 1, 1e-6) << what;

    std::vector<int32_t> id_of;
    for (int64_t t = 0; t < rows; ++t) id_of.push_back(static_cast<int32_t>(random.below(5)));
    OwnedTensor table = normal(5), table2 = copied(table), ids = int_vector(id_of);
    k.embed_backward(table, dout, ids);
    reference().embed_backward(table2, dout, ids);
    expect_close(table, table2, kF32, "embed " + what);
  }
}

TEST_P(Backward, SameBitsForAnyNumberOfThreads) {
  const Kernels& k = *GetParam();
  Random random(8);
  OwnedTensor x = normal_matrix(random, DType::F32, 300, 576),
              dout = normal_matrix(random, DType::F32, 300, 576),
              w = normal_matrix(random, DType::F32, 1, 576);
  std::vector<std::vector<std::byte>> results;
  for (int n : {1, 2}) {
    set_threads(n);
    OwnedTensor dx = zeros(300, 576), dw = zeros(1, 576), table = zeros(7, 576);
    k.rmsnorm_backward(dx, dw, dout, x, w, 1e-5f);
    std::vector<int32_t> ids(300);
    for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int32_t>(i * i % 7);
    k.embed_backward(table, dout, int_vector(ids));
    std::vector<std::byte> all = *dx.memory;
    all.insert(all.end(), dw.memory->begin(), dw.memory->end());
    all.insert(all.end(), table.memory->begin(), table.memory->end());
    results.push_back(all);
  }
  EXPECT_TRUE(results[0] == results[1]);
}

}  // namespace
}  // namespace longspan
