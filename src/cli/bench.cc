// bench: speed of prefill (pp) and decoding (tg) at given depths, in the rows and units of llama-bench.
#include <algorithm>
#include <memory>

#include "base/error.h"
#include "base/random.h"
#include "base/text.h"
#include "base/threads.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/output.h"

namespace longspan {

namespace {

struct BenchOptions : Options {
  std::vector<int64_t> prompts, answers, depths{0};
  int repetitions = 5;
};

struct Row {
  std::string test;
  int64_t depth = 0;
  std::vector<double> rates;  // tokens per second, one per repetition, ascending
  double median() const { return (rates[(rates.size() - 1) / 2] + rates[rates.size() / 2]) / 2; }
};

std::vector<int32_t> random_ids(const Engine& engine, int64_t n, uint64_t seed) {
  Random random(seed);
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < n; ++i)
    ids.push_back(static_cast<int32_t>(random.below(static_cast<uint64_t>(engine.config().vocab_size))));
  return ids;
}

/// n tokens after `depth` cached ones, at once or one at a time.
Row measure(const Engine& engine, const BenchOptions& o, bool writing, int64_t n, int64_t depth) {
  Row row{fmt::format("{}{}", writing ? "tg" : "pp", n), depth, {}};
  std::vector<int32_t> ids = random_ids(engine, depth + n, o.seed);
  std::span<const int32_t> tail = std::span(ids).subspan(static_cast<size_t>(depth));
  Sequence sequence(engine, depth + n);
  auto going = [](int64_t, int64_t) { return !interrupted(); };
  if (depth > 0) sequence.feed(std::span(ids).first(static_cast<size_t>(depth)), going);
  // One round more than requested: the first warms caches and packs the weights.
  for (int r = 0; r <= o.repetitions && !interrupted(); ++r) {
    sequence.truncate(depth);
    double start = seconds_now();
    if (writing)
      for (size_t i = 0; i < tail.size() && !interrupted(); ++i) sequence.feed(tail.subspan(i, 1));
    else
      sequence.feed(tail, going);
    if (r > 0) row.rates.push_back(static_cast<double>(n) / (seconds_now() - start));
  }
  std::sort(row.rates.begin(), row.rates.end());
  return row;
}

int bench(const BenchOptions& o) {
  Engine engine = open_engine(o);
  const char* compute = name(engine.model().compute);
  if (!o.json)
    print_now(fmt::format("{} threads, {} kernels, {} products, {} cache\n{:<16}{:>12}{:>24}\n", threads(),
                          engine.model().kernels().name, compute, describe(engine.options().cache_types),
                          "test", "tokens/s", "least .. most"));
  arm_interrupt();
  Json rows = Json::array();
  for (int64_t depth : o.depths)
    for (bool writing : {false, true})
      for (int64_t n : writing ? o.answers : o.prompts) {
        if (n == 0) continue;
        Row row = measure(engine, o, writing, n, depth);
        if (interrupted()) return kExitInterrupted;
        rows.push_back({{"test", row.test},
                        {"depth", depth},
                        {"tokens_per_s", row.median()},
                        {"least", row.rates.front()},
                        {"most", row.rates.back()},
                        {"repetitions", o.repetitions}});
        if (!o.json)
          print_now(fmt::format("{:<16}{:>12.2f}{:>24}\n",
                                row.test + (depth > 0 ? fmt::format(" @ d{}", depth) : ""), row.median(),
                                fmt::format("{:.2f} .. {:.2f}", row.rates.front(), row.rates.back())));
      }
  if (o.json)
    print_json({{"threads", threads()},
                {"kernels", engine.model().kernels().name},
                {"compute", compute},
                {"rows", rows},
                {"peak_bytes", peak_bytes()}});
  return kExitDone;
}

}  // namespace

Run define_bench(CLI::App& app) {
  auto o = std::make_shared<BenchOptions>();
  auto counts = [&app](const char* flag, std::vector<int64_t>& values, int least, const char* text) {
    app.add_option(flag, values, text)
        ->delimiter(',')
        ->check(CLI::Range(least, 1 << 30).description(""))
        ->allow_extra_args(false);
  };
  add_model_argument(app, *o);
  counts("-p", o->prompts, 0, "prompt lengths to read: N,M,...; default 512; 0: none");
  counts("-n", o->answers, 0, "tokens to write: N,M,...; default 128; 0: none");
  counts("-d", o->depths, 0, "tokens in the cache before: N,M,...; default 0");
  app.add_option("-r", o->repetitions, "repetitions after a warm-up; default 5")
      ->check(CLI::Range(1, 1000).description(""));
  add_engine_options(app, *o);
  add_output_options(app, *o);
  return [o] {
    if (o->prompts.empty() && o->answers.empty()) o->prompts = {512}, o->answers = {128};
    return bench(*o);
  };
}

}  // namespace longspan
