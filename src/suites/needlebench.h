// How NeedleBench (OpenCompass) builds its texts, reproduced exactly: which documents in which order, where
// the needles go and what is asked, given a way to count tokens.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace longspan {

/// Counts and cuts texts; in the original this is GPT-4's tokenizer.
struct LengthCoder {
  std::function<std::vector<int32_t>(std::string_view)> encode;
  std::function<std::string(std::span<const int32_t>)> decode;
};

/// A line of needles.jsonl, its question "QUESTION? ... 'FORMAT________.' ..." taken apart.
struct BenchNeedle {
  std::string text, question, format, subject, keyword, language;
};
/// Error opens with `where`.
BenchNeedle read_bench_needle(const Json& record, const std::string& where);

/// The orders of the documents in repeats 0..n-1: each shuffles the previous one, seeded by its number.
std::vector<std::vector<size_t>> bench_orders(size_t documents, int64_t repeats);

/// What repeat k draws of n: random.seed(k), random.choice.
size_t bench_choice(size_t n, int64_t repeat);

/// The first `count` needles of a language, subjects and keywords all different, of the file as shuffled by
/// `seed`. The original shuffles before any seed is set.
std::vector<BenchNeedle> distinct_needles(const std::vector<BenchNeedle>& all, const std::string& language,
                                          size_t count, uint64_t seed);
/// The needles in the order of a repeat.
std::vector<BenchNeedle> shuffled_needles(std::vector<BenchNeedle> needles, int64_t repeat);

/// Token index at which each needle is put in, one after the other, into `context` tokens; sizes: of the
/// needles.
using BenchPlaces = std::function<std::vector<size_t>(size_t context, const std::vector<size_t>& sizes)>;
/// A depth, in per cent, for each needle.
BenchPlaces at_depths(std::vector<int64_t> depths);
/// The first at `depth`, the others `step` per cent apart. The original counts the needles before a place
/// twice.
BenchPlaces from_depth(int64_t depth, int64_t step);

/// Documents in their order, cut so that with the needles (a line feed around each) they have `tokens`
/// tokens; fewer when the documents are too short.
std::string bench_context(const LengthCoder& coder, std::span<const std::string> documents,
                          std::span<const size_t> order, const std::vector<std::string>& needles,
                          int64_t tokens, const BenchPlaces& places);

/// {question} and {format} of all needles: "A?、B?" and "F________、G________".
Json joined_questions(std::span<const BenchNeedle> needles);

}  // namespace longspan
