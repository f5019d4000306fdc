// Pass keys as published: a number hidden among five sentences that are repeated again and again; the prompt
// ends with the beginning of the answer (Mohtashami and Jaggi 2023, arXiv 2305.16300). The filler grows until
// the length in tokens is reached, as in YaRN, or has a number of characters, as in LongLoRA; it is cut at
// characters, even inside a word.
#include <algorithm>
#include <cmath>
#include <optional>

#include "base/error.h"
#include "base/random.h"
#include "score/python_random.h"
#include "suites/cases.h"
#include "suites/grid.h"
#include "suites/prompt.h"

namespace longspan {

namespace {

constexpr const char* kFiller =
    "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again.";
constexpr int64_t kMostKey = 50000;

struct PasskeyGrid {
  std::vector<int64_t> lengths;
  std::vector<double> depths;
  int64_t repeats = 1;
  std::string form = "tokens";
};

/// A key with `before` and `after` characters of filler around it.
struct KeyPlace {
  int64_t key = 0, before = 0, after = 0;
};

PasskeyGrid read_passkey_grid(const Task& task) {
  Settings row = make_settings(task);
  PasskeyGrid grid;
  grid.lengths = read_lengths(row);
  grid.depths = read_depths(row);
  row.read("repeats", grid.repeats, 1, 10000);
  row.read("form", grid.form, {"tokens", "characters"});
  row.done();
  if (grid.form == "tokens" && grid.depths.empty()) row.refuse("depths", "at least one is needed");
  return grid;
}

std::string filler(int64_t characters) {
  std::string text;
  while (std::ssize(text) < characters) text += (text.empty() ? "" : " ") + std::string(kFiller);
  text.resize(static_cast<size_t>(characters));
  return text;
}

CaseText key_text(const Task& task, const KeyPlace& place) {
  std::string key = std::to_string(place.key);
  CaseText text = fill_task(
      task, {{"before", filler(place.before)}, {"key", key}, {"after", filler(place.after)}}, task.name);
  text.references = {key};
  return text;
}

KeyPlace at_depth(int64_t key, int64_t characters, double depth) {
  int64_t before = std::llround(static_cast<double>(characters) * depth / 100);
  return {key, before, characters - before};
}

/// With as much filler as fits into the length together with the answer. `least`: tokens without filler.
CaseText grown_text(const Task& task, const PromptMaker& prompts, int64_t key, double depth, int64_t length,
                    int64_t least) {
  int64_t room = length - task.new_tokens, fits = 0, above = length * 64, size = 4 * room;
  std::optional<CaseText> fitted;
  for (int tries = 0; tries < 16 && fits + 1 < above; ++tries) {
    size = std::clamp(size, fits + 1, above - 1);
    CaseText text = key_text(task, at_depth(key, size, depth));
    int64_t tokens = prompt_tokens(prompts, task, text);
    (tokens <= room ? fits : above) = size;
    if (tokens <= room) fitted = std::move(text);
    if (tokens == room) break;
    // Scaled by the characters per token so far.
    double characters = static_cast<double>(size) / static_cast<double>(std::max<int64_t>(tokens - least, 1));
    size += static_cast<int64_t>(std::floor(characters * static_cast<double>(room - tokens)));
  }
  return fitted ? *std::move(fitted) : key_text(task, at_depth(key, fits, depth));
}

Case key_case(const Task& task, int64_t length, double depth, int64_t repeat, const std::string& name) {
  Case one;
  one.id = fmt::format("{}/{}/{}/{}", task.name, length, name, repeat);
  one.cell.fields = {{"length", length}, {"depth", depth}};
  return one;
}

using Placed = std::pair<std::pair<double, int64_t>, Case>;  // filler before the key, length

void grow_to_tokens(const Task& task, const MakeContext& context, const PasskeyGrid& grid,
                    std::vector<Placed>& cells, std::vector<Case>& too_short) {
  CaseText bare = key_text(task, {kMostKey, 0, 0});
  int64_t least = prompt_tokens(context.prompts, task, bare);
  for (int64_t length : grid.lengths) {
    if (length < least + task.new_tokens) {
      too_short.push_back(too_short_case(
          task, length,
          fmt::format(
              "task {}: {} tokens do not hold a key, its question and the answer, which take {}; ask for "
              "longer make.lengths",
              task.name, length, least + task.new_tokens)));
      continue;
    }
    for (double depth : grid.depths)
      for (int64_t k = 0; k < grid.repeats; ++k) {
        Case one = key_case(task, length, depth, k, fmt::format("{}", depth));
        Random random(case_seed(context.seed, one.id));
        auto key = static_cast<int64_t>(random.below(kMostKey)) + 1;
        one.length = length;
        one.text = [&task, &prompts = context.prompts, key, depth, length, least] {
          return grown_text(task, prompts, key, depth, length, least);
        };
        cells.push_back({{depth * static_cast<double>(length), length}, std::move(one)});
      }
  }
}

/// LongLoRA: 3.75 characters a token, rounded down to a multiple of 1,024; position and key from Python's
/// random numbers, seeded by the number of the repeat.
void reckon_characters(const Task& task, const PasskeyGrid& grid, std::vector<Placed>& cells) {
  for (int64_t length : grid.lengths)
    for (int64_t k = 0; k < grid.repeats; ++k) {
      auto characters = static_cast<int64_t>(3.75 * static_cast<double>(length)) / 1024 * 1024;
      PythonRandom random(static_cast<uint64_t>(k));
      int64_t before = random.randint(0, characters);
      KeyPlace place{random.randint(1, kMostKey), before, characters - before};
      double part = static_cast<double>(before) / static_cast<double>(std::max<int64_t>(characters, 1));
      Case one = key_case(task, length, 10 * std::round(10 * part), k, "random");
      one.text = [&task, place] { return key_text(task, place); };
      cells.push_back({{static_cast<double>(before), length}, std::move(one)});
    }
}

}  // namespace

std::vector<Case> make_passkey_cases(const Task& task, const MakeContext& context) {
  PasskeyGrid grid = read_passkey_grid(task);
  std::vector<Placed> cells;
  std::vector<Case> too_short;
  if (grid.form == "tokens")
    grow_to_tokens(task, context, grid, cells, too_short);
  else
    reckon_characters(task, grid, cells);
  // The filler is the same everywhere: all later cases share what precedes a key.
  std::vector<Case> cases = cases_in_order(std::move(cells), context.limit);
  cases.insert(cases.end(), too_short.begin(), too_short.end());
  return cases;
}

}  // namespace longspan
