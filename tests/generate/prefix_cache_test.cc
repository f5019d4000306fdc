// The prefix cache against a plain list of the texts that it was given.
#include "generate/prefix_cache.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "kernels/devices.h"

namespace longspan {
namespace {

std::shared_ptr<KvPool> pool_of(int64_t pages) {
  static std::shared_ptr<Device> device = device_named("cpu", kernels());
  return std::make_shared<KvPool>(*device, KvLayout{1, 1, 8, 1, {}}, pages);
}

std::vector<int32_t> text(int64_t tokens, int32_t first = 0) {
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < tokens; ++i) ids.push_back(first + static_cast<int32_t>(i));
  return ids;
}

/// A text that holds its pages.
KvCache held(const std::shared_ptr<KvPool>& pool, int64_t tokens) {
  KvCache cache(pool);
  cache.reserve(tokens);
  cache.set_length(tokens);
  return cache;
}

TEST(PrefixCache, FindsWholePagesAndTheBeginningOfOneMore) {
  auto pool = pool_of(16);
  PrefixCache cache(pool);
  KvCache a = held(pool, 600);
  cache.add(0, text(600), a.pages());
  EXPECT_EQ(cache.pages(), 3);
  auto whole = cache.find(0, text(600), 599);
  EXPECT_EQ(whole.tokens, 599);
  EXPECT_EQ(whole.pages, std::vector<int32_t>(a.pages().begin(), a.pages().end()));
  auto other = text(600);
  other[300] = -1;
  auto some = cache.find(0, other, 599);
  EXPECT_EQ(some.tokens, 300);
  EXPECT_EQ(some.pages.size(), 2u);
  other[0] = -1;
  EXPECT_EQ(cache.find(0, other, 599).tokens, 0);
  EXPECT_EQ(cache.find(1, text(600), 599).tokens, 0) << "another class";
}

TEST(PrefixCache, APageThatGrewTakesThePlaceOfItsBeginning) {
  auto pool = pool_of(16);
  PrefixCache cache(pool);
  KvCache a = held(pool, 100), b = held(pool, 180), c = held(pool, 256);
  cache.add(0, text(100), a.pages());
  cache.add(0, text(180), b.pages());
  EXPECT_EQ(cache.pages(), 1);
  EXPECT_EQ(cache.find(0, text(256), 256).pages[0], b.pages()[0]);
  cache.add(0, text(100), a.pages());
  EXPECT_EQ(cache.find(0, text(256), 256).tokens, 180) << "a shorter one adds nothing";
  cache.add(0, text(256), c.pages());
  EXPECT_EQ(cache.pages(), 1);
  EXPECT_EQ(cache.find(0, text(256), 256).tokens, 256);
  EXPECT_EQ(pool->references(a.pages()[0]), 1);
}

TEST(PrefixCache, GivesUpTheLeastRecentlyUsedThatNobodyHolds) {
  auto pool = pool_of(16);
  PrefixCache cache(pool);
  {
    KvCache a = held(pool, 512), b = held(pool, 512);
    cache.add(0, text(512), a.pages());
    cache.add(0, text(512, 1000), b.pages());
    EXPECT_EQ(cache.evictable(), 0);
    EXPECT_EQ(cache.evict(4), 0);
  }
  EXPECT_EQ(cache.evictable(), 4);
  cache.find(0, text(512), 512);  // used last
  EXPECT_EQ(cache.evict(2), 2);
  EXPECT_EQ(cache.find(0, text(512), 512).tokens, 512);
  EXPECT_EQ(cache.find(0, text(512, 1000), 512).tokens, 0);
  EXPECT_EQ(cache.evict(9), 2);
  EXPECT_EQ(pool->taken(), 0);
}

/// Two texts computed the same first page at the same time; the second one's continuation hangs below the
/// first one's page, which nobody holds any more but must stay.
TEST(PrefixCache, WhatPrecedesAHeldPageCannotBeGivenUp) {
  auto pool = pool_of(16);
  PrefixCache cache(pool);
  KvCache b = held(pool, 512);
  {
    KvCache a = held(pool, 256);
    cache.add(0, text(256), a.pages());
  }
  cache.add(0, text(512), b.pages());
  EXPECT_EQ(pool->taken(), 3);
  EXPECT_EQ(cache.evictable(), 0);
  EXPECT_EQ(cache.evict(1), 0);
}

TEST(PrefixCache, NeverGivesAPageOfAnotherText) {
  auto pool = pool_of(400);
  PrefixCache cache(pool);
  Random random(7);
  std::vector<std::pair<std::vector<int32_t>, std::vector<int32_t>>> known;  // text, pages
  std::vector<std::vector<int32_t>> owner(400);  // what each page holds from the beginning of its text
  for (int round = 0; round < 200; ++round) {
    // Of few tokens, so that texts share beginnings of any length.
    std::vector<int32_t> ids;
    int64_t n = 1 + static_cast<int64_t>(random.below(900));
    auto seed = random.below(3);
    int64_t same = static_cast<int64_t>(random.below(static_cast<uint64_t>(n)));
    for (int64_t i = 0; i < n; ++i)
      ids.push_back(i < same ? static_cast<int32_t>(seed) : static_cast<int32_t>(random.below(2)));
    auto match = cache.find(0, ids, n - 1);
    for (size_t i = 0; i < match.pages.size(); ++i) {
      auto end = std::min<int64_t>(match.tokens, static_cast<int64_t>(i + 1) * kPageTokens);
      const std::vector<int32_t>& holds = owner[static_cast<size_t>(match.pages[i])];
      ASSERT_GE(std::ssize(holds), end);
      ASSERT_TRUE(std::equal(ids.begin(), ids.begin() + end, holds.begin()));
    }
    if (pool->free_pages() < pages_for(n)) cache.evict(pages_for(n) - pool->free_pages());
    ASSERT_GE(pool->free_pages(), pages_for(n));
    KvCache own = held(pool, n);
    for (int32_t page : own.pages()) owner[static_cast<size_t>(page)] = ids;
    cache.add(0, ids, own.pages());
    ASSERT_LE(cache.pages(), pool->taken());
  }
  cache.evict(1000);
  EXPECT_EQ(pool->taken(), 0);
}

}  // namespace
}  // namespace longspan
