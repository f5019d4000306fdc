// The random streams of CPython's `random` and numpy's legacy RandomState (both MT19937, Matsumoto and
// Nishimura 1998, with rules of their own): suites that were published as a program and a seed can only
// be reproduced with the same stream.
#pragma once

#include <cstdint>
#include <random>
#include <span>
#include <string>
#include <vector>

namespace longspan {

/// random.Random(seed) of CPython 3.11 for seeds >= 0.
class PythonRandom {
 public:
  explicit PythonRandom(uint64_t seed);
  void seed(uint64_t seed);
  double random();                        // [0, 1), 53 bits
  uint64_t getrandbits(int k);            // 1 <= k <= 64
  int64_t randrange(int64_t n);           // 0..n-1, n > 0 (_randbelow)
  int64_t randint(int64_t a, int64_t b);  // a..b, both included
  double uniform(double a, double b);
  size_t choice(size_t n) { return static_cast<size_t>(randrange(static_cast<int64_t>(n))); }  // an index
  /// Indices of random.choices(population of n, k=k).
  std::vector<size_t> choices(size_t n, size_t k);
  /// Indices of random.sample(population of n, k); k <= n.
  std::vector<size_t> sample(size_t n, size_t k);
  /// random.shuffle, in place.
  template <typename T>
  void shuffle(std::vector<T>& items) {
    for (size_t i = items.size(); i-- > 1;) std::swap(items[i], items[choice(i + 1)]);
  }
  /// str(uuid.UUID(int=getrandbits(128), version=4)).
  std::string uuid4();

 private:
  uint32_t next32();
  std::mt19937 twister_;
};

/// numpy.random.RandomState(seed), the legacy interface.
class NumpyRandom {
 public:
  explicit NumpyRandom(uint32_t seed);
  /// randint(low, high): low..high-1 (dtype int64, masked rejection).
  int64_t randint(int64_t low, int64_t high);
  double random_sample();

 private:
  std::mt19937 twister_;
};

}  // namespace longspan
