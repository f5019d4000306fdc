// Against streams recorded from CPython 3.11 and numpy 1.24: the calls of one seed in their order, so that a
// word too many or too few shows in everything behind it.
#include "score/python_random.h"

#include <gtest/gtest.h>

#include "base/file.h"
#include "base/json.h"

namespace longspan {
namespace {

Json streams() {
  return Json::parse(read_file(std::string(LONGSPAN_GOLDEN) + "/suites/random_streams.json"));
}

template <typename Draw>
Json list(size_t n, Draw draw) {
  Json out = Json::array();
  for (size_t i = 0; i < n; ++i) out.push_back(draw());
  return out;
}

std::string decimal(uint64_t high, uint64_t low) {
  auto value = static_cast<unsigned __int128>(high) << 64 | low;
  std::string digits;
  for (; value != 0; value /= 10)
    digits.insert(digits.begin(), static_cast<char>('0' + static_cast<int>(value % 10)));
  return digits;
}

Json first(std::vector<size_t> items, size_t n) {
  items.resize(n);
  return items;
}

TEST(PythonRandom, StreamsOfCpython) {
  const Json golden = streams();
  ASSERT_EQ(golden["python_random"].size(), 6u);
  for (const auto& [seed, want] : golden["python_random"].items()) {
    SCOPED_TRACE(seed);
    PythonRandom random(std::stoull(seed));
    EXPECT_EQ(list(5, [&] { return random.random(); }), want["random5"]);
    EXPECT_EQ(list(4, [&] { return random.getrandbits(32); }), want["getrandbits32x4"]);
    const uint64_t low = random.getrandbits(64), high = random.getrandbits(64);
    EXPECT_EQ(decimal(high, low), want["getrandbits128"]);
    EXPECT_EQ(list(5, [&] { return random.randint(1, 50000); }), want["randint_1_50000x5"]);
    EXPECT_EQ(list(3, [&] { return random.randint(1000000, 9999999); }), want["randint_1e6_9999999x3"]);
    EXPECT_EQ(list(8, [&] { return random.randrange(10); }), want["randrange10x8"]);
    std::vector<int> twenty(20);
    for (int i = 0; i < 20; ++i) twenty[static_cast<size_t>(i)] = i;
    random.shuffle(twenty);
    EXPECT_EQ(Json(twenty), want["shuffle20"]);
    EXPECT_EQ(list(6, [&] { return std::string(1, static_cast<char>('a' + random.choice(7))); }),
              want["choice_of_7x6"]);
    EXPECT_EQ(Json(random.sample(100, 5)), want["sample_100_5"]);
    EXPECT_EQ(first(random.sample(1000, 600), 10), want["sample_1000_600_first10"]);
    EXPECT_EQ(first(random.sample(30, 25), 10), want["sample_30_25_first10"]);
    const auto letters = [&] {
      std::string out;
      for (const size_t i : random.choices(26, 5)) out += static_cast<char>('A' + i);
      return out;
    };
    EXPECT_EQ(list(3, letters), want["choices_upper_k5x3"]);
    EXPECT_EQ(random.uuid4(), want["uuid4_from_getrandbits"]);
    EXPECT_EQ(random.uniform(0, 3), want["uniform_0_3"]);
    EXPECT_EQ(random.random(), want["random_after"]);
  }
}

TEST(PythonRandom, SeedsAnewAndReadsSeedsOf64Bits) {
  PythonRandom random(7);
  random.getrandbits(5);
  random.seed(42);
  EXPECT_DOUBLE_EQ(random.random(), 0.6394267984578837);
  EXPECT_DOUBLE_EQ(PythonRandom((uint64_t{1} << 40) + 3).random(), 0.21978710637116716);
}

TEST(NumpyRandom, StreamsOfRandomState) {
  const Json golden = streams();
  ASSERT_EQ(golden["numpy_legacy"].size(), 3u);
  for (const auto& [seed, want] : golden["numpy_legacy"].items()) {
    SCOPED_TRACE(seed);
    NumpyRandom random(static_cast<uint32_t>(std::stoul(seed)));
    EXPECT_EQ(list(5, [&] { return random.randint(10000, 99999); }), want["randint_10000_99999x5"]);
    EXPECT_EQ(list(3, [&] { return random.random_sample(); }), want["rand3"]);
  }
}

TEST(NumpyRandom, WideRanges) {
  NumpyRandom random(5);
  EXPECT_EQ(random.randint(3, 4), 3);
  EXPECT_EQ(random.randint(0, int64_t{1} << 40), 425438759118);
  EXPECT_EQ(random.randint(0, int64_t{1} << 32), 3739766767);
}

}  // namespace
}  // namespace longspan
