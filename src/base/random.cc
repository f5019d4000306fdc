#include "base/random.h"

#include <cmath>
#include <numbers>

namespace longspan {

namespace {
uint64_t rotl(uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }
}  // namespace

Random::Random(uint64_t seed) {
  for (auto& s : state_) {
    seed += 0x9e3779b97f4a7c15u;
    uint64_t z = seed;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    s = z ^ (z >> 31);
  }
}

uint64_t Random::next() {
  uint64_t result = rotl(state_[1] * 5, 7) * 9;
  uint64_t t = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= t;
  state_[3] = rotl(state_[3], 45);
  return result;
}

double Random::uniform() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }

double Random::normal() {
  double u = 1.0 - uniform(), v = uniform();
  return std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * std::numbers::pi * v);
}

uint64_t Random::below(uint64_t n) {
  // Lemire 2019: the high half of a 128-bit product; the bias below 2^64 / n draws is removed by rejection.
  unsigned __int128 m = static_cast<unsigned __int128>(next()) * n;
  if (static_cast<uint64_t>(m) < n)
    for (uint64_t threshold = -n % n; static_cast<uint64_t>(m) < threshold;)
      m = static_cast<unsigned __int128>(next()) * n;
  return static_cast<uint64_t>(m >> 64);
}

}  // namespace longspan
