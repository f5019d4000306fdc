// Every CPU attention against the reference loops, on shapes drawn from lists (the seed is fixed, so the
// shapes are). Cache memory beyond the last key is NaN: whoever lets it take part is found out.
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "base/threads.h"
#include "kernels/attention_data.h"

namespace longspan {
namespace {

struct Case {
  int64_t tokens = 1, past = 0, heads = 1, kv_heads = 1, d = 64, window = 0;
  DType dtype = DType::F32;
  int64_t extra = 0;               // floats between the rows of q
  float magnitude = 1, scale = 1;  // of q; of the scores, beside 1 / sqrt(D)
  float soft_cap = 0;

  int64_t width() const { return heads * d; }
  AttentionShape shape(const Sequences& sequences) const {
    return {.heads = heads,
            .kv_heads = kv_heads,
            .head_dim = d,
            .sequences = sequences,
            .scale = scale / std::sqrt(static_cast<float>(d)),
            .soft_cap = soft_cap,
            .window = window};
  }
};

std::string describe(const Case& c) {
  return "tokens " + std::to_string(c.tokens) + ", past " + std::to_string(c.past) + ", heads " +
         std::to_string(c.heads) + "/" + std::to_string(c.kv_heads) + ", D " + std::to_string(c.d) +
         ", window " + std::to_string(c.window) + ", cache " + name(c.dtype) + ", extra " +
         std::to_string(c.extra);
}

struct Data {
  Random random;
  Cache keys, values;
  std::vector<float> q_memory;
  Tensor q;

  explicit Data(const Case& c, uint64_t seed = 1)
      : random(seed),
        keys(c.dtype, c.past + c.tokens, c.kv_heads, c.d, random),
        values(c.dtype, c.past + c.tokens, c.kv_heads, c.d, random),
        q_memory(static_cast<size_t>(c.tokens * (c.width() + c.extra))) {
    for (float& x : q_memory) x = c.magnitude * static_cast<float>(random.normal());
    q = host_matrix(q_memory.data(), DType::F32, c.tokens, c.width());
    q.row_stride = (c.width() + c.extra) * static_cast<int64_t>(sizeof(float));
  }
};

/// The output as floats; its rows lie apart and what lies between must stay.
std::vector<float> run(Attention attention, DType out, const Case& c, const Data& data) {
  constexpr int64_t kGap = 3;
  int64_t stride = c.width() + kGap;
  std::vector<float> f32(static_cast<size_t>(c.tokens * stride), 5.0f);
  std::vector<uint16_t> bf16(f32.size(), f32_to_bf16(5.0f));
  void* memory = out == DType::F32 ? static_cast<void*>(f32.data()) : static_cast<void*>(bf16.data());
  Tensor view = host_matrix(memory, out, c.tokens, c.width());
  view.row_stride = dtype_bytes(out, stride);
  AttentionZone zone{0, data.q, data.keys.view};
  OwnedSequences one({static_cast<int32_t>(c.tokens)}, {static_cast<int32_t>(c.past)});
  attention(view, {}, {&zone, 1}, data.values.view, c.shape(one));
  std::vector<float> result;
  for (int64_t t = 0; t < c.tokens; ++t)
    for (int64_t i = 0; i < stride; ++i) {
      auto at = static_cast<size_t>(t * stride + i);
      float x = out == DType::F32 ? f32[at] : bf16_to_f32(bf16[at]);
      if (i < c.width())
        result.push_back(x);
      else
        EXPECT_EQ(x, 5.0f) << "written beside the output";
    }
  return result;
}

void expect_reference(const Case& c) {
  SCOPED_TRACE(describe(c));
  Data data(c);
  std::vector<float> want = run(reference().attention, DType::F32, c, data);
  for (const Implementation& how : implementations()) {
    EXPECT_LE(error(run(how.attention, DType::F32, c, data), want), f32_tolerance(how, c.dtype))
        << how.name << " F32";
    EXPECT_LE(error(run(how.attention, DType::BF16, c, data), want), how.bf16_tolerance)
        << how.name << " BF16";
  }
}

Case draw(Random& random) {
  Case c;
  c.tokens = pick<int64_t>(random, {1, 2, 3, 7, 64, 65, 200});
  c.past = pick<int64_t>(random, {0, 1, 63, 64, 255, 256, 300, 1000});
  auto [heads, kv_heads] =
      pick<std::pair<int64_t, int64_t>>(random, {{1, 1}, {4, 4}, {9, 3}, {8, 1}, {6, 2}, {16, 1}});
  c.heads = heads;
  c.kv_heads = kv_heads;
  c.d = pick<int64_t>(random, {16, 20, 24, 64, 80, 96, 128, 256, 7});
  c.window = pick<int64_t>(random, {0, 0, 0, 1, 17, 100, 300});
  c.dtype = pick(random, {DType::F32, DType::F16, DType::BF16, DType::Q8_0, DType::Q4_0});
  if (c.d % dtype_info(c.dtype).block_elements != 0) c.dtype = DType::F16;
  c.extra = pick<int64_t>(random, {0, 2 * c.kv_heads * c.d, 5});
  return c;
}

TEST(Attention, MatchesReferenceOnDrawnShapes) {
  Random random(20);
  for (int done = 0; done < 150;) {
    Case c = draw(random);
    if (c.tokens * (c.tokens + c.past) * c.width() > 12'000'000) continue;  // the reference is slow
    expect_reference(c);
    ++done;
  }
}

TEST(Attention, MatchesReferenceOnEveryHeadSize) {
  for (int64_t d : {1, 7, 16, 20, 24, 64, 80, 96, 128, 256})
    for (int64_t tokens : {1, 30})
      for (DType dtype : {DType::F32, DType::F16, DType::BF16})
        expect_reference({.tokens = tokens, .past = 70, .heads = 6, .kv_heads = 2, .d = d, .dtype = dtype});
}

TEST(Attention, MatchesReferenceOnQuantisedPages) {
  for (DType dtype : {DType::Q8_0, DType::Q4_0})
    for (int64_t d : {32, 64, 96, 128, 160, 192, 256})
      for (int64_t tokens : {1, 4, 30, 130})
        for (int64_t past : {0, 1, 70, 255})
          expect_reference(
              {.tokens = tokens, .past = past, .heads = 6, .kv_heads = 2, .d = d, .dtype = dtype});
}

TEST(Attention, MatchesReferenceOverSeveralDecodeParts) {
  for (DType dtype : {DType::F16, DType::Q8_0, DType::Q4_0})
    for (int64_t window : {0, 1500})
      expect_reference({.tokens = 2,
                        .past = 20'000,
                        .heads = 6,
                        .kv_heads = 2,
                        .d = 32,
                        .window = window,
                        .dtype = dtype});
}

/// Scores far below the cap, about it and far above.
TEST(Attention, SoftCapsMatchReference) {
  for (float cap : {0.5f, 4.0f, 50.0f})
    for (int64_t tokens : {1, 3, 30, 130})
      for (float magnitude : {1.0f, 3.0f})
        for (DType dtype : {DType::F32, DType::BF16, DType::Q8_0})
          expect_reference({.tokens = tokens,
                            .past = 300,
                            .heads = 6,
                            .kv_heads = 2,
                            .d = 64,
                            .window = tokens == 30 ? 100 : 0,
                            .dtype = dtype,
                            .magnitude = magnitude,
                            .soft_cap = cap});
}

/// With a cap near 0 all scores are equal, whatever the query: the output is the mean of the values that it
/// sees.
TEST(Attention, ASoftCapBoundsScores) {
  for (int64_t tokens : {1, 130}) {
    Case c{.tokens = tokens,
           .past = 100,
           .heads = 2,
           .kv_heads = 1,
           .d = 32,
           .magnitude = 1e6f,
           .soft_cap = 1e-6f};
    Data data(c);
    for (const Implementation& how : implementations()) {
      std::vector<float> got = run(how.attention, DType::F32, c, data);
      for (int64_t i = 0; i < c.d; ++i) {
        double mean = 0;
        for (int64_t n = 0; n <= c.past; ++n)
          mean += static_cast<const float*>(data.values.page(n))[n % kPageTokens * c.d + i];
        EXPECT_NEAR(got[static_cast<size_t>(i)], mean / static_cast<double>(c.past + 1), 1e-5) << how.name;
      }
    }
  }
}

/// Queries beyond the range of F16, and far below it, whose scores are as large as those of others.
TEST(Attention, QueriesMayLieBeyondTheRangeOfTheCache) {
  for (int64_t d : {64, 128})
    for (float magnitude : {1e-9f, 1e6f})
      for (DType dtype : {DType::F16, DType::BF16})
        expect_reference({.tokens = 2,
                          .past = 600,
                          .heads = 6,
                          .kv_heads = 2,
                          .d = d,
                          .dtype = dtype,
                          .magnitude = magnitude,
                          .scale = 1 / magnitude});
}

TEST(Attention, KeysAndValuesMayDifferInType) {
  using Types = std::pair<DType, DType>;
  for (auto [of_keys, of_values] : {Types{DType::F16, DType::F32},
                                    {DType::Q8_0, DType::Q4_0},
                                    {DType::F16, DType::Q8_0},
                                    {DType::Q4_0, DType::BF16}})
    for (int64_t tokens : {2, 40, 200}) {
      Case c{.tokens = tokens, .past = 100, .heads = 4, .kv_heads = 2, .d = 32, .dtype = of_keys};
      Data data(c);
      Cache values(of_values, c.past + c.tokens, c.kv_heads, c.d, data.random);
      std::swap(data.values, values);
      std::vector<float> want = run(reference().attention, DType::F32, c, data);
      DType coarser = is_quantised(of_values) ? of_values : of_keys;
      for (const Implementation& how : implementations()) {
        EXPECT_LE(error(run(how.attention, DType::F32, c, data), want), f32_tolerance(how, coarser))
            << how.name;
        EXPECT_LE(error(run(how.attention, DType::BF16, c, data), want), how.bf16_tolerance) << how.name;
      }
    }
}

/// Every query is a large multiple of one visible key, so its weight is one and the output is that key's
/// value.
TEST(Attention, LargeScoresSelectOneKey) {
  for (int64_t tokens : {1, 5, 130}) {
    Case c{.tokens = tokens, .past = 300, .heads = 6, .kv_heads = 2, .d = 64, .dtype = DType::BF16};
    Data data(c);
    std::vector<float> want;
    for (int64_t t = 0; t < c.tokens; ++t)
      for (int64_t h = 0; h < c.heads; ++h) {
        auto n = static_cast<int64_t>(data.random.below(static_cast<uint64_t>(c.past + t + 1)));
        int64_t at = (h / 3 * kPageTokens + n % kPageTokens) * c.d;
        const auto* k = static_cast<const uint16_t*>(data.keys.page(n)) + at;
        const auto* v = static_cast<const uint16_t*>(data.values.page(n)) + at;
        for (int64_t i = 0; i < c.d; ++i) {
          data.q.row(t)[h * c.d + i] = 1000.0f * bf16_to_f32(k[i]);
          want.push_back(bf16_to_f32(v[i]));
        }
      }
    for (const Implementation& how : implementations())
      for (DType out : {DType::F32, DType::BF16})
        EXPECT_LE(error(run(how.attention, out, c, data), want), 1e-6) << how.name << " tokens " << tokens;
  }
}

/// Scores of +-1e6 that compete: whichever key wins by rounding, the output stays a mean of values.
TEST(Attention, HugeScoresStayFinite) {
  for (int64_t tokens : {1, 70}) {
    Case c{.tokens = tokens, .past = 300, .heads = 4, .kv_heads = 4, .d = 64, .magnitude = 1e6f};
    Data data(c);
    for (const Implementation& how : implementations())
      for (DType out : {DType::F32, DType::BF16})
        for (float x : run(how.attention, out, c, data))
          ASSERT_LT(std::abs(x), 6.0f) << how.name;  // normal values
  }
}

TEST(Attention, ChunksGiveWhatOneCallGives) {
  Case whole{.tokens = 200, .past = 0, .heads = 9, .kv_heads = 3, .d = 64, .dtype = DType::F16};
  for (const Implementation& how : implementations())
    for (DType out : {DType::F32, DType::BF16}) {
      Data data(whole);
      std::vector<float> at_once = run(how.attention, out, whole, data), chunked;
      Tensor q = data.q;
      for (int64_t size : {64, 1, 3, 65, 7, 60}) {
        Case c = whole;
        c.past = static_cast<int64_t>(chunked.size()) / whole.width();
        c.tokens = size;
        data.q = q.slice(c.past, size);
        std::vector<float> part = run(how.attention, out, c, data);
        chunked.insert(chunked.end(), part.begin(), part.end());
      }
      ASSERT_EQ(chunked.size(), at_once.size());
      EXPECT_LE(error(chunked, at_once), out == DType::F32 ? 1e-6 : how.bf16_tolerance) << how.name;
    }
}

TEST(Attention, DoesNotDependOnThreadsOrChance) {
  int before = threads();
  for (int64_t tokens : {1, 200}) {
    Case c{.tokens = tokens, .past = 3000, .heads = 6, .kv_heads = 2, .d = 64, .dtype = DType::BF16};
    Data data(c);
    for (const Implementation& how : implementations())
      for (DType out : {DType::F32, DType::BF16}) {
        set_threads(1);
        std::vector<float> one = run(how.attention, out, c, data);
        for (int n : {1, 2, 3}) {
          set_threads(n);
          EXPECT_EQ(run(how.attention, out, c, data), one) << how.name << " with " << n << " threads";
        }
      }
  }
  set_threads(before);
}

TEST(Attention, NoQueriesIsNoWork) {
  Case c{.tokens = 1, .past = 4, .heads = 2, .kv_heads = 1, .d = 16};
  Data data(c);
  c.tokens = 0;
  data.q = data.q.slice(0, 0);
  for (const Implementation& how : implementations())
    EXPECT_TRUE(run(how.attention, DType::F32, c, data).empty());
}

}  // namespace
}  // namespace longspan
