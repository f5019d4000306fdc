// Attention with everything that AttentionShape can say — zones, positions, documents, windows, slopes,
// decay, no causality, fewer keys than queries — on every implementation against the reference loops, and the
// weights of such attention.
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "base/threads.h"
#include "kernels/attention_data.h"

namespace longspan {
namespace {

struct Case {
  int64_t tokens = 1, past = 0, heads = 2, kv_heads = 1, d = 32;
  DType dtype = DType::F32;
  std::vector<int64_t> from = {0};  // of the zones
  bool shared_keys = false;         // by all zones
  int64_t chunk = 0, window = 0;
  bool causal = true, slopes = false, decay = false;
  float step = 0;          // mean distance of neighbouring positions; 0: positions are indices
  int64_t document = 0;    // mean length of documents; 0: one
  bool whole = false;      // positions are whole numbers
  float decay_base = 512;  // xPos's scale base
  float soft_cap = 0;

  int64_t keys() const { return std::max<int64_t>(past + tokens, 0); }
};

std::string describe(const Case& c) {
  std::string zones;
  for (int64_t from : c.from) zones += std::to_string(from) + " ";
  return "tokens " + std::to_string(c.tokens) + ", past " + std::to_string(c.past) + ", heads " +
         std::to_string(c.heads) + "/" + std::to_string(c.kv_heads) + ", D " + std::to_string(c.d) +
         ", cache " + name(c.dtype) + ", zones " + zones + (c.shared_keys ? "shared" : "") + ", chunk " +
         std::to_string(c.chunk) + ", window " + std::to_string(c.window) + (c.causal ? "" : ", not causal") +
         (c.slopes ? ", slopes" : "") + (c.decay ? ", decay" : "") + ", step " + std::to_string(c.step) +
         ", documents of " + std::to_string(c.document) + ", soft cap " + std::to_string(c.soft_cap);
}

struct Data {
  Random random;
  std::vector<Cache> caches;  // keys of each zone, values
  std::vector<std::vector<float>> q;
  std::vector<float> positions, slopes, decay;
  std::vector<int32_t> starts;
  std::vector<AttentionZone> zones;
  OwnedSequences one;
  AttentionShape shape;

  explicit Data(const Case& c, uint64_t seed = 1)
      : random(seed), one({static_cast<int32_t>(c.tokens)}, {static_cast<int32_t>(c.past)}) {
    for (size_t i = 0; i <= c.from.size(); ++i)
      caches.emplace_back(c.dtype, c.keys(), c.kv_heads, c.d, random);
    for (size_t z = 0; z < c.from.size(); ++z) {
      std::vector<float>& x = q.emplace_back(static_cast<size_t>(c.tokens * c.heads * c.d));
      for (float& value : x) value = static_cast<float>(random.normal());
      zones.push_back({c.from[z], host_matrix(x.data(), DType::F32, c.tokens, c.heads * c.d),
                       caches[c.shared_keys ? 0 : z].view});
    }
    place(c);
    for (int64_t h = 0; h < c.heads && c.slopes; ++h)
      slopes.push_back(std::exp2(-8.0f * static_cast<float>(h + 1) / static_cast<float>(c.heads)));
    for (int64_t i = 0; i < c.d && c.decay; ++i) {  // xPos, both halves of a pair alike
      float zeta = (static_cast<float>(i % ((c.d + 1) / 2)) / (static_cast<float>(c.d) / 2) + 0.4f) / 1.4f;
      decay.push_back(std::min(std::log(zeta) / c.decay_base, 0.0f));
    }
    shape = {.heads = c.heads,
             .kv_heads = c.kv_heads,
             .head_dim = c.d,
             .sequences = one,
             .scale = 1.0f / std::sqrt(static_cast<float>(c.d)),
             .soft_cap = c.soft_cap,
             .window = c.window,
             .causal = c.causal,
             .chunk = c.chunk,
             .positions = view_of(DType::F32, positions),
             .starts = view_of(DType::I32, starts),
             .documents = documents_of(starts, c.past),
             .slopes = view_of(DType::F32, slopes),
             .decay = view_of(DType::F32, decay)};
  }

  /// Positions and documents; positions begin anew with each document.
  void place(const Case& c) {
    double at = 0;
    int32_t start = 0;
    for (int64_t t = c.past; t < 0 && c.document > 0; ++t) starts.push_back(0);
    for (int64_t n = 0; n < c.keys(); ++n) {
      if (c.document > 0 && random.below(static_cast<uint64_t>(c.document)) == 0) {
        start = static_cast<int32_t>(n);
        at = static_cast<double>(random.below(50));
      }
      if (c.step > 0) positions.push_back(static_cast<float>(c.whole ? std::floor(at) : at));
      if (c.document > 0 && n >= c.past) starts.push_back(start);
      at += 2 * c.step * random.uniform();
    }
  }
};

struct Result {
  std::vector<float> out, log_sum;
};

Result run(Attention attention, DType out, const Case& c, const Data& data, bool log_sum = true) {
  std::vector<float> f32(static_cast<size_t>(c.tokens * c.heads * c.d), NAN);
  std::vector<uint16_t> bf16(f32.size(), f32_to_bf16(NAN));
  void* memory = out == DType::F32 ? static_cast<void*>(f32.data()) : static_cast<void*>(bf16.data());
  Result result{{}, std::vector<float>(static_cast<size_t>(c.tokens * c.heads), NAN)};
  Tensor sums = log_sum ? host_matrix(result.log_sum.data(), DType::F32, c.tokens, c.heads) : Tensor{};
  attention(host_matrix(memory, out, c.tokens, c.heads * c.d), sums, data.zones, data.caches.back().view,
            data.shape);
  for (size_t i = 0; i < f32.size(); ++i)
    result.out.push_back(out == DType::F32 ? f32[i] : bf16_to_f32(bf16[i]));
  return result;
}

/// Largest difference of the sums; those of rows that see nothing must be the same -inf.
double sum_error(const std::vector<float>& got, const std::vector<float>& want) {
  double largest = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    if (got[i] == want[i]) continue;
    double difference = std::abs(static_cast<double>(got[i]) - want[i]);
    largest = difference < INFINITY ? std::max(largest, difference) : INFINITY;
  }
  return largest;
}

void expect_reference(const Case& c) {
  SCOPED_TRACE(describe(c));
  Data data(c);
  Result want = run(reference().attention, DType::F32, c, data);
  for (const Implementation& how : implementations()) {
    Result f32 = run(how.attention, DType::F32, c, data), bf16 = run(how.attention, DType::BF16, c, data);
    EXPECT_LE(error(f32.out, want.out), f32_tolerance(how, c.dtype)) << how.name << " F32";
    EXPECT_LE(sum_error(f32.log_sum, want.log_sum), is_quantised(c.dtype) ? 5e-3 : 2e-5)
        << how.name << " F32";
    EXPECT_LE(error(bf16.out, want.out), how.bf16_tolerance) << how.name << " BF16";
    EXPECT_LE(sum_error(bf16.log_sum, want.log_sum), 0.05) << how.name << " BF16";  // scores of rounded q, k
  }
}

Case draw(Random& random) {
  Case c;
  c.tokens = pick<int64_t>(random, {1, 2, 7, 64, 65, 200});
  c.past = pick<int64_t>(random, {0, 0, 1, 63, 255, 300, 700});
  if (random.below(8) == 0) c.past = -static_cast<int64_t>(random.below(static_cast<uint64_t>(c.tokens) + 2));
  auto [heads, kv_heads] = pick<std::pair<int64_t, int64_t>>(random, {{1, 1}, {3, 3}, {6, 2}, {8, 1}});
  c.heads = heads;
  c.kv_heads = kv_heads;
  c.d = pick<int64_t>(random, {16, 32, 48, 64, 20, 7});
  c.dtype = pick(random, {DType::F32, DType::F16, DType::BF16, DType::Q8_0, DType::Q4_0});
  if (c.d % dtype_info(c.dtype).block_elements != 0) c.dtype = DType::BF16;
  c.chunk = pick<int64_t>(random, {0, 0, 0, 1, 7, 16, 100});
  for (int64_t last = 0; c.from.size() < 1 + random.below(3);) {
    last += pick<int64_t>(random, {0, 1, 5, 64, 130});
    c.from.push_back(c.chunk > 1 ? static_cast<int64_t>(c.from.size()) : last);
  }
  c.shared_keys = random.below(3) == 0;
  c.window = pick<int64_t>(random, {0, 0, 0, 1, 17, 300});
  c.causal = c.past < 0 || random.below(4) > 0;
  c.step = pick(random, {0.0f, 0.0f, 1.0f, 0.3f, 5.0f});
  c.whole = random.below(2) == 0;
  if (c.causal) c.document = pick<int64_t>(random, {0, 0, 20, 150});
  c.slopes = c.causal && random.below(4) == 0;
  c.decay = random.below(4) == 0;
  return c;
}

TEST(AttentionZones, MatchReferenceOnDrawnShapes) {
  Random random(4);
  for (int done = 0; done < 150;) {
    Case c = draw(random);
    if (c.tokens * c.keys() * c.heads * c.d > 4'000'000) continue;  // the reference is slow
    expect_reference(c);
    ++done;
  }
}

/// Which a device may take apart before it launches anything.
TEST(AttentionZones, MatchReferenceOnManyDocuments) {
  for (int64_t document : {3, 40, 200}) {
    expect_reference({.tokens = 700, .d = 64, .dtype = DType::BF16, .step = 1, .document = document});
    for (int64_t window : {0, 70})
      for (int64_t second : {0, 50})
        expect_reference({.tokens = 700,
                          .d = 64,
                          .dtype = DType::BF16,
                          .from = second > 0 ? std::vector<int64_t>{0, second} : std::vector<int64_t>{0},
                          .window = window,
                          .document = document});
  }
}

TEST(AttentionZones, MatchReferenceOnEveryHeadSize) {
  for (int64_t d = 16; d <= 256; d += 16)
    for (int64_t tokens : {1, 20})
      expect_reference({.tokens = tokens, .past = 150, .d = d, .dtype = DType::BF16, .from = {0, 30, 100}});
}

TEST(AttentionZones, MatchReferenceOverSeveralDecodeParts) {
  for (int64_t chunk : {0, 512})
    expect_reference({.tokens = 2,
                      .past = 9000,
                      .heads = 6,
                      .kv_heads = 2,
                      .dtype = DType::F16,
                      .from = chunk > 0 ? std::vector<int64_t>{0, 1, 2} : std::vector<int64_t>{0, 1000, 1001},
                      .chunk = chunk});
}

/// A zone's keys may be of another type than the other's.
TEST(AttentionZones, KeysMayDifferInType) {
  for (int64_t tokens : {1, 40}) {
    Case c{.tokens = tokens, .past = 90, .from = {0, 20}};
    Data data(c);
    Cache half(DType::F16, c.keys(), c.kv_heads, c.d, data.random);
    data.zones[1].keys = half.view;
    Result want = run(reference().attention, DType::F32, c, data);
    for (const Implementation& how : implementations())
      EXPECT_LE(error(run(how.attention, DType::F32, c, data).out, want.out), how.f32_tolerance) << how.name;
  }
}

/// Distances up to 256K, at which a factor of xPos of its own would leave F32 by thousands of powers of two.
TEST(AttentionZones, DecayStaysFiniteAt256K) {
  for (int64_t tokens : {1, 6, 60})
    for (float step : {1.0f, 100.0f, 5000.0f}) {
      Case c{.tokens = tokens, .past = 60, .d = 64, .decay = true, .step = step, .whole = true};
      expect_reference(c);
      c.document = 25;
      expect_reference(c);
    }
}

TEST(AttentionZones, RowsWithoutKeysAreZero) {
  for (int64_t tokens : {3, 80}) {
    Case c{.tokens = tokens, .past = -2, .from = {0, 1}};
    Data data(c);
    for (const Implementation& how : implementations()) {
      Result got = run(how.attention, DType::F32, c, data);
      for (int64_t i = 0; i < 2 * c.heads * c.d; ++i)
        EXPECT_EQ(got.out[static_cast<size_t>(i)], 0) << how.name;
      for (int64_t i = 0; i < 2 * c.heads; ++i)
        EXPECT_EQ(got.log_sum[static_cast<size_t>(i)], -INFINITY) << how.name;
      EXPECT_TRUE(std::isfinite(got.log_sum.back())) << how.name;
    }
  }
}

/// Equal zones are plain attention, bit for bit; on a GPU with BF16 up to its rounding, because tiles where
/// two zones meet are read twice, and cuDNN's zones are merged from rounded parts.
TEST(AttentionZones, EqualZonesArePlain) {
  Case c{.tokens = 100, .past = 200, .d = 64, .from = {0, 60, 150}, .shared_keys = true};
  Data data(c);
  for (AttentionZone& zone : data.zones) zone.q = data.zones[0].q;
  for (const Implementation& how : implementations())
    for (DType out : {DType::F32, DType::BF16}) {
      Result zoned = run(how.attention, out, c, data);
      Data plain(c);
      plain.zones.resize(1);
      Result whole = run(how.attention, out, c, plain);
      if (out == DType::BF16 && std::string(how.name) == "cuda")
        EXPECT_LE(error(zoned.out, whole.out), how.bf16_tolerance);
      else
        EXPECT_EQ(zoned.out, whole.out) << how.name;
    }
}

TEST(AttentionZones, ChunksGiveWhatOneCallGives) {
  for (bool decay : {false, true}) {
    Case whole{
        .tokens = 150, .past = 0, .heads = 6, .kv_heads = 2, .d = 64, .from = {0, 20, 90}, .decay = decay};
    for (const Implementation& how : implementations()) {
      Data data(whole);
      Result at_once = run(how.attention, DType::F32, whole, data);
      for (int64_t size : {1, 7, 64}) {
        Result chunked;
        for (int64_t past = 0; past < whole.tokens; past += size) {
          Case c = whole;
          c.past = past;
          c.tokens = std::min(size, whole.tokens - past);
          Data part = data;  // same memory: views point into `data`
          part.one = OwnedSequences({static_cast<int32_t>(c.tokens)}, {static_cast<int32_t>(past)});
          part.shape.sequences = part.one;
          for (AttentionZone& zone : part.zones) zone.q = zone.q.slice(past, c.tokens);
          Result got = run(how.attention, DType::F32, c, part);
          chunked.out.insert(chunked.out.end(), got.out.begin(), got.out.end());
          chunked.log_sum.insert(chunked.log_sum.end(), got.log_sum.begin(), got.log_sum.end());
        }
        EXPECT_LE(error(chunked.out, at_once.out), 1e-5) << how.name << " by " << size;
        EXPECT_LE(sum_error(chunked.log_sum, at_once.log_sum), 1e-5) << how.name << " by " << size;
      }
    }
  }
}

TEST(AttentionZones, DoNotDependOnThreads) {
  int before = threads();
  for (bool decay : {false, true})
    for (int64_t tokens : {2, 200}) {
      Case c{.tokens = tokens,
             .past = 1500,
             .heads = 6,
             .kv_heads = 2,
             .d = 64,
             .dtype = DType::BF16,
             .from = {0, 100, 900},
             .decay = decay};
      Data data(c);
      for (const Implementation& how : implementations())
        for (DType out : {DType::F32, DType::BF16}) {
          set_threads(1);
          Result one = run(how.attention, out, c, data);
          for (int n : {2, 3}) {
            set_threads(n);
            Result other = run(how.attention, out, c, data);
            EXPECT_EQ(other.out, one.out) << how.name << " with " << n << " threads";
            EXPECT_EQ(other.log_sum, one.log_sum) << how.name << " with " << n << " threads";
          }
        }
    }
  set_threads(before);
}

constexpr int64_t kBeyond = 5;  // columns of the weights after the last key

/// The weights of some rows, of which the gaps and the columns beyond the keys are checked here.
OwnedTensor weights(const Kernels& k, const Case& c, const Data& data, const std::vector<int32_t>& rows) {
  OwnedTensor out = make_matrix(DType::F32, std::ssize(rows) * c.heads, c.keys() + kBeyond, 12);
  k.attention_weights(out, data.zones, data.shape, int_vector(rows));
  expect_gaps_untouched(out);
  for (int64_t i = 0; i < out.rows(); ++i)
    for (int64_t n = c.keys(); n < out.cols(); ++n) EXPECT_EQ(out.row(i)[n], 0);
  return out;
}

/// Against reference, and against what weights are for: they add up to one, and times V they are attention.
void expect_weights(const Case& c, const std::vector<int32_t>& rows) {
  SCOPED_TRACE(describe(c));
  Data data(c);
  OwnedTensor want = weights(reference(), c, data, rows);
  Result attended = run(reference().attention, DType::F32, c, data);
  const OwnedTensor& v = data.caches.back().rows;
  double tolerance = is_quantised(c.dtype) ? 1e-3 : 1e-5;  // codes may be read as F16
  for_every_implementation([&](const Kernels& k) {
    OwnedTensor got = weights(k, c, data, rows);
    for (int64_t i = 0; i < got.rows(); ++i) {
      int64_t t = rows[static_cast<size_t>(i / c.heads)], h = i % c.heads, head = h / (c.heads / c.kv_heads);
      bool sees = std::isfinite(attended.log_sum[static_cast<size_t>(t * c.heads + h)]);
      double sum = 0;
      std::vector<double> o(static_cast<size_t>(c.d));
      for (int64_t n = 0; n < c.keys(); ++n) {
        float p = got.row(i)[n];
        ASSERT_NEAR(p, want.row(i)[n], tolerance) << "query " << t << ", head " << h << ", key " << n;
        sum += p;
        for (int64_t j = 0; j < c.d; ++j) o[static_cast<size_t>(j)] += p * v.row(n)[head * c.d + j];
      }
      ASSERT_NEAR(sum, sees ? 1 : 0, 1e-5) << "query " << t << ", head " << h;
      for (int64_t j = 0; j < c.d; ++j)
        ASSERT_NEAR(o[static_cast<size_t>(j)], attended.out[static_cast<size_t>((t * c.heads + h) * c.d + j)],
                    10 * tolerance)
            << "query " << t << ", head " << h;
    }
  });
}

TEST(AttentionWeights, AreThoseOfAttentionOnDrawnShapes) {
  Random random(6);
  for (int done = 0; done < 120;) {
    Case c = draw(random);
    if (c.tokens * c.keys() * c.heads * c.d > 2'000'000) continue;
    std::vector<int32_t> rows{static_cast<int32_t>(c.tokens - 1), 0};  // in any order
    while (random.below(4) > 0)
      rows.push_back(static_cast<int32_t>(random.below(static_cast<uint64_t>(c.tokens))));
    expect_weights(c, rows);
    ++done;
  }
}

TEST(AttentionWeights, OfFewRowsOverManyPages) {
  Case c{.tokens = 30, .past = 3000, .heads = 6, .kv_heads = 2, .dtype = DType::F16, .from = {0, 1000, 2000}};
  expect_weights(c, {0, 29});
  c.decay = true;
  expect_weights(c, {0, 29});
  c.from = {0};
  c.window = 300;  // the first pages are seen by nobody
  expect_weights(c, {13});
  expect_weights(c, {});
}

TEST(AttentionWeights, UnderASoftCap) {
  expect_weights({.tokens = 30, .past = 600, .heads = 6, .kv_heads = 2, .from = {0, 100}, .soft_cap = 0.5f},
                 {0, 29});
  expect_weights({.tokens = 3, .past = 600, .slopes = true, .soft_cap = 2}, {0, 2});
}

/// xPos at distances where its factor underflows, by index and by position.
TEST(AttentionWeights, DecayStaysFiniteAtLongDistances) {
  Case c{.tokens = 4, .past = 20'000, .decay = true, .decay_base = 16};
  expect_weights(c, {0, 3});
  for (float step : {1.0f, 5000.0f})
    expect_weights({.tokens = 20, .past = 60, .decay = true, .step = step, .document = 25, .whole = true},
                   {0, 7, 19});
}

}  // namespace
}  // namespace longspan
