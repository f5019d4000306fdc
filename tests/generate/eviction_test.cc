// Eviction: what is kept against a plain search, positions against a text that never had the rest, and
// prompts that are whole again for the next question.
#include "generate/eviction.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "base/error_text.h"
#include "base/json.h"
#include "base/random.h"
#include "checkpoint/build_files.h"
#include "generate/sequence.h"
#include "model/family.h"

namespace longspan {
namespace {

std::vector<int32_t> text(int64_t n, uint64_t seed = 1) {
  Random random(seed);
  std::vector<int32_t> ids(static_cast<size_t>(n));
  for (int32_t& id : ids) id = static_cast<int32_t>(random.below(60));
  return ids;
}

/// The first layer alone of the model in a directory.
void cut_to_one_layer(const std::filesystem::path& directory) {
  Json config = parse_json_file(directory / "config.json");
  config["num_hidden_layers"] = 1;
  write_file_atomic(directory / "config.json", dump_json(config));
  const std::string bytes = read_file(directory / "model.safetensors");
  uint64_t size = 0;
  std::memcpy(&size, bytes.data(), sizeof size);
  SafetensorsBuilder one;
  const Json header = parse_json(bytes.substr(8, size), "header");
  for (const auto& [name, tensor] : header.items()) {
    if (name == "__metadata__" || (name.starts_with("model.layers.") && !name.starts_with("model.layers.0.")))
      continue;
    auto begin = tensor["data_offsets"][0].get<size_t>(), end = tensor["data_offsets"][1].get<size_t>();
    one.tensor(name, tensor["dtype"], tensor["shape"], bytes.substr(8 + size + begin, end - begin));
  }
  write_file_atomic(directory / "model.safetensors", one.bytes());
}

/// The logits after the ids, fed one by one: passes of several rows round otherwise.
std::vector<float> logits_after(Sequence& sequence, std::span<const int32_t> ids) {
  for (const int32_t& id : ids) sequence.feed({&id, 1});
  return {sequence.logits().begin(), sequence.logits().end()};
}

void expect_near(const std::vector<float>& a, const std::vector<float>& b, float most) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], b[i], most) << i;
}

TEST(Eviction, ItsTextIsRead) {
  EXPECT_EQ(parse_eviction("off"), Eviction{});
  EXPECT_EQ(parse_eviction("snapkv"), (Eviction{.keep = 2048, .window = 32, .pool = 31}));
  EXPECT_EQ(parse_eviction("snapkv:keep=4k,pool=1"), (Eviction{.keep = 4096, .window = 32, .pool = 1}));
  EXPECT_EQ(parse_eviction("snapkv:window=8,keep=9"), (Eviction{.keep = 9, .window = 8, .pool = 31}));
  for (const char* wrong :
       {"", "on", "snapkv:", "snapkvkeep=3", "snapkv:keep", "snapkv:keep=", "snapkv:keep=32",
        "snapkv:keep=64,pool=2", "snapkv:window=0", "snapkv:keep=64,", "snapkv:budget=64"})
    expect_says(error_of([&] { parse_eviction(wrong); }), "expected off, snapkv, or snapkv:keep=N");
}

TEST(Eviction, TheBestNeighbourhoodsAndTheWindowStay) {
  EXPECT_EQ(
      tokens_to_keep(std::vector<float>{0, 5, 0, 0, 0, 9, 0, 0}, {.keep = 5, .window = 2, .pool = 1}, 2),
      (std::vector<int32_t>{0, 1, 5, 8, 9}));  // of equal ones the first
  EXPECT_EQ(
      tokens_to_keep(std::vector<float>{0, 5, 0, 0, 0, 9, 0, 0}, {.keep = 5, .window = 2, .pool = 3}, 2),
      (std::vector<int32_t>{4, 5, 6, 8, 9}));
  EXPECT_EQ(tokens_to_keep(std::vector<float>{3, 1}, {.keep = 8, .window = 2, .pool = 3}, 2),
            (std::vector<int32_t>{0, 1, 2, 3}));
  Random random(3);
  for (int trial = 0; trial < 50; ++trial) {
    std::vector<float> scores(static_cast<size_t>(60 + random.below(200)));
    for (float& s : scores) s = static_cast<float>(random.below(20));
    Eviction e{.keep = 8 + static_cast<int64_t>(random.below(40)), .window = 4, .pool = 7};
    std::vector<std::pair<float, int32_t>> order;
    for (int64_t i = 0; i < std::ssize(scores); ++i) {
      float best = 0;
      for (int64_t j = i - 3; j <= i + 3; ++j)
        if (j >= 0 && j < std::ssize(scores)) best = std::max(best, scores[static_cast<size_t>(j)]);
      order.emplace_back(-best, static_cast<int32_t>(i));
    }
    std::sort(order.begin(), order.end());
    std::vector<int32_t> want;
    for (int64_t i = 0; i < e.keep - e.window; ++i) want.push_back(order[static_cast<size_t>(i)].second);
    std::sort(want.begin(), want.end());
    for (int64_t i = 0; i < e.window; ++i) want.push_back(static_cast<int32_t>(std::ssize(scores) + i));
    ASSERT_EQ(tokens_to_keep(scores, e, e.window), want);
  }
}

class EvictionOf : public testing::TestWithParam<const char*> {
 protected:
  enum class Layers { One, All };
  Engine engine(Layers layers, const Eviction& eviction = {}) {
    make_family(directory_.path, "gqa", true);
    if (layers == Layers::One) cut_to_one_layer(directory_.path);
    EngineOptions options;
    options.eviction = eviction;
    options.cache_types = parse_cache_types(GetParam());
    options.compute = Compute::F32;  // passes of a row and of many round alike
    options.chunk = 64;
    return Engine(directory_.path, options);
  }
  static std::vector<std::vector<int32_t>> same_for_all(const Engine& e, const std::vector<int32_t>& rows) {
    return std::vector<std::vector<int32_t>>(
        static_cast<size_t>(e.config().num_hidden_layers * e.config().num_key_value_heads), rows);
  }
  TemporaryDirectory directory_;
};

/// In one layer a token's keys and values depend on nothing before it, and rotary positions on distances
/// alone.
TEST_P(EvictionOf, WithoutItsBeginningATextGoesOnAsItsEndWould) {
  Engine e = engine(Layers::One);
  const std::vector<int32_t> prompt = text(700), next = text(5, 2);
  for (int64_t kept : {1, 100, 300, 600}) {
    Sequence whole(e, 1400), end(e, 800);
    whole.feed(prompt);
    std::vector<int32_t> rows(static_cast<size_t>(kept));
    std::iota(rows.begin(), rows.end(), static_cast<int32_t>(700 - kept));
    whole.evict(same_for_all(e, rows));
    end.feed(std::span(prompt).last(static_cast<size_t>(kept)));
    // Keys of other angles are rounded otherwise; F32 shows that nothing else differs.
    expect_near(logits_after(whole, next), logits_after(end, next),
                std::string_view(GetParam()) == "f32" ? 1e-4f : 0.1f);
    EXPECT_EQ(whole.ids().size(), 705u);
    EXPECT_EQ(whole.cache().length(), kept + 5);
  }
}

TEST_P(EvictionOf, OfNothingChangesNothingAndWhatWasEvictedComesBack) {
  Engine e = engine(Layers::All);
  const std::vector<int32_t> prompt = text(600), next = text(9, 2);
  Sequence plain(e, 700), all(e, 1500);
  plain.feed(prompt);
  all.feed(prompt);
  std::vector<int32_t> rows(600);
  std::iota(rows.begin(), rows.end(), 0);
  all.evict(same_for_all(e, rows));
  const std::vector<float> want = logits_after(plain, next);
  EXPECT_EQ(logits_after(all, next), want);
  // A draft that was wrong is taken back and leaves the eviction.
  all.truncate(605);
  EXPECT_EQ(logits_after(all, std::span(next).subspan(5)), want);
  EXPECT_EQ(all.cache().length(), 609);
  all.restore();
  EXPECT_EQ(all.ids().size(), 600u);
  EXPECT_EQ(logits_after(all, next), want);
  // Some other tokens for each head: the text goes on otherwise, and is the same again when they are back.
  all.truncate(600);
  std::vector<std::vector<int32_t>> some;
  for (size_t h = 0; h < same_for_all(e, {}).size(); ++h) {
    some.emplace_back();
    for (int32_t i = 0; i < 100; ++i) some.back().push_back(5 * i + static_cast<int32_t>(h));
  }
  all.evict(some);
  EXPECT_EQ(all.cache().skipped(), 500);
  EXPECT_NE(logits_after(all, next), want);
  all.truncate(600);
  EXPECT_EQ(all.cache().skipped(), 0);
  EXPECT_EQ(logits_after(all, next), want);
}

TEST_P(EvictionOf, ShortPromptsAreOnlyRead) {
  Engine e = engine(Layers::All, {.keep = 128, .window = 16, .pool = 3});
  Sequence sequence(e, 400);
  EXPECT_TRUE(feed_and_evict(sequence, text(128)));
  EXPECT_EQ(sequence.cache().skipped(), 0);
  sequence.truncate(0);
  EXPECT_TRUE(feed_and_evict(sequence, text(129)));
  EXPECT_EQ(sequence.cache().skipped(), 1);
  EXPECT_EQ(sequence.cache().length(), 128);
}

INSTANTIATE_TEST_SUITE_P(CacheType, EvictionOf, testing::Values("f32", "f16", "k=bf16,v=f16"),
                         [](const auto& test) {
                           std::string name = test.param;
                           std::replace_if(
                               name.begin(), name.end(), [](char c) { return !std::isalnum(c); }, '_');
                           return name;
                         });

/// A head keeps what its queries at the end of the prompt look at: taking the rest away changes their outcome
/// less than taking away as many tokens at random.
TEST(Eviction, KeepsWhatTheEndLooksAt) {
  TemporaryDirectory directory;
  make_family(directory.path, "gqa", true);
  cut_to_one_layer(directory.path);
  EngineOptions options;
  options.eviction = {.keep = 64, .window = 1, .pool = 1};
  options.cache_types = parse_cache_types("f32");
  Engine e(directory.path, options);
  double chosen = 0, random = 0;
  for (uint64_t seed = 1; seed <= 10; ++seed) {
    const std::vector<int32_t> prompt = text(400, seed), again = {prompt.back()};
    Sequence plain(e, 500), best(e, 500), any(e, 500);
    plain.feed(prompt), any.feed(prompt);
    ASSERT_TRUE(feed_and_evict(best, prompt));
    std::vector<int32_t> rows(400);
    std::iota(rows.begin(), rows.end(), 0);
    Random dice(seed);
    for (size_t i = 0; i < 64; ++i) std::swap(rows[i], rows[i + dice.below(400 - i)]);
    rows.resize(64);
    std::sort(rows.begin(), rows.end());
    any.evict(std::vector<std::vector<int32_t>>(static_cast<size_t>(e.config().num_key_value_heads), rows));
    const std::vector<float> want = logits_after(plain, again), near = logits_after(best, again),
                             far = logits_after(any, again);
    for (size_t i = 0; i < want.size(); ++i) {
      chosen += std::pow(near[i] - want[i], 2);
      random += std::pow(far[i] - want[i], 2);
    }
  }
  EXPECT_LT(chosen, random / 2);
}

/// Far tokens count as at one distance, near ones stay: the text goes on as one that has only what is kept.
TEST(Eviction, ZonesKeepTheirDistances) {
  TemporaryDirectory directory;
  make_family(directory.path, "gqa", true);
  cut_to_one_layer(directory.path);
  EngineOptions options;
  options.position = "rerope:window=64";
  options.compute = Compute::F32;
  options.cache_types = parse_cache_types("f32");
  options.eviction = {.keep = 200, .window = 16, .pool = 1};
  Engine e(directory.path, options);
  Sequence whole(e, 800), only(e, 800);
  EXPECT_EQ(tokens_that_stay(whole.spec(), 16), 64);
  EXPECT_EQ(tokens_that_stay(whole.spec(), 100), 100);
  const std::vector<int32_t> prompt = text(700), next = text(90, 2);
  std::vector<int32_t> rows, kept;
  for (int32_t i = 0; i < 700; ++i)
    if (i >= 700 - 64 || i % 5 == 3) rows.push_back(i), kept.push_back(prompt[static_cast<size_t>(i)]);
  whole.feed(prompt);
  whole.evict(std::vector<std::vector<int32_t>>(static_cast<size_t>(e.config().num_key_value_heads), rows));
  only.feed(kept);
  for (const int32_t& id : next)
    expect_near(logits_after(whole, {&id, 1}), logits_after(only, {&id, 1}), 1e-4f);
}

TEST(Eviction, WhatDependsOnDistancesIsRefused) {
  TemporaryDirectory directory;
  make_family(directory.path, "gqa", true);
  for (const char* position : {"alibi", "xpos", "dynamic_ntk:length=current", "rerope:window=64"}) {
    EngineOptions options;
    options.position = position;
    options.eviction.keep = 64;
    expect_says(error_of([&] { Engine(directory.path, options); }), "--evict: under ");
  }
}

}  // namespace
}  // namespace longspan
