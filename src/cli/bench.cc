// bench: speed of prefill (pp) and decoding (tg) at given depths, in the rows and units of llama-bench; with
// several sequences side by side, tokens of all of them count. What the machine could do at most is measured
// in the same run.
#include <algorithm>
#include <memory>

#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"
#include "base/threads.h"
#include "cli/bench_tests.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/llama_bench.h"
#include "cli/model_sources.h"
#include "cli/output.h"
#include "cli/process.h"
#include "cli/window.h"
#include "model/flops.h"

namespace longspan::cli {

namespace {

struct BenchOptions : Options {
  std::vector<int64_t> prompts, answers, depths{0}, batches{1}, growth;
  int repetitions = 5;
  std::string against;
};

std::vector<BenchTest> tests_of(const BenchOptions& o) {
  std::vector<BenchTest> tests;
  for (int64_t depth : o.depths)
    for (bool writing : {false, true})
      for (int64_t n : writing ? o.answers : o.prompts)
        for (int64_t batch : o.batches)
          if (n > 0) tests.push_back({writing, n, depth, batch});
  return tests;
}

/// What the machine does at most.
struct Machine {
  double f32 = 0, bf16 = 0, int8 = 0,  // FLOPs a second; 0 where products have no such type or do not use it
      bytes = 0;                       // a second
  double products(Compute compute) const {
    double typed = compute == Compute::BF16 ? bf16 : compute == Compute::Int8 ? int8 : f32;
    return typed > 0 ? typed : f32;
  }
};

Machine measure_machine(const Model& model) {
  Device& device = *model.device;
  // Larger than most caches; and a machine that is full of the model measures on less.
  constexpr int64_t kMost = int64_t{256} << 20;
  int64_t free = device.free_memory().value_or(kMost * 16);
  Machine machine{.f32 = measured_peak(device, Compute::F32),
                  .bytes = measured_bandwidth(device, std::clamp<int64_t>(free / 16, 1 << 20, kMost))};
  if (device.kernels().preferred == Compute::BF16) machine.bf16 = measured_peak(device, Compute::BF16);
  if (model.compute == Compute::Int8) machine.int8 = measured_peak(device, Compute::Int8);
  return machine;
}

/// A rate as a share of what the machine does at most: of its products in reading, of its memory in writing.
double share_of_peak(const Engine& engine, const Machine& machine, const BenchTest& test, double rate) {
  const ModelConfig& c = engine.config();
  auto n = static_cast<double>(test.n);
  if (!test.writing)
    return rate * reading_flops(c, test.depth, test.n) / n / machine.products(engine.model().compute);
  double cache = read_cache_bytes(c, engine.options().cache_types, test.depth, test.n) / n,
         weights = token_weight_bytes(engine.model()) / static_cast<double>(test.batch);
  return rate * (cache + weights) / machine.bytes;
}

/// Error when there is no such program, or llama-bench cannot read the model.
std::filesystem::path peer_model(const BenchOptions& o) {
  if (!program_exists(o.against)) fail("--against {}: the program was not found", o.against);
  std::filesystem::path path = resolve_plain_model(o.model);
  if (path.extension() != ".gguf")
    fail("--against: llama-bench reads GGUF files, and {} is none; `longspan convert` writes one",
         path.string());
  return path;
}

std::function<double()> peer_of(const BenchOptions& o, const Engine& engine, const BenchTest& test) {
  if (o.against.empty() || test.batch > 1) return {};
  PeerTest peer{.model = peer_model(o),
                .threads = threads(),
                .on_host = engine.model().device->is_host(),
                .cache_types = engine.options().cache_types,
                .read = test.writing ? 0 : test.n,
                .write = test.writing ? test.n : 0,
                .depth = test.depth};
  return [=, program = o.against] { return run_llama_bench(program, peer); };
}

/// Of the runs that took turns.
double ratio(const BenchRates& rates) {
  std::vector<double> ratios;
  for (size_t i = 0; i < rates.peer.size(); ++i) ratios.push_back(rates.ours[i] / rates.peer[i]);
  return median(ratios);
}

std::string least_and_most(const std::vector<double>& rates) {
  auto [least, most] = std::minmax_element(rates.begin(), rates.end());
  return fmt::format("{:.2f} .. {:.2f}", *least, *most);
}

/// The lines before the rows.
void print_head(const BenchOptions& o, const Engine& engine, const Machine& machine) {
  print_now(fmt::format("{} threads, {} kernels, {} products, {} cache\n", threads(),
                        engine.model().kernels().name, name(engine.model().compute),
                        describe(engine.options().cache_types)));
  std::string others = machine.bf16 > 0 ? fmt::format(", {:.0f} bf16", machine.bf16 * 1e-9) : "";
  if (machine.int8 > 0) others += fmt::format(", {:.0f} int8", machine.int8 * 1e-9);
  print_now(fmt::format("measured at most: {:.0f} GFLOP/s f32{}; memory {:.1f} GB/s\n", machine.f32 * 1e-9,
                        others, machine.bytes * 1e-9));
  print_now(fmt::format(
      "{:<20}{:>12}{:>24}{:>18}{}\n", "test", "tokens/s", "least .. most", "of the peak",
      o.against.empty() ? "" : fmt::format("{:>14}{:>24}{:>8}", "llama.cpp", "least .. most", "ratio")));
}

void print_row(const BenchTest& test, const BenchRates& rates, double share) {
  if (test.depth > 0)
    print_now(fmt::format("{:<20}{:>12.2f}{:>24}\n", "  reading the cache", rates.filling, "once"));
  std::string line =
      fmt::format("{:<20}{:>12.2f}{:>24}{:>18}", test.name(), median(rates.ours), least_and_most(rates.ours),
                  fmt::format("{:.0f} % {}", 100 * share, test.writing ? "memory" : "products"));
  if (!rates.peer.empty())
    line +=
        fmt::format("{:>14.2f}{:>24}{:>8.2f}", median(rates.peer), least_and_most(rates.peer), ratio(rates));
  if (rates.joules_a_token) line += fmt::format("  {:.3g} J a token", *rates.joules_a_token);
  print_now(line + "\n");
}

Json row_json(const BenchTest& test, const BenchRates& rates, double share) {
  auto [least, most] = std::minmax_element(rates.ours.begin(), rates.ours.end());
  Json row = {{"test", test.kind()},
              {"depth", test.depth},
              {"batch", test.batch},
              {"tokens_per_s", median(rates.ours)},
              {"least", *least},
              {"most", *most},
              {"runs", rates.ours},
              {"repetitions", rates.ours.size()},
              {test.writing ? "share_of_memory" : "share_of_products", share}};
  if (test.depth > 0) row["filling_tokens_per_s"] = rates.filling;
  if (rates.joules_a_token) row["joules_per_token"] = *rates.joules_a_token;
  if (!rates.peer.empty())
    row.update(
        {{"peer_tokens_per_s", median(rates.peer)}, {"peer_runs", rates.peer}, {"ratio", ratio(rates)}});
  return row;
}

/// Adds "machine" and "rows".
void add_rows(Json& json, const Engine& engine, const std::vector<BenchTest>& tests,
              const std::vector<BenchRates>& rates) {
  Machine machine = measure_machine(engine.model());
  json["machine"] = {{"f32_flops_per_s", machine.f32}, {"bytes_per_s", machine.bytes}};
  if (machine.bf16 > 0) json["machine"]["bf16_flops_per_s"] = machine.bf16;
  if (machine.int8 > 0) json["machine"]["int8_flops_per_s"] = machine.int8;
  for (size_t i = 0; i < tests.size(); ++i)
    json["rows"].push_back(
        row_json(tests[i], rates[i], share_of_peak(engine, machine, tests[i], median(rates[i].ours))));
}

/// Adds "growth" to the JSON or prints it; false after Ctrl-C.
bool grow(const BenchOptions& o, const Engine& engine, Json& json) {
  Growth growth = run_growth(engine, o.growth, o.repetitions, o.seed);
  if (growth.points.size() < o.growth.size()) return false;
  const ReadingCost& cost = growth.cost;
  Json rows = Json::array();
  if (!o.json)
    print_now(fmt::format("{:<20}{:>12}{:>14}{:>14}{:>20}\n", "reading", "seconds", "tokens/s", "fit",
                          "quadratic part"));
  for (const Growth::Point& p : growth.points) {
    double fit = cost.seconds(0, p.tokens), quadratic = fit - cost.base * static_cast<double>(p.tokens);
    rows.push_back(
        {{"tokens", p.tokens}, {"seconds", p.seconds}, {"fit_s", fit}, {"quadratic_s", quadratic}});
    if (!o.json)
      print_now(fmt::format(
          "{:<20}{:>12.3f}{:>14.2f}{:>14.3f}{:>20}\n", fmt::format("{} tokens", grouped(p.tokens)), p.seconds,
          static_cast<double>(p.tokens) / p.seconds, fit, fmt::format("{:.0f} %", 100 * quadratic / fit)));
  }
  json["growth"] = {{"rows", rows}, {"linear_s", cost.base}, {"quadratic_s", cost.slope / 2}};
  if (!o.json)
    print_now(
        fmt::format("n tokens take {:.4g} ms n + {:.4g} ns n^2{}\n", 1e3 * cost.base, 1e9 * cost.slope / 2,
                    cost.slope > 0 ? fmt::format("; both parts are equal at {} tokens",
                                                 grouped(static_cast<int64_t>(2 * cost.base / cost.slope)))
                                   : ""));
  return true;
}

void check_bench_memory(const BenchOptions& o, const Engine& engine, const std::vector<BenchTest>& tests) {
  for (const BenchTest& test : tests)
    check_memory(engine, {.tokens = test.depth + test.n, .sequences = test.batch}, [&](int64_t) {
      return fmt::format("ask for less than {} with -p, -n, -d or -b", test.name());
    });
  if (!o.growth.empty())
    check_memory(engine, {.tokens = o.growth.back()}, [&](int64_t longest) {
      return fmt::format("ask for at most {} with --growth", grouped(longest));
    });
}

int bench(const BenchOptions& o) {
  if (!o.against.empty()) peer_model(o);
  Engine engine = open_engine(o, Lengths::Known);
  const std::vector<BenchTest> tests = tests_of(o);
  int64_t longest = o.growth.empty() ? 0 : o.growth.back();
  for (const BenchTest& test : tests) longest = std::max(longest, test.depth + test.n);
  stretch(engine, o, longest);
  check_bench_memory(o, engine, tests);
  arm_interrupt();
  Json json = {{"threads", threads()},
               {"kernels", engine.model().kernels().name},
               {"compute", name(engine.model().compute)},
               {"rows", Json::array()}};
  Machine machine;
  if (!o.json && !tests.empty()) {
    machine = measure_machine(engine.model());
    print_head(o, engine, machine);
  }
  std::vector<BenchRates> all;
  for (const BenchTest& test : tests) {
    all.push_back(run_test(engine, test, chunk_of(o), o.repetitions, o.seed, peer_of(o, engine, test)));
    if (interrupted()) return kExitInterrupted;
    if (!o.json) print_row(test, all.back(), share_of_peak(engine, machine, test, median(all.back().ours)));
  }
  if (!o.growth.empty() && !grow(o, engine, json)) return kExitInterrupted;
  if (!o.json) return kExitDone;
  json["peak_bytes"] = peak_bytes();  // before the memory in which the machine is measured
  if (!tests.empty()) add_rows(json, engine, tests, all);
  print_json(json);
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
  counts("--growth", o->growth, 1, "how reading grows: fits a n + b n^2 to the times of N,M,... tokens");
  app.add_option("-r", o->repetitions, "repetitions after a warm-up; default 5")
      ->check(CLI::Range(1, 1000).description(""));
  app.add_option("--against", o->against, "path of llama-bench, which runs the same tests in turn");
  add_engine_options(app, *o);
  add_output_options(app, *o);
  return [o] {
    std::sort(o->growth.begin(), o->growth.end());
    o->growth.erase(std::unique(o->growth.begin(), o->growth.end()), o->growth.end());
    if (o->growth.size() == 1)
      fail("--growth: a fit needs two lengths at least, as in --growth 1024,2048,4096");
    if (o->prompts.empty() && o->answers.empty() && o->growth.empty()) o->prompts = {512}, o->answers = {128};
    return bench(*o);
  };
}

}  // namespace longspan::cli
