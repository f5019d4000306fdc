#include "suites/ruler.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/resource.h"
#include "base/text.h"
#include "suites/prompt.h"

namespace longspan {
namespace {

// Trials of the smallest size, which the original would repeat forever. Texts of one size differ by a few
// tokens, so another trial may succeed.
constexpr int kTrials = 100;

[[noreturn]] void refuse(const RulerRun& run) {
  throw DoesNotFit(fmt::format(
      "{} at length {}: not even its smallest text fits with {} tokens for the answer; ask for a greater "
      "length",
      run.name, grouped(run.length), run.new_tokens));
}

CaseText text_of(const RulerSample& sample) {
  CaseText text;
  text.user = sample.user;
  text.prefix = sample.prefix;
  text.references = sample.answers;
  text.prompt = sample.prompt;
  return text;
}

RulerSample insist(const RulerRun& run, RulerRandom& random, const RulerTrial& trial, int64_t size) {
  for (int i = 0; i < kTrials; ++i)
    if (std::optional<RulerSample> sample = trial(random, 0, size)) return *std::move(sample);
  refuse(run);
}

}  // namespace

int64_t estimated_size(const RulerRun& run, RulerRandom& random, int64_t step, const RulerTrial& trial) {
  RulerSample sample = insist(run, random, trial, step);
  const auto tokens = static_cast<double>(run.count(sample));
  return static_cast<int64_t>(static_cast<double>(run.length) / (tokens / static_cast<double>(step)) * 3);
}

int64_t search_size(const RulerRun& run, RulerRandom& random, int64_t step, int64_t most, int64_t beside,
                    const RulerTrial& trial) {
  int64_t low = step, high = std::max(most, 2 * step), size = step;
  while (low <= high) {
    const int64_t middle = (low + high) / 2;
    RulerSample sample = insist(run, random, trial, middle);
    if (run.count(sample) + beside + run.new_tokens <= run.length) {
      size = middle;
      low = middle + 1;
    } else {
      high = middle - 1;
    }
  }
  return size;
}

RulerMaker shrunk_to_fit(const RulerRun& run, int64_t step, int64_t size, RulerTrial trial) {
  return [run, step, size, trial = std::move(trial)](RulerRandom& random, int64_t index) {
    int64_t used = size;
    for (int smallest = 0; smallest < kTrials;) {
      std::optional<RulerSample> sample = trial(random, index, used);
      if (sample && run.count(*sample) + run.new_tokens <= run.length) return *std::move(sample);
      if (used > step) {
        used -= step;
      } else {
        ++smallest;
      }
    }
    refuse(run);
  };
}

RulerSamples::RulerSamples(RulerRun run, RulerBegin begin)
    : run_(std::move(run)), begin_(std::move(begin)), begun_(run_.seed), random_(run_.seed) {}

RulerSample RulerSamples::at(int64_t index) {
  const std::lock_guard lock(mutex_);
  if (!make_) {
    begun_ = RulerRandom(run_.seed);
    make_ = begin_(run_, begun_);
    random_ = begun_;
  }
  if (index < made_ - 1) {
    random_ = begun_;
    made_ = 0;
  }
  for (; made_ <= index; ++made_) {
    RulerRandom random = random_;  // what fails once fails again
    last_ = make_(random, made_);
    random_ = random;
  }
  return last_;
}

void read_ruler_keys(Settings& row, RulerPlan& plan) {
  row.read("lengths", plan.lengths, 256);
  row.read("samples", plan.samples, 1, 1'000'000);
  row.any("haystack");  // --haystack is given to every row; only needles in essays use it
}

std::vector<Case> ruler_cases(const Task& task, const MakeContext& context, const RulerPlan& plan) {
  RulerRun run{
      .name = task.name, .prompt = task.prompt, .prefix = task.prefix, .new_tokens = task.new_tokens};
  if (context.seed != 0) run.seed = context.seed;
  const PromptMaker& prompts = context.prompts;
  run.count_text = [&prompts](std::string_view text) {
    return std::ssize(prompts.tokenizer.encode(text, {.add_special = false, .parse_special = false}));
  };
  run.count = [&prompts, &task](RulerSample& sample) {
    CaseText text = text_of(sample);
    int64_t tokens = prompt_tokens(prompts, task, text);
    sample.prompt = text.prompt;
    return tokens;
  };

  const int64_t samples = context.limit > 0 ? std::min(context.limit, plan.samples) : plan.samples;
  std::vector<Case> cases;
  for (const int64_t length : plan.lengths) {
    run.length = length;
    const auto list = std::make_shared<RulerSamples>(run, plan.begin);
    for (int64_t i = 0; i < samples; ++i) {
      Case& one = cases.emplace_back();
      one.id = fmt::format("{}/{}/{}", task.name, length, i);
      one.cell = plan.cell;
      one.cell.fields.insert(one.cell.fields.begin(), {"length", length});
      one.length = length;
      one.text = [list, i] { return text_of(list->at(i)); };
    }
  }
  return cases;
}

std::vector<std::string> sorted_set(std::vector<std::string> words) {
  std::sort(words.begin(), words.end());
  words.erase(std::unique(words.begin(), words.end()), words.end());
  return words;
}

std::vector<std::string> ruler_words(const std::string& name) {
  const std::string_view text = resource("words/" + name + ".txt");
  std::vector<std::string> words;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    std::string_view line = text.substr(at, end - at);
    line = line.substr(0, line.find_last_not_of(" \t\r") + 1);
    if (!line.empty()) words.emplace_back(line);
    at = end + 1;
  }
  return words;
}

}  // namespace longspan
