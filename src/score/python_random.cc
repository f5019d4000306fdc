// CPython and numpy draw from the same twister but spend its words differently: _randbelow rejects, choices
// multiplies a float, sample switches its algorithm with the ratio of k to n.
#include "score/python_random.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>
#include <numeric>
#include <unordered_set>

namespace longspan {
namespace {

/// The state that the twister's authors' init_by_array makes of a key, which is how CPython seeds;
/// std::mt19937 takes a seed sequence's words as its state.
struct ArraySeed {
  using result_type = uint32_t;
  std::vector<uint32_t> key;

  template <typename Iterator>
  void generate(Iterator begin, Iterator end) const {
    const auto n = static_cast<size_t>(end - begin);
    std::vector<uint32_t> mt(n);
    mt[0] = 19650218;
    const auto mixed = [&](size_t i) { return mt[i - 1] ^ (mt[i - 1] >> 30); };
    for (size_t i = 1; i < n; ++i) mt[i] = 1812433253U * mixed(i) + static_cast<uint32_t>(i);

    size_t i = 1, j = 0;
    const auto advance = [&] {
      if (++i < n) return;
      mt[0] = mt[n - 1];
      i = 1;
    };
    for (size_t k = std::max(n, key.size()); k-- > 0;) {
      mt[i] = (mt[i] ^ (mixed(i) * 1664525U)) + key[j] + static_cast<uint32_t>(j);
      advance();
      j = (j + 1) % key.size();
    }
    for (size_t k = n - 1; k-- > 0;) {
      mt[i] = (mt[i] ^ (mixed(i) * 1566083941U)) - static_cast<uint32_t>(i);
      advance();
    }
    mt[0] = 0x80000000U;
    std::copy(mt.begin(), mt.end(), begin);
  }
};

double float53(std::mt19937& twister) {
  const uint64_t high = twister() >> 5, low = twister() >> 6;
  return static_cast<double>((high << 26) | low) / 9007199254740992.0;
}

}  // namespace

PythonRandom::PythonRandom(uint64_t seed) { this->seed(seed); }

void PythonRandom::seed(uint64_t seed) {
  ArraySeed state{{static_cast<uint32_t>(seed)}};
  if (seed >> 32 != 0) state.key.push_back(static_cast<uint32_t>(seed >> 32));
  twister_.seed(state);
}

uint32_t PythonRandom::next32() { return static_cast<uint32_t>(twister_()); }

double PythonRandom::random() { return float53(twister_); }

uint64_t PythonRandom::getrandbits(int k) {
  assert(k >= 1 && k <= 64);
  if (k <= 32) return next32() >> (32 - k);
  const uint64_t low = next32();
  return low | (static_cast<uint64_t>(next32() >> (64 - k)) << 32);
}

int64_t PythonRandom::randrange(int64_t n) {
  assert(n > 0);
  const int bits = static_cast<int>(std::bit_width(static_cast<uint64_t>(n)));
  uint64_t drawn = getrandbits(bits);
  while (drawn >= static_cast<uint64_t>(n)) drawn = getrandbits(bits);
  return static_cast<int64_t>(drawn);
}

int64_t PythonRandom::randint(int64_t a, int64_t b) { return a + randrange(b - a + 1); }

double PythonRandom::uniform(double a, double b) { return a + (b - a) * random(); }

std::vector<size_t> PythonRandom::choices(size_t n, size_t k) {
  std::vector<size_t> out(k);
  for (size_t& index : out) index = static_cast<size_t>(random() * static_cast<double>(n));
  return out;
}

std::vector<size_t> PythonRandom::sample(size_t n, size_t k) {
  assert(k <= n);
  size_t set_size = 21;  // of a small set minus an empty list, in CPython's reckoning of memory
  if (k > 5) {
    const double power = std::ceil(std::log(static_cast<double>(k * 3)) / std::log(4.0));
    set_size += static_cast<size_t>(std::pow(4.0, power));
  }
  std::vector<size_t> out(k);
  if (n <= set_size) {
    std::vector<size_t> pool(n);
    std::iota(pool.begin(), pool.end(), size_t{0});
    for (size_t i = 0; i < k; ++i) {
      const size_t j = choice(n - i);
      out[i] = pool[j];
      pool[j] = pool[n - i - 1];
    }
    return out;
  }
  std::unordered_set<size_t> taken;
  for (size_t& index : out) {
    do index = choice(n);
    while (!taken.insert(index).second);
  }
  return out;
}

std::string PythonRandom::uuid4() {
  const uint64_t low = getrandbits(64), high = getrandbits(64);
  const uint64_t variant = (low & 0x3fffffffffffffffULL) | 0x8000000000000000ULL;
  const uint64_t version = (high & ~0xf000ULL) | 0x4000ULL;
  return fmt::format("{:08x}-{:04x}-{:04x}-{:04x}-{:012x}", version >> 32, (version >> 16) & 0xffff,
                     version & 0xffff, variant >> 48, variant & 0xffffffffffffULL);
}

NumpyRandom::NumpyRandom(uint32_t seed) : twister_(seed) {}

int64_t NumpyRandom::randint(int64_t low, int64_t high) {
  assert(low < high);
  const uint64_t range = static_cast<uint64_t>(high) - static_cast<uint64_t>(low) - 1;
  if (range == 0) return low;
  const uint64_t mask = std::bit_ceil(range / 2 + 1) * 2 - 1;
  const auto draw = [&] {
    const uint64_t first = twister_();
    return range <= UINT32_MAX ? first : (first << 32) | twister_();
  };
  uint64_t drawn = draw() & mask;
  while (drawn > range) drawn = draw() & mask;
  return static_cast<int64_t>(static_cast<uint64_t>(low) + drawn);
}

double NumpyRandom::random_sample() { return float53(twister_); }

}  // namespace longspan
