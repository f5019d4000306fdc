// Pages of the pool: counted, shared, copied before they are written, given back; and the types of caches.
#include "model/kv_pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/random.h"

namespace longspan {
namespace {

ModelConfig shape() {
  ModelConfig c;
  c.num_hidden_layers = 3, c.num_key_value_heads = 2, c.head_dim = 16;
  return c;
}

std::shared_ptr<KvPool> pool(int64_t limit, CacheTypes types = {}) {
  static std::shared_ptr<Device> device = host_device(kernels_named("reference"));
  return std::make_shared<KvPool>(*device, kv_layout(shape(), types), limit);
}

TEST(KvPool, BytesByHand) {
  EXPECT_EQ(kv_bytes_per_token(shape(), {DType::F16, DType::F16}), 2 * 3 * 2 * 16 * 2);
  EXPECT_EQ(kv_bytes(shape(), {DType::F32, DType::F32}, 257), 512 * 2 * 3 * 2 * 16 * 4);
  EXPECT_EQ(kv_bytes_per_token(shape(), {DType::F32, DType::F16}, 2), 3 * 2 * 16 * (2 * 4 + 2));
}

TEST(KvPool, PagesOfLayersDoNotOverlap) {
  auto p = pool(4, {DType::F32, DType::F16});
  std::set<std::pair<std::byte*, std::byte*>> ranges;
  int32_t ids[] = {0, 1, 2, 3};
  Tensor table = host_matrix(ids, DType::I32, 1, 4);
  for (int64_t l = 0; l < 3; ++l)
    for (const KvPages& pages : {p->keys(l, 0, table), p->values(l, table)})
      for (int32_t id : ids) {
        std::byte* at = pages.memory + id * pages.stride;
        ranges.insert({at, at + dtype_bytes(pages.dtype, 2 * kPageTokens * 16)});
      }
  EXPECT_EQ(ranges.size(), 24u);
  std::byte* end = nullptr;
  for (const auto& [first, last] : ranges) {
    EXPECT_GE(first, end);
    end = last;
  }
  EXPECT_EQ(end - ranges.begin()->first, 4 * p->layout().page_bytes());
}

TEST(KvPool, CopiesAPageIntoAnother) {
  auto p = pool(3);
  int32_t pages[] = {p->take(), p->take(), p->take()};
  auto bytes = static_cast<size_t>(p->layout().page_bytes());
  std::vector<std::byte> first(bytes), found(bytes);
  for (size_t i = 0; i < bytes; ++i) first[i] = static_cast<std::byte>(i * i >> 3);
  p->upload(pages[0], first.data());
  p->copy(pages[0], pages[2]);
  p->download(found.data(), pages[2]);
  EXPECT_EQ(found, first);
  p->download(found.data(), pages[1]);
  EXPECT_EQ(found, std::vector<std::byte>(bytes));
}

TEST(KvCache, TakesPagesAsItGrowsAndGivesThemBack) {
  auto p = pool(5);
  KvCache cache(p);
  cache.reserve(1);
  EXPECT_EQ(cache.pages().size(), 1u);
  cache.reserve(256);
  EXPECT_EQ(cache.pages().size(), 1u);
  cache.reserve(1000);
  EXPECT_EQ(cache.pages().size(), 4u);
  EXPECT_EQ(p->taken(), 4);
  cache.set_length(700);
  cache.truncate(300);
  EXPECT_EQ(cache.length(), 300);
  EXPECT_EQ(p->taken(), 2);
  EXPECT_THROW(cache.reserve(6 * 256), Error);  // the pool has 5
  EXPECT_EQ(p->taken(), 2);
  { KvCache moved = std::move(cache); }
  EXPECT_EQ(p->taken(), 0);
  EXPECT_EQ(p->free_pages(), 5);
}

/// Something to tell pages apart by.
std::byte* first_byte(const KvPool& pool, int32_t page) {
  return pool.keys(0, 0, {}).memory + page * pool.layout().page_bytes();
}

TEST(KvCache, ForksShareUntilOneOfThemWrites) {
  auto p = pool(8);
  KvCache a(p);
  a.reserve(600);
  a.set_length(600);
  *first_byte(*p, a.pages()[2]) = std::byte{7};
  KvCache b = a.fork(600), whole = a.fork(512);
  EXPECT_EQ(p->taken(), 3);
  EXPECT_EQ(p->references(a.pages()[0]), 3);
  EXPECT_EQ(p->references(a.pages()[2]), 2);
  int32_t shared = a.pages()[2];
  b.reserve(601);  // nobody has a token there yet
  b.set_length(601);
  EXPECT_EQ(b.pages()[2], shared);
  a.reserve(601);  // b has
  EXPECT_NE(a.pages()[2], shared);
  EXPECT_EQ(b.pages()[2], shared);
  EXPECT_EQ(*first_byte(*p, a.pages()[2]), std::byte{7});
  EXPECT_EQ(p->references(shared), 1);
  KvCache c = b.fork(601);
  b.truncate(590);
  b.reserve(591);  // c has what b took back
  EXPECT_NE(b.pages()[2], shared);
  b.truncate(580);
  int32_t own = b.pages()[2];
  b.reserve(590);  // alone in it
  EXPECT_EQ(b.pages()[2], own);
  c.truncate(0);
  whole.reserve(513);  // begins a page of its own: nothing to copy
  EXPECT_EQ(p->taken(), 5);
  EXPECT_EQ(p->references(a.pages()[1]), 3);
  a.truncate(0);
  EXPECT_EQ(p->references(b.pages()[0]), 2);
  EXPECT_EQ(p->taken(), 4);
}

/// Of each type: the pages are those of a cache that never had the other tokens.
TEST(KvCache, KeepsSomeTokensOfEachHead) {
  auto device = host_device(kernels_named("reference"));
  ModelConfig config = shape();
  config.head_dim = 32;  // groups of quantised types
  for (CacheTypes types : {CacheTypes{}, CacheTypes{DType::F32, DType::BF16},
                           CacheTypes{DType::Q8_0, DType::Q4_0}, CacheTypes{DType::Q4_0, DType::Q8_0}}) {
    SCOPED_TRACE(describe(types));
    constexpr int64_t kTokens = 700, kKept = 300, kCols = 2 * 32;
    auto p = std::make_shared<KvPool>(*device, kv_layout(config, types, 2), 8);
    KvCache whole(p), expected(p);
    const std::vector<std::byte> empty(static_cast<size_t>(p->layout().page_bytes()));
    auto prepare = [&](KvCache& cache, int64_t tokens) {
      cache.reserve(tokens);
      for (int32_t page : cache.pages()) p->upload(page, empty.data());
    };
    enum class Part { Keys, OtherKeys, Values };
    auto store = [&](KvCache& cache, int64_t layer, Part part, std::vector<float>& x) {
      std::vector<int32_t> rows = {0, static_cast<int32_t>(x.size() / kCols)}, past = {0};
      std::vector<int32_t> ids(cache.pages().begin(), cache.pages().end());
      Tensor table = host_matrix(ids.data(), DType::I32, 1, std::ssize(ids));
      Sequences sequences{.count = 1,
                          .rows = host_matrix(rows.data(), DType::I32, 1, 2),
                          .past = host_matrix(past.data(), DType::I32, 1, 1),
                          .most_rows = rows[1],
                          .most_keys = rows[1]};
      device->kernels().store_kv(
          part == Part::Values ? p->values(layer, table) : p->keys(layer, part == Part::Keys ? 0 : 1, table),
          host_matrix(x.data(), DType::F32, rows[1], kCols), sequences);
    };
    prepare(whole, kTokens);
    prepare(expected, kKept);
    Random random(5);
    std::vector<std::vector<int32_t>> kept;
    for (int64_t h = 0; h < 3 * 2; ++h) {
      std::vector<int32_t>& list = kept.emplace_back();
      for (int32_t t = 0; t < kTokens; ++t)
        if (static_cast<int64_t>(random.below(static_cast<uint64_t>(kTokens - t))) < kKept - std::ssize(list))
          list.push_back(t);
    }
    for (int64_t layer = 0; layer < 3; ++layer)
      for (Part part : {Part::Keys, Part::OtherKeys, Part::Values}) {
        std::vector<float> x(kTokens * kCols), some(kKept * kCols);
        for (float& one : x) one = static_cast<float>(random.uniform()) - 0.5f;
        for (size_t head = 0; head < 2; ++head)
          for (size_t i = 0; i < kKept; ++i) {
            auto from = static_cast<size_t>(kept[static_cast<size_t>(layer) * 2 + head][i]);
            std::copy_n(x.begin() + static_cast<int64_t>(from * kCols + head * 32), 32,
                        some.begin() + static_cast<int64_t>(i * kCols + head * 32));
          }
        store(whole, layer, part, x);
        store(expected, layer, part, some);
      }
    whole.set_length(kTokens);
    KvCache found = whole.keeping(kept);
    EXPECT_EQ(found.length(), kKept);
    EXPECT_EQ(found.skipped(), kTokens - kKept);
    ASSERT_EQ(found.pages().size(), expected.pages().size());
    for (size_t i = 0; i < found.pages().size(); ++i) {
      std::vector<std::byte> a(empty.size()), b(empty.size());
      p->download(a.data(), found.pages()[i]);
      p->download(b.data(), expected.pages()[i]);
      EXPECT_EQ(a, b) << i;
    }
    EXPECT_THROW(whole.keeping(std::vector<std::vector<int32_t>>(6, std::vector<int32_t>(257, 1))), Error)
        << "the pool has one page left";
  }
}

TEST(CacheTypes, AreReadAndWrittenInOnePlace) {
  EXPECT_EQ(parse_cache_types("bf16"), (CacheTypes{DType::BF16, DType::BF16}));
  EXPECT_EQ(parse_cache_types("k=F32,v=f16"), (CacheTypes{DType::F32, DType::F16}));
  EXPECT_EQ(parse_cache_types("v=bf16"), (CacheTypes{DType::F16, DType::BF16}));
  EXPECT_EQ(parse_cache_types("k=q8_0,v=q4_0"), (CacheTypes{DType::Q8_0, DType::Q4_0}));
  for (CacheTypes types : {CacheTypes{DType::F32, DType::F32}, CacheTypes{DType::F32, DType::BF16}})
    EXPECT_EQ(parse_cache_types(describe(types)), types);
  for (const char* wrong : {"", "q4_k", "f64", "k=", "k=f16,w=f16", "k=f16;v=f16", "i32"}) {
    try {
      parse_cache_types(wrong);
      ADD_FAILURE() << wrong;
    } catch (const Error& e) {
      EXPECT_NE(std::string(e.what()).find("f32, f16, bf16"), std::string::npos) << e.what();
    }
  }
}

}  // namespace
}  // namespace longspan
