// bench: speed of prefill (pp) and decoding (tg) at given depths, in the rows and units of llama-bench; with
// several sequences side by side, tokens of all of them count.
#include <algorithm>
#include <memory>

#include "base/error.h"
#include "base/random.h"
#include "base/text.h"
#include "base/threads.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/window.h"

namespace longspan::cli {

namespace {

struct BenchOptions : Options {
  std::vector<int64_t> prompts, answers, depths{0}, batches{1};
  int repetitions = 5;
};

std::vector<int32_t> random_ids(const Engine& engine, int64_t n, uint64_t seed) {
  Random random(seed);
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < n; ++i)
    ids.push_back(static_cast<int32_t>(random.below(static_cast<uint64_t>(engine.config().vocab_size))));
  return ids;
}

struct Test {
  bool writing = false;
  int64_t n = 0, depth = 0, batch = 1;

  std::string name() const {
    return fmt::format("{}{}{}{}", writing ? "tg" : "pp", n, depth > 0 ? fmt::format(" @ d{}", depth) : "",
                       batch > 1 ? fmt::format(" x {}", batch) : "");
  }
};

/// Sequences of one pool with `depth` tokens each, and n more to feed them.
struct Texts {
  std::vector<std::unique_ptr<Sequence>> sequences;
  std::vector<Sequence*> pointers;
  std::vector<std::vector<int32_t>> ids;

  Texts(const Engine& engine, const Test& test, uint64_t seed) {
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

struct Measured {
  std::vector<double> rates;  // tokens per second, one figure per repetition, ascending
  double filling = 0;         // tokens per second of reading what was in the cache before, once
};

/// All n at once, or one at a time.
Measured measure(const Engine& engine, const BenchOptions& o, const Test& test) {
  double begin = seconds_now();
  Texts texts(engine, test, o.seed);
  Measured measured{{}, static_cast<double>(test.depth * test.batch) / (seconds_now() - begin)};
  std::vector<double>& rates = measured.rates;
  int64_t step = test.writing ? 1 : std::max<int64_t>(1, chunk_of(o) / test.batch);
  // One round more than requested: the first warms caches and packs the weights.
  for (int r = 0; r <= o.repetitions && !interrupted(); ++r) {
    for (Sequence* sequence : texts.pointers) sequence->truncate(test.depth);
    double start = seconds_now();
    for (int64_t at = 0; at < test.n && !interrupted(); at += step)
      texts.feed(test.depth + at, test.depth + std::min(test.n, at + step));
    if (r > 0) rates.push_back(static_cast<double>(test.n * test.batch) / (seconds_now() - start));
  }
  std::sort(rates.begin(), rates.end());
  return measured;
}

double median(const std::vector<double>& ascending) {
  return (ascending[(ascending.size() - 1) / 2] + ascending[ascending.size() / 2]) / 2;
}

std::vector<Test> tests_of(const BenchOptions& o) {
  std::vector<Test> tests;
  for (int64_t depth : o.depths)
    for (bool writing : {false, true})
      for (int64_t n : writing ? o.answers : o.prompts)
        for (int64_t batch : o.batches)
          if (n > 0) tests.push_back({writing, n, depth, batch});
  return tests;
}

int bench(const BenchOptions& o) {
  Engine engine = open_engine(o, Lengths::Known);
  const std::vector<Test> tests = tests_of(o);
  int64_t longest = 0;
  for (const Test& test : tests) longest = std::max(longest, test.depth + test.n);
  stretch(engine, o, longest);
  for (const Test& test : tests)
    check_memory(engine, {.tokens = test.depth + test.n, .sequences = test.batch}, [&](int64_t) {
      return fmt::format("ask for less than {} with -p, -n, -d or -b", test.name());
    });
  const char* compute = name(engine.model().compute);
  if (!o.json)
    print_now(fmt::format("{} threads, {} kernels, {} products, {} cache\n{:<20}{:>12}{:>24}\n", threads(),
                          engine.model().kernels().name, compute, describe(engine.options().cache_types),
                          "test", "tokens/s", "least .. most"));
  arm_interrupt();
  Json rows = Json::array();
  for (const Test& test : tests) {
    auto [rates, filling] = measure(engine, o, test);
    if (interrupted()) return kExitInterrupted;
    rows.push_back({{"test", fmt::format("{}{}", test.writing ? "tg" : "pp", test.n)},
                    {"depth", test.depth},
                    {"batch", test.batch},
                    {"tokens_per_s", median(rates)},
                    {"least", rates.front()},
                    {"most", rates.back()},
                    {"repetitions", o.repetitions}});
    if (test.depth > 0) rows.back()["filling_tokens_per_s"] = filling;
    if (!o.json && test.depth > 0)
      print_now(fmt::format("{:<20}{:>12.2f}{:>24}\n", "  reading the cache", filling, "once"));
    if (!o.json)
      print_now(fmt::format("{:<20}{:>12.2f}{:>24}\n", test.name(), median(rates),
                            fmt::format("{:.2f} .. {:.2f}", rates.front(), rates.back())));
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
        ->transform(whole_number(least, int64_t{1} << 30))
        ->allow_extra_args(false);
  };
  add_model_argument(app, *o);
  counts("-p", o->prompts, 0, "prompt lengths to read: N,M,...; default 512; 0: none");
  counts("-n", o->answers, 0, "tokens to write: N,M,...; default 128; 0: none");
  counts("-d", o->depths, 0, "tokens in the cache before: N,M,...; default 0");
  counts("-b,--batch", o->batches, 1, "texts side by side: N,M,...; tokens of all count; default 1");
  app.add_option("-r", o->repetitions, "repetitions after a warm-up; default 5")
      ->check(CLI::Range(1, 1000).description(""));
  add_engine_options(app, *o);
  add_output_options(app, *o);
  return [o] {
    if (o->prompts.empty() && o->answers.empty()) o->prompts = {512}, o->answers = {128};
    return bench(*o);
  };
}

}  // namespace longspan::cli
