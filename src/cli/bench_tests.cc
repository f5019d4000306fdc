#include "cli/bench_tests.h"

#include <algorithm>
#include <memory>

#include "base/energy.h"
#include "base/random.h"
#include "cli/interrupt.h"
#include "cli/output.h"

namespace longspan::cli {

namespace {

std::vector<int32_t> random_ids(const Engine& engine, int64_t n, uint64_t seed) {
  Random random(seed);
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < n; ++i)
    ids.push_back(static_cast<int32_t>(random.below(static_cast<uint64_t>(engine.config().vocab_size))));
  return ids;
}

/// Sequences of one pool with `depth` tokens each, and n more to feed them.
struct Texts {
  std::vector<std::unique_ptr<Sequence>> sequences;
  std::vector<Sequence*> pointers;
  std::vector<std::vector<int32_t>> ids;

  Texts(const Engine& engine, const BenchTest& test, uint64_t seed) {
    int64_t length = test.depth + test.n;
    PositionSpec spec = position_spec(engine.config().position, engine.config().head_shape(), length);
    auto pool = engine.make_pool(key_copies(spec), test.batch * pages_for(length) * kPageTokens);
    for (int64_t i = 0; i < test.batch; ++i) {
      sequences.push_back(std::make_unique<Sequence>(engine, length, engine.config().position, pool));
      pointers.push_back(sequences.back().get());
      ids.push_back(random_ids(engine, length, seed + static_cast<uint64_t>(i)));
    }
    if (test.depth > 0) feed(0, test.depth);
  }

  /// Tokens begin .. end - 1 of every text.
  void feed(int64_t begin, int64_t end) {
    std::vector<std::span<const int32_t>> parts;
    for (const auto& text : ids)
      parts.push_back(std::span(text).subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin)));
    feed_together(pointers, parts);
  }
};

}  // namespace

std::string BenchTest::kind() const { return fmt::format("{}{}", writing ? "tg" : "pp", n); }

std::string BenchTest::name() const {
  return fmt::format("{}{}{}", kind(), depth > 0 ? fmt::format(" @ d{}", depth) : "",
                     batch > 1 ? fmt::format(" x {}", batch) : "");
}

BenchRates run_test(const Engine& engine, const BenchTest& test, int64_t chunk, int repetitions,
                    uint64_t seed, const std::function<double()>& peer) {
  double begin = seconds_now();
  Texts texts(engine, test, seed);
  BenchRates rates{.ours = {},
                   .peer = {},
                   .filling = static_cast<double>(test.depth * test.batch) / (seconds_now() - begin)};
  double joules = 0;
  auto tokens = static_cast<double>(test.n * test.batch);
  int64_t step = test.writing ? 1 : std::max<int64_t>(1, chunk / test.batch);
  bool told = true;
  for (int r = 0; r <= repetitions && !interrupted(); ++r) {
    for (Sequence* sequence : texts.pointers) sequence->truncate(test.depth);
    std::vector<EnergyCounter> before = energy_counters();
    double start = seconds_now();
    for (int64_t at = 0; at < test.n && !interrupted(); at += step)
      texts.feed(test.depth + at, test.depth + std::min(test.n, at + step));
    double seconds = seconds_now() - start;
    std::optional<double> taken = joules_between(before, energy_counters());
    if (r == 0) continue;
    rates.ours.push_back(tokens / seconds);
    told = told && taken;
    joules += taken.value_or(0);
    if (peer && !interrupted()) rates.peer.push_back(peer());
  }
  if (told && !rates.ours.empty())
    rates.joules_a_token = joules / tokens / static_cast<double>(rates.ours.size());
  return rates;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return (values[(values.size() - 1) / 2] + values[values.size() / 2]) / 2;
}

Growth run_growth(const Engine& engine, const std::vector<int64_t>& lengths, int repetitions, uint64_t seed) {
  Growth growth;
  ReadingTimes times;
  for (int64_t n : lengths) {
    Sequence sequence(engine, n);
    const std::vector<int32_t> ids = random_ids(engine, n, seed);
    std::vector<double> seconds;
    for (int r = growth.points.empty() ? 0 : 1; r <= repetitions;
         ++r) {  // the very first run packs the weights
      sequence.truncate(0);
      double start = seconds_now();
      if (!sequence.feed(ids, [](int64_t, int64_t) { return !interrupted(); })) return growth;
      if (r > 0) seconds.push_back(seconds_now() - start);
    }
    growth.points.push_back({n, median(seconds)});
    times.add(0, n, growth.points.back().seconds);
  }
  growth.cost = times.cost();
  return growth;
}

}  // namespace longspan::cli
