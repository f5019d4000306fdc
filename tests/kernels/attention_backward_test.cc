// Gradients of attention: the reference against central differences of a forward pass in double, written here
// from the formula; every CPU implementation against the reference, on shapes and features drawn at random
// (the seed is fixed, so they are). Cache memory beyond the last key is NaN: whoever lets it take part is
// found out.
#include "kernels/cpu/attention_backward.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "base/threads.h"
#include "kernels/cache.h"

namespace longspan {
namespace {

struct Case {
  int64_t tokens = 1, past = 0, heads = 1, kv_heads = 1, d = 16, window = 0, chunk = 0;
  bool causal = true;
  std::vector<int64_t> zone_from = {0};
  std::vector<float> positions = {}, slopes = {}, decay = {};
  std::vector<int32_t> starts = {};
  DType pages = DType::F32, out = DType::F32;

  int64_t keys() const { return std::max<int64_t>(past + tokens, 0); }
  float scale() const { return 0.8f / std::sqrt(static_cast<float>(d)); }
  OwnedSequences sequences() const {
    return OwnedSequences({static_cast<int32_t>(tokens)}, {static_cast<int32_t>(past)});
  }
  /// `one` is of sequences(); views of this case.
  AttentionShape shape(const Sequences& one) const {
    return {.heads = heads,
            .kv_heads = kv_heads,
            .head_dim = d,
            .sequences = one,
            .scale = scale(),
            .window = window,
            .causal = causal,
            .chunk = chunk,
            .positions = view_of(DType::F32, positions),
            .starts = view_of(DType::I32, starts),
            .slopes = view_of(DType::F32, slopes),
            .decay = view_of(DType::F32, decay)};
  }
};

std::string describe(const Case& c) {
  std::string zones;
  for (int64_t from : c.zone_from) zones += " " + std::to_string(from);
  return "tokens " + std::to_string(c.tokens) + ", past " + std::to_string(c.past) + ", heads " +
         std::to_string(c.heads) + "/" + std::to_string(c.kv_heads) + ", D " + std::to_string(c.d) +
         ", window " + std::to_string(c.window) + ", chunk " + std::to_string(c.chunk) + ", zones" + zones +
         (c.causal ? "" : ", not causal") + (c.positions.empty() ? "" : ", positions") +
         (c.starts.empty() ? "" : ", starts") + (c.slopes.empty() ? "" : ", slopes") +
         (c.decay.empty() ? "" : ", decay") + ", pages " + name(c.pages) + ", out " + name(c.out);
}

struct Data {
  Random random;
  std::vector<OwnedTensor> q;
  std::vector<Cache> keys;
  Cache values;
  OwnedTensor dout, out, log_sum;
  std::vector<AttentionZone> zones;

  /// `forward` makes out and log_sum.
  Data(const Case& c, uint64_t seed, const Kernels& forward = reference())
      : random(seed), values(c.pages, c.keys(), c.kv_heads, c.d, random) {
    keys.reserve(c.zone_from.size());
    for (int64_t from : c.zone_from) {
      q.push_back(normal_matrix(random, DType::F32, c.tokens, c.heads * c.d, 12));
      keys.emplace_back(c.pages, c.keys(), c.kv_heads, c.d, random);
      zones.push_back({from, q.back(), keys.back().view});
    }
    dout = normal_matrix(random, DType::F32, c.tokens, c.heads * c.d, 20);
    out = make_matrix(c.out, c.tokens, c.heads * c.d, 8);
    log_sum = make_matrix(DType::F32, c.tokens, c.heads, 4);
    forward.attention(out, log_sum, zones, values.view, c.shape(c.sequences()));
  }
};

/// Gradients in memory that holds something else before, and what lies between rows.
struct Result {
  std::vector<OwnedTensor> q, keys;
  OwnedTensor values;

  std::vector<Tensor> all() const {
    std::vector<Tensor> result(q.begin(), q.end());
    result.insert(result.end(), keys.begin(), keys.end());
    result.push_back(values);
    return result;
  }
};

Result run(decltype(Kernels::attention_backward) backward, const Case& c, const Data& data) {
  Result r;
  AttentionGradients g;
  for (size_t z = 0; z < data.zones.size(); ++z) {
    r.q.push_back(make_matrix(DType::F32, c.tokens, c.heads * c.d, 16));
    r.keys.push_back(make_matrix(DType::F32, c.tokens, c.kv_heads * c.d, 4));
    g.q[z] = r.q[z], g.keys[z] = r.keys[z];
  }
  r.values = make_matrix(DType::F32, c.tokens, c.kv_heads * c.d, 8);
  g.values = r.values;
  backward(g, data.dout, data.out, data.log_sum, data.zones, data.values.view, c.shape(c.sequences()));
  return r;
}

/// The gradients of the queries alone.
std::vector<OwnedTensor> run_queries(decltype(Kernels::attention_backward) backward, const Case& c,
                                     const Data& data) {
  std::vector<OwnedTensor> q;
  AttentionGradients g;
  for (size_t z = 0; z < data.zones.size(); ++z)
    g.q[z] = q.emplace_back(make_matrix(DType::F32, c.tokens, c.heads * c.d, 16));
  backward(g, data.dout, data.out, data.log_sum, data.zones, data.values.view, c.shape(c.sequences()));
  return q;
}

float largest(const Result& r) {
  float most = 0;
  for (const Tensor& x : r.all())
    for (int64_t t = 0; t < x.rows(); ++t)
      for (int64_t i = 0; i < x.cols(); ++i) most = std::max(most, std::abs(x.row(t)[i]));
  return most;
}

/// Largest difference over the largest gradient; infinite where one is not a number.
double error(const Result& got, const Result& want) {
  double most = 0;
  std::vector<Tensor> a = got.all(), b = want.all();
  for (size_t k = 0; k < a.size(); ++k)
    for (int64_t t = 0; t < a[k].rows(); ++t)
      for (int64_t i = 0; i < a[k].cols(); ++i) {
        double difference = std::abs(static_cast<double>(a[k].row(t)[i]) - b[k].row(t)[i]);
        most = std::isnan(difference) ? INFINITY : std::max(most, difference);
      }
  return most == 0 ? 0 : most / largest(want);
}

/// Attention in double from numbers in double, by the words of kernels.h.
struct Exact {
  const Case& c;
  std::vector<std::vector<double>> q, keys;
  std::vector<double> values;

  Exact(const Case& c, const Data& data) : c(c) {
    auto doubles = [](const Tensor& x) {
      std::vector<double> result;
      for (int64_t t = 0; t < x.rows(); ++t) result.insert(result.end(), x.row(t), x.row(t) + x.cols());
      return result;
    };
    for (const OwnedTensor& x : data.q) q.push_back(doubles(x));
    for (const Cache& x : data.keys) keys.push_back(doubles(x.rows));
    values = doubles(data.values.rows);
  }

  double position(int64_t n) const {
    return c.positions.empty() ? static_cast<double>(n) : c.positions[static_cast<size_t>(n)];
  }
  bool sees(int64_t t, int64_t n) const {
    if (!c.starts.empty() && n < c.starts[static_cast<size_t>(t)]) return false;
    if (c.causal && n > c.past + t) return false;
    return c.window == 0 || position(c.past + t) - position(n) < static_cast<double>(c.window);
  }
  double score(int64_t t, int64_t h, int64_t n) const {
    double distance = position(c.past + t) - position(n), r = distance;
    if (c.chunk > 0) {
      auto size = static_cast<double>(c.chunk);
      r = std::floor(position(c.past + t) / size) - std::floor(position(n) / size);
    }
    size_t z = c.zone_from.size() - 1;
    while (z > 0 && r < static_cast<double>(c.zone_from[z])) --z;
    double dot = 0;
    for (int64_t i = 0; i < c.d; ++i) {
      double decay = c.decay.empty() ? 1 : std::exp(c.decay[static_cast<size_t>(i)] * distance);
      dot += decay * q[z][static_cast<size_t>((t * c.heads + h) * c.d + i)] *
             keys[z][static_cast<size_t>((n * c.kv_heads + h * c.kv_heads / c.heads) * c.d + i)];
    }
    dot *= c.scale();
    return c.slopes.empty() ? dot : dot - c.slopes[static_cast<size_t>(h)] * distance;
  }
  std::vector<double> row(int64_t t, int64_t h) const {
    std::vector<double> out(static_cast<size_t>(c.d), 0.0);
    double total = 0;
    for (int64_t n = 0; n < c.keys(); ++n) {
      if (!sees(t, n)) continue;
      double e = std::exp(score(t, h, n));
      total += e;
      for (int64_t i = 0; i < c.d; ++i)
        out[static_cast<size_t>(i)] +=
            e * values[static_cast<size_t>((n * c.kv_heads + h * c.kv_heads / c.heads) * c.d + i)];
    }
    for (double& x : out) x = total > 0 ? x / total : 0;
    return out;
  }
  /// dout . out, of which the gradients are taken.
  double loss(const Data& data) const {
    double sum = 0;
    for (int64_t t = 0; t < c.tokens; ++t)
      for (int64_t h = 0; h < c.heads; ++h) {
        std::vector<double> out = row(t, h);
        for (int64_t i = 0; i < c.d; ++i) sum += data.dout.row(t)[h * c.d + i] * out[static_cast<size_t>(i)];
      }
    return sum;
  }
};

/// Largest difference of `gradient` from the central differences of the loss by x, of which it has the rows
/// from `past` on; rows before x (past < 0) have none and must be 0.
double difference_error(Exact& exact, const Data& data, std::vector<double>& x, const Tensor& gradient,
                        int64_t past = 0) {
  constexpr double kStep = 1e-5;
  double most = 0;
  for (int64_t row = 0; row < -past; ++row)
    for (int64_t i = 0; i < gradient.cols(); ++i)
      most = std::max<double>(most, std::abs(gradient.row(row)[i]));
  auto skipped = static_cast<size_t>(std::max<int64_t>(past, 0) * gradient.cols());
  for (size_t at = skipped; at < x.size(); ++at) {
    double before = x[at];
    x[at] = before + kStep;
    double above = exact.loss(data);
    x[at] = before - kStep;
    double below = exact.loss(data);
    x[at] = before;
    auto cols = static_cast<size_t>(gradient.cols());
    float got = gradient.row(static_cast<int64_t>(at / cols) - past)[at % cols];
    most = std::max(most, std::abs(got - (above - below) / (2 * kStep)));
  }
  return most;
}

/// Positions that grow by 1 to 3 and start again with each document; documents of `length` or so.
void draw_documents(Case& c, Random& random, int64_t length) {
  int32_t document = 0;
  float at = 0;
  std::vector<int32_t> first_key;
  for (int64_t n = 0; n < c.keys(); ++n) {
    if (length > 0 && random.below(static_cast<uint64_t>(length)) == 0)
      document = static_cast<int32_t>(n), at = 0;
    c.positions.push_back(at);
    at += 1 + static_cast<float>(random.below(3));
    first_key.push_back(document);
  }
  for (int64_t n = c.past; length > 0 && n < c.keys(); ++n)
    c.starts.push_back(n < 0 ? 0 : first_key[static_cast<size_t>(n)]);
}

std::vector<float> draw(Random& random, int64_t n, double scale) {
  std::vector<float> x;
  for (int64_t i = 0; i < n; ++i) x.push_back(static_cast<float>(scale * random.uniform()));
  return x;
}

std::vector<Case> small_cases() {
  Random random(3);
  Case plain{.tokens = 6, .past = 3, .heads = 4, .kv_heads = 2, .d = 3};
  std::vector<Case> cases = {plain};
  auto add = [&](const std::function<void(Case&)>& change) { change(cases.emplace_back(plain)); };
  add([](Case& c) { c.zone_from = {0, 3}; });
  add([](Case& c) { c.zone_from = {0, 2, 5}, c.heads = 3, c.kv_heads = 1; });
  add([](Case& c) { c.zone_from = {0, 1, 2}, c.chunk = 3; });
  add([](Case& c) { c.window = 4; });
  add([](Case& c) { c.causal = false, c.zone_from = {0, 2}; });
  add([](Case& c) { c.past = -2; });
  add([](Case& c) { c.past = -2, c.causal = false; });
  add([&](Case& c) { draw_documents(c, random, 0), c.zone_from = {0, 5}, c.window = 9; });
  add([&](Case& c) { draw_documents(c, random, 4), c.zone_from = {0, 3}; });
  add([&](Case& c) { c.slopes = draw(random, c.heads, 0.5); });
  add([&](Case& c) { c.decay = draw(random, c.d, -0.2); });
  add([&](Case& c) {
    draw_documents(c, random, 5), c.zone_from = {0, 1, 2}, c.chunk = 4, c.window = 12;
    c.slopes = draw(random, c.heads, 0.5), c.decay = draw(random, c.d, -0.2);
  });
  return cases;
}

/// The reference's sums are in double; its out, log_sum and results are F32 (6e-8 of a number).
TEST(AttentionBackward, ReferenceIsTheDerivativeOfTheFormula) {
  for (const Case& c : small_cases()) {
    Data data(c, 5);
    Exact exact(c, data);
    for (int64_t t = 0; t < c.tokens; ++t)
      for (int64_t h = 0; h < c.heads; ++h) {
        std::vector<double> want = exact.row(t, h);
        for (int64_t i = 0; i < c.d; ++i)
          EXPECT_NEAR(data.out.row(t)[h * c.d + i], want[static_cast<size_t>(i)], 1e-6) << describe(c);
      }
    Result got = run(reference().attention_backward, c, data);
    double tolerance = 1e-6 * largest(got);
    for (size_t z = 0; z < c.zone_from.size(); ++z) {
      EXPECT_LE(difference_error(exact, data, exact.q[z], got.q[z]), tolerance) << describe(c);
      EXPECT_LE(difference_error(exact, data, exact.keys[z], got.keys[z], c.past), tolerance) << describe(c);
    }
    EXPECT_LE(difference_error(exact, data, exact.values, got.values, c.past), tolerance) << describe(c);
  }
}

std::vector<const Kernels*> implementations() {
  std::vector<const Kernels*> result;
  for (const Kernels* k : all_kernels())
    if (k->supported() && k != &reference()) result.push_back(k);
  return result;
}

Case draw_case(Random& random) {
  auto of = [&](std::initializer_list<int64_t> x) { return x.begin()[random.below(x.size())]; };
  auto maybe = [&](uint64_t one_of) { return random.below(one_of) == 0; };
  Case c;
  c.kv_heads = of({1, 1, 2, 3});
  c.heads = c.kv_heads * of({1, 2, 3});
  c.d = of({16, 16, 32, 48, 64, 80, 7, 1, 33});
  c.tokens = of({1, 2, 17, 63, 64, 65, 100, 200, 300});
  c.past = of({0, 0, 1, 50, 64, 192, 255, 300});
  while (c.tokens * c.keys() * c.heads * c.d > 4'000'000) c.tokens = (c.tokens + 1) / 2;
  if (maybe(8)) c.past = -c.tokens / 3;
  if (maybe(3)) draw_documents(c, random, of({0, 30, 100}));
  c.zone_from = {0};
  if (!maybe(3)) c.zone_from.push_back(of({1, 10, 64, 100}));
  if (maybe(3) && c.zone_from.size() == 2) c.zone_from.push_back(c.zone_from[1] + of({1, 20, 64, 128}));
  if (maybe(4)) {
    c.chunk = of({1, 7, 32});
    for (int64_t& from : c.zone_from) from = (from + c.chunk - 1) / c.chunk;
  }
  if (maybe(3)) c.window = of({1, 20, 64, 150});
  c.causal = c.past < 0 || !maybe(6);  // a query before the first key has no position
  if (maybe(6)) c.slopes = draw(random, c.heads, 0.1);
  if (maybe(6)) c.decay = draw(random, c.d, -0.02);
  c.pages = maybe(3) ? DType::F32 : maybe(2) ? DType::F16 : DType::BF16;
  c.out = maybe(2) ? DType::F32 : DType::BF16;
  return c;
}

/// F32: sums in F32 in another order than the reference's doubles, some 2^-24 of the scores each. BF16 rounds
/// q and dout, p and ds (2^-9 each, and the scores' errors are multiplied by their size): a few times 2^-8 of
/// the largest gradient.
double tolerance(const Kernels& k, const Case& c) {
  bool bf16 = k.on_host && k.preferred == Compute::BF16 && c.pages == DType::BF16 && c.out == DType::BF16;
  return bf16 ? 0.02 : 1e-5;
}

void expect_reference(const Case& c, uint64_t seed) {
  Data data(c, seed);
  Result want = run(reference().attention_backward, c, data);
  for (const Kernels* k : implementations())
    EXPECT_LE(error(run(k->attention_backward, c, data), want), tolerance(*k, c))
        << k->name << ": " << describe(c);
}

TEST(AttentionBackward, AgreesWithTheReference) {
  Random random(11);
  for (uint64_t n = 0; n < 80; ++n) expect_reference(draw_case(random), n);
}

/// Each after its own forward pass: weights made again belong to the log_sum of the weights that were. A BF16
/// `out` is rounded from other last bits, which delta takes up whole.
TEST(AttentionBackward, AgreesWithTheReferenceAfterItsOwnForward) {
  Random random(14);
  for (uint64_t n = 0; n < 30; ++n) {
    Case c = draw_case(random);
    Result want = run(reference().attention_backward, c, Data(c, n));
    for (const Kernels* k : implementations())
      EXPECT_LE(error(run(k->attention_backward, c, Data(c, n, *k)), want),
                c.out == DType::BF16 ? 0.02 : tolerance(*k, c))
          << k->name << ": " << describe(c);
  }
}

/// Without the gradients of keys and values those of the queries are the same bits.
TEST(AttentionBackward, GradientsOfQueriesAlone) {
  Random random(15);
  std::vector<const Kernels*> all = implementations();
  all.push_back(&reference());
  for (uint64_t n = 0; n < 30; ++n) {
    Case c = draw_case(random);
    Data data(c, n);
    for (const Kernels* k : all) {
      Result want = run(k->attention_backward, c, data);
      std::vector<OwnedTensor> got = run_queries(k->attention_backward, c, data);
      for (size_t z = 0; z < got.size(); ++z)
        for (int64_t t = 0; t < c.tokens; ++t)
          for (int64_t i = 0; i < c.heads * c.d; ++i)
            ASSERT_EQ(Tensor(got[z]).row(t)[i], Tensor(want.q[z]).row(t)[i])
                << k->name << ": " << describe(c);
    }
  }
}

/// More tasks than the shapes above: blocks are larger.
TEST(AttentionBackward, AgreesWithTheReferenceInLargeBlocks) {
  Random random(12);
  for (DType dtype : {DType::F32, DType::BF16}) {
    Case c{.tokens = 700, .past = 100, .heads = 8, .kv_heads = 8, .d = 4, .zone_from = {0, 100}};
    c.pages = c.out = dtype;
    expect_reference(c, 1);
    draw_documents(c, random, 300);
    c.decay = draw(random, c.d, -0.02);
    expect_reference(c, 2);
  }
}

/// Decay that grows back within a document, or that no pair of F32 factors can express.
TEST(AttentionBackward, AgreesWithTheReferenceWhereDecayIsNoProduct) {
  Random random(13);
  Case c{.tokens = 100, .heads = 2, .kv_heads = 1, .d = 16};
  c.decay = draw(random, c.d, -0.1);
  for (int64_t n = 0; n < c.tokens; ++n) c.positions.push_back(static_cast<float>(n % 50));
  expect_reference(c, 1);
  c.positions.clear();
  for (float& x : c.decay) x *= 100;
  expect_reference(c, 2);
  c.decay = draw(random, c.d, -0.1);
  c.causal = false;
  expect_reference(c, 3);
}

TEST(AttentionBackward, DoesNotDependOnThreadsOrChance) {
  int before = threads();
  for (DType dtype : {DType::F32, DType::BF16}) {
    Case c{.tokens = 600, .past = 100, .heads = 4, .kv_heads = 2, .d = 32, .zone_from = {0, 200}};
    c.pages = c.out = dtype;
    Data data(c, 1);
    for (const Kernels* k : implementations()) {
      set_threads(1);
      Result one = run(k->attention_backward, c, data);
      for (int n : {1, 2, 3, 8}) {
        set_threads(n);
        EXPECT_EQ(error(run(k->attention_backward, c, data), one), 0) << k->name << ", threads " << n;
      }
    }
  }
  set_threads(before);
}

}  // namespace
}  // namespace longspan
