// The tests of bench: what is read or written behind what, and how long it takes.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "generate/reading_cost.h"
#include "generate/sequence.h"

namespace longspan::cli {

struct BenchTest {
  bool writing = false;
  int64_t n = 0, depth = 0, batch = 1;  // tokens, tokens in the cache before, texts side by side

  std::string kind() const;  // "pp512", "tg128"
  std::string name() const;  // "tg128 @ d4096 x 2"
};

struct BenchRates {
  std::vector<double> ours, peer;  // tokens per second, one figure a repetition, in the order of the runs
  double filling = 0;              // tokens per second of reading what was in the cache before, once
  std::optional<double> joules_a_token{};  // of ours, where the machine tells
};

/// Runs a test on random ids, once more than `repetitions`: the first run warms caches and packs the weights.
/// After each of the others `peer`, if there is one, runs the same test and says its rate. Ends early at
/// Ctrl-C.
BenchRates run_test(const Engine& engine, const BenchTest& test, int64_t chunk, int repetitions,
                    uint64_t seed, const std::function<double()>& peer);

/// Middle of the values; the mean of the two in the middle of an even number. Not empty.
double median(std::vector<double> values);

/// How the time of reading grows: a n + b n^2 / 2 seconds for n tokens.
struct Growth {
  struct Point {
    int64_t tokens = 0;
    double seconds = 0;  // median
  };
  std::vector<Point> points;
  ReadingCost cost;
};
/// Reads random texts of these lengths (rising), each `repetitions` times. Ends early at Ctrl-C.
Growth run_growth(const Engine& engine, const std::vector<int64_t>& lengths, int repetitions, uint64_t seed);

}  // namespace longspan::cli
