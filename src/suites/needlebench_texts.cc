#include <algorithm>
#include <numeric>
#include <set>

#include "base/error.h"
#include "base/text.h"
#include "score/python_random.h"
#include "suites/needlebench.h"
#include "suites/records.h"

namespace longspan {

namespace {

constexpr std::string_view kBlank = "________";
constexpr const char* kChinese = "Chinese";

std::string between_lines(const std::string& needle) { return "\n" + needle + "\n"; }

}  // namespace

BenchNeedle read_bench_needle(const Json& record, const std::string& where) {
  auto field = [&](const char* name) { return text_field(record, name, where); };
  BenchNeedle needle{field("needle"), "", "", field("arg1"), field("arg2"), field("language")};
  std::string asked = field("retrieval_question");
  size_t mark = asked.find(needle.language == kChinese ? "？" : "?"), open = asked.find('\''),
         blank = asked.find(kBlank);
  if (mark == asked.npos || open == asked.npos || blank == asked.npos || blank <= open)
    fail("{}: retrieval_question {} is not of the form QUESTION? ... 'FORMAT________.'", where,
         in_quotes(asked));
  needle.question = asked.substr(0, mark);
  needle.format = asked.substr(open + 1, blank - open - 1);
  return needle;
}

std::vector<std::vector<size_t>> bench_orders(size_t documents, int64_t repeats) {
  std::vector<std::vector<size_t>> orders;
  std::vector<size_t> order(documents);
  std::iota(order.begin(), order.end(), size_t{0});
  for (int64_t k = 0; k < repeats; ++k) {
    PythonRandom(static_cast<uint64_t>(k)).shuffle(order);
    orders.push_back(order);
  }
  return orders;
}

size_t bench_choice(size_t n, int64_t repeat) {
  return PythonRandom(static_cast<uint64_t>(repeat)).choice(n);
}

std::vector<BenchNeedle> distinct_needles(const std::vector<BenchNeedle>& all, const std::string& language,
                                          size_t count, uint64_t seed) {
  std::vector<BenchNeedle> lines = all, found;
  PythonRandom(seed).shuffle(lines);
  std::set<std::string> subjects, keywords;
  for (const BenchNeedle& line : lines) {
    if (found.size() == count) break;
    if (line.language != language || subjects.contains(line.subject) || keywords.contains(line.keyword))
      continue;
    subjects.insert(line.subject);
    keywords.insert(line.keyword);
    found.push_back(line);
  }
  return found;
}

std::vector<BenchNeedle> shuffled_needles(std::vector<BenchNeedle> needles, int64_t repeat) {
  PythonRandom(static_cast<uint64_t>(repeat)).shuffle(needles);
  return needles;
}

BenchPlaces at_depths(std::vector<int64_t> depths) {
  return [depths = std::move(depths)](size_t context, const std::vector<size_t>& sizes) {
    std::vector<size_t> places;
    size_t before = 0;
    for (size_t i = 0; i < sizes.size(); ++i) {
      // The quotient first, as the original: rounding decides some places.
      double part = static_cast<double>(depths.at(i)) / 100;
      auto place = static_cast<size_t>(static_cast<double>(context) * part);
      places.push_back(std::min(place + before, context + before));
      before += sizes[i];
    }
    return places;
  };
}

BenchPlaces from_depth(int64_t depth, int64_t step) {
  return [depth, step](size_t context, const std::vector<size_t>& sizes) {
    auto whole = static_cast<double>(context);
    std::vector<size_t> places;
    size_t before = 0;
    for (size_t i = 0; i < sizes.size(); ++i) {
      double place = i == 0 ? whole * (static_cast<double>(depth) / 100)
                            : static_cast<double>(places[i - 1] + sizes[i - 1]) +
                                  whole * (static_cast<double>(step) / 100);
      places.push_back(std::min(static_cast<size_t>(place), context + before));
      before += sizes[i];
    }
    before = 0;
    for (size_t i = 0; i < sizes.size(); ++i) {
      places[i] = std::min(places[i] + before, context + before);
      before += sizes[i];
    }
    return places;
  };
}

std::string bench_context(const LengthCoder& coder, std::span<const std::string> documents,
                          std::span<const size_t> order, const std::vector<std::string>& needles,
                          int64_t tokens, const BenchPlaces& places) {
  std::vector<std::vector<int32_t>> coded;
  std::vector<size_t> sizes;
  for (const std::string& needle : needles) {
    coded.push_back(coder.encode(between_lines(needle)));
    sizes.push_back(coded.back().size());
    tokens -= std::ssize(coded.back());
  }
  auto target = static_cast<size_t>(std::max<int64_t>(tokens, 0));
  std::vector<int32_t> ids;
  for (size_t d : order) {
    std::vector<int32_t> more = coder.encode(documents[d]);
    ids.insert(ids.end(), more.begin(), more.end());
    if (ids.size() >= target) break;
  }
  ids.resize(std::min(ids.size(), target));
  std::vector<size_t> at = places(ids.size(), sizes);
  for (size_t i = 0; i < coded.size(); ++i)
    ids.insert(ids.begin() + static_cast<std::ptrdiff_t>(at[i]), coded[i].begin(), coded[i].end());
  return coder.decode(ids);
}

Json joined_questions(std::span<const BenchNeedle> needles) {
  std::string questions, formats;
  for (const BenchNeedle& needle : needles) {
    const char* between = questions.empty() ? "" : "、";
    questions += between + needle.question + (needle.language == kChinese ? "？" : "?");
    formats += between + needle.format + std::string(kBlank);
  }
  return {{"question", questions}, {"format", formats}};
}

}  // namespace longspan
