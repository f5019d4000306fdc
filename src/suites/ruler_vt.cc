// RULER's variable tracking: a number is assigned to a variable, that variable to another and so on; the
// names of one chain are asked for. A worked example comes first.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "base/text.h"
#include "suites/ruler.h"

namespace longspan {
namespace {

constexpr const char* kExampleValue = "12345";
constexpr int64_t kExampleLength = 500, kExampleStep = 5;

struct VtOptions {
  int64_t chains = 1, hops = 4;
};

struct Example {
  std::string text;                // question and answer
  std::vector<std::string> names;  // as they end it
};

std::string draw_name(size_t letters, PythonRandom& random) {
  std::string name;
  for (const size_t i : random.choices(26, letters)) name += static_cast<char>('A' + i);
  return name;
}

std::string draw_value(NumpyRandom& random) { return std::to_string(random.randint(10000, 99999)); }

struct Chains {
  std::vector<std::vector<std::string>> names, lines;
  std::string value;  // of the first
};

/// Empty when a name was drawn twice: the original then fails.
std::optional<Chains> draw_chains(const VtOptions& options, bool example, RulerRandom& random) {
  const auto length = static_cast<size_t>(options.hops + 1);
  const size_t all = static_cast<size_t>(options.chains) * length;
  std::vector<std::string> names;
  std::set<std::string> distinct;
  while (names.size() < all || distinct.size() < all) {
    names.push_back(draw_name(example ? 3 : 5, random.python));
    distinct.insert(names.back());
  }
  Chains chains;
  for (size_t begin = 0; begin < all; begin += length) {
    const std::string value = example ? kExampleValue : draw_value(random.numpy);
    if (begin == 0) chains.value = value;
    chains.names.emplace_back(names.begin() + static_cast<ptrdiff_t>(begin),
                              names.begin() + static_cast<ptrdiff_t>(begin + length));
    const std::vector<std::string>& chain = chains.names.back();
    std::vector<std::string> lines = {fmt::format("VAR {} = {}", chain[0], value)};
    for (size_t i = 1; i < length; ++i)
      lines.push_back(fmt::format("VAR {} = VAR {} ", chain[i], chain[i - 1]));
    chains.lines.push_back(std::move(lines));
  }
  if (names.size() == all) return chains;
  if (!example) draw_value(random.numpy);
  return std::nullopt;
}

std::optional<RulerSample> vt_trial(const VtOptions& options, bool example, const RulerRun& run,
                                    RulerRandom& random, int64_t units) {
  const std::optional<Chains> chains = draw_chains(options, example, random);
  if (!chains || units < options.hops + 1) return std::nullopt;
  std::vector<std::string> lines(static_cast<size_t>(units), kRulerNoise);
  for (const auto& chain : chains->lines) {
    std::vector<size_t> places = random.python.sample(lines.size(), chain.size());
    std::sort(places.begin(), places.end());
    for (size_t i = 0; i < chain.size(); ++i)
      lines.insert(lines.begin() + static_cast<ptrdiff_t>(places[i] + i), chain[i]);
  }
  const Json fields = {{"context", fmt::format("{}", fmt::join(lines, "\n"))},
                       {"query", chains->value},
                       {"num_v", std::to_string(options.hops + 1)}};
  return RulerSample{fill_slots(run.prompt, fields, run.name), fill_slots(run.prefix, fields, run.name),
                     chains->names[0]};
}

Example make_example(const VtOptions& options, RulerRun run, RulerRandom& random) {
  run.length = kExampleLength;
  run.new_tokens = 0;
  run.count = [count = run.count_text](RulerSample& sample) { return count(sample.user + sample.prefix); };
  const RulerTrial trial = [&](RulerRandom& stream, int64_t, int64_t units) {
    return vt_trial(options, true, run, stream, units);
  };
  const int64_t most = estimated_size(run, random, kExampleStep, trial);
  const int64_t size = search_size(run, random, kExampleStep, most, 0, trial);
  const RulerSample sample = shrunk_to_fit(run, kExampleStep, size, trial)(random, 0);
  return {fmt::format("{}{} {}\n", sample.user, sample.prefix, fmt::join(sample.answers, " ")),
          sample.answers};
}

/// The example with other names and another value.
std::string renamed(const Example& example, RulerRandom& random) {
  std::string text = example.text;
  for (const std::string& name : example.names)
    text = replaced(std::move(text), name, draw_name(name.size(), random.python));
  return replaced(std::move(text), kExampleValue, draw_value(random.numpy));
}

RulerMaker begin_vt(const VtOptions& options, const RulerRun& run, RulerRandom& random) {
  const Example example = make_example(options, run, random);
  const int64_t step = run.length < kRulerShort ? 5 : 10;
  const RulerTrial bare = [=](RulerRandom& stream, int64_t, int64_t units) {
    return vt_trial(options, false, run, stream, units);
  };
  const int64_t most = estimated_size(run, random, step, bare);
  const int64_t size = search_size(run, random, step, most, run.count_text(example.text), bare);
  return shrunk_to_fit(run, step, size, [=](RulerRandom& stream, int64_t index, int64_t units) {
    std::optional<RulerSample> sample = bare(stream, index, units);
    if (sample) sample->user = renamed(example, stream) + "\n" + sample->user;
    return sample;
  });
}

}  // namespace

RulerPlan plan_ruler_vt(const Task& task) {
  Settings row = make_settings(task);
  RulerPlan plan;
  read_ruler_keys(row, plan);
  VtOptions options;
  row.read("num_chains", options.chains, 1, 100);
  row.read("num_hops", options.hops, 1, 10);  // the original's example has no more
  row.done();
  plan.begin = [options](const RulerRun& run, RulerRandom& random) { return begin_vt(options, run, random); };
  return plan;
}

std::vector<Case> make_ruler_vt_cases(const Task& task, const MakeContext& context) {
  return ruler_cases(task, context, plan_ruler_vt(task));
}

}  // namespace longspan
