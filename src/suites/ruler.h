// RULER (Hsieh et al. 2024, arXiv 2404.06654): 13 synthetic tasks, made to length as NVIDIA/RULER makes them
// at commit c3f5e3b. There, one program makes the samples of one task at one length from one random stream,
// and every trial of its search for the size draws from that stream: equal samples need the same draws in the
// same order.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "score/python_random.h"
#include "suites/cases.h"

namespace longspan {

inline constexpr uint64_t kRulerSeed = 42;
inline constexpr int64_t kRulerShort = 4096;  // below it the original takes smaller steps and examples
inline constexpr const char* kRulerNoise =
    "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again.";

/// The random state that the original keeps between samples.
struct RulerRandom {
  explicit RulerRandom(uint64_t seed) : python(seed), numpy(static_cast<uint32_t>(seed)) {}
  PythonRandom python;
  NumpyRandom numpy;
};

struct RulerSample {
  std::string user, prefix;  // the question, and the beginning of its answer
  std::vector<std::string> answers;
  std::shared_ptr<const Prompt> prompt = {};  // once it has been counted
};

/// What is asked, at which length, and how it is counted.
struct RulerRun {
  std::string name;            // of the task, for errors
  std::string prompt, prefix;  // with slots
  int64_t length = 0;          // tokens that prompt and answer may fill
  int64_t new_tokens = 0;      // that the answer may have
  uint64_t seed = kRulerSeed;  // of the stream, and of each shuffle that begins one of its own
  std::function<int64_t(std::string_view text)> count_text = {};  // tokens of bare text
  std::function<int64_t(RulerSample& sample)> count = {};  // tokens of a whole prompt, template included
};

/// The sample of an index, made from the current state of the stream.
using RulerMaker = std::function<RulerSample(RulerRandom&, int64_t index)>;
/// Starts a run of the original: searches for the size, and returns the maker that continues with the stream.
using RulerBegin = std::function<RulerMaker(const RulerRun&, RulerRandom&)>;
/// A text with `size` units of its haystack; empty where the original raises an exception.
using RulerTrial = std::function<std::optional<RulerSample>(RulerRandom&, int64_t index, int64_t size)>;

/// The parsed [task.make] of a row.
struct RulerPlan {
  std::vector<int64_t> lengths = {4096, 8192, 16384, 32768, 65536, 131072};
  int64_t samples = 500;  // of each length
  Cell cell;              // beside the length
  RulerBegin begin;
};
RulerPlan plan_ruler_niah(const Task& task, const TextReading& how = {});  // ruler_niah.cc
RulerPlan plan_ruler_vt(const Task& task);                                 // ruler_vt.cc
RulerPlan plan_ruler_cwe(const Task& task);                                // ruler_words.cc
RulerPlan plan_ruler_fwe(const Task& task);                                // ruler_words.cc
/// `data`: file or folder. MissingData.
RulerPlan plan_ruler_qa(const Task& task, const std::filesystem::path& data);  // ruler_qa.cc

/// Cases "TASK/LENGTH/INDEX", lengths in their order.
std::vector<Case> ruler_cases(const Task& task, const MakeContext& context, const RulerPlan& plan);

/// The samples of one task at one length, made in order from one stream: asking for a later one makes those
/// before it, asking for an earlier one starts again. Only the last is kept.
class RulerSamples {
 public:
  RulerSamples(RulerRun run, RulerBegin begin);
  RulerSample at(int64_t index);

 private:
  std::mutex mutex_;
  RulerRun run_;
  RulerBegin begin_;
  RulerMaker make_;
  RulerRandom begun_, random_;  // state after the search and after the last sample
  int64_t made_ = 0;
  RulerSample last_;  // of index made_ - 1
};

// Parts of the generators.

/// The keys that all have: lengths, samples.
void read_ruler_keys(Settings& row, RulerPlan& plan);

/// Where the search begins: three times the units that a prompt of `step` units suggests. One trial.
int64_t estimated_size(const RulerRun& run, RulerRandom& random, int64_t step, const RulerTrial& trial);

/// Binary search for the most units that fit, between `step` and max(most, 2 step), by trials of index 0,
/// each of which takes `beside` extra tokens.
int64_t search_size(const RulerRun& run, RulerRandom& random, int64_t step, int64_t most, int64_t beside,
                    const RulerTrial& trial);

/// Samples of `size` units, each reduced by `step` units until it fits. Error naming the length where the
/// original would try forever.
RulerMaker shrunk_to_fit(const RulerRun& run, int64_t step, int64_t size, RulerTrial trial);

/// sorted(set(words)).
std::vector<std::string> sorted_set(std::vector<std::string> words);

/// Words of the built-in "words/NAME.txt".
std::vector<std::string> ruler_words(const std::string& name);

}  // namespace longspan
