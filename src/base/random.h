// Random numbers that are the same on every machine: xoshiro256** seeded by splitmix64 (Blackman and Vigna,
// arXiv 1805.01407). std:: distributions differ between standard libraries, so the few needed ones are here.
#pragma once

#include <array>
#include <cstdint>

namespace longspan {

class Random {
 public:
  explicit Random(uint64_t seed);
  uint64_t next();
  /// Uniform in [0, 1) with 53 bits.
  double uniform();
  /// Standard normal (Box-Muller, one value a call).
  double normal();
  /// Uniform in 0..n-1; n > 0.
  uint64_t below(uint64_t n);

 private:
  std::array<uint64_t, 4> state_;
};

}  // namespace longspan
