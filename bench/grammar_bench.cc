// What a grammar costs a token: grammar_bench MODEL.gguf SCHEMA.json [TEXTS]
// writes random allowed tokens under the schema and prints the microseconds of a mask that is made, of one
// that is kept, of applying it to logits, and of taking a token.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "base/error.h"
#include "base/random.h"
#include "checkpoint/checkpoint.h"
#include "grammar/json_schema.h"
#include "grammar/matcher.h"

namespace {

using namespace longspan;
using Clock = std::chrono::steady_clock;

double since(Clock::time_point start) {
  return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

void print(const char* what, std::vector<double> us) {
  if (us.empty()) return;
  std::sort(us.begin(), us.end());
  double sum = 0;
  for (double x : us) sum += x;
  std::printf("%-28s %8zu times, mean %8.1f us, median %8.1f us, p99 %8.1f us, most %8.1f us\n", what,
              us.size(), sum / static_cast<double>(us.size()), us[us.size() / 2], us[us.size() * 99 / 100],
              us.back());
}

void measure(const char* model, const char* schema, int texts) {
  auto tokenizer = tokenizer_from_gguf(open_metadata(model).metadata, model);
  auto start = Clock::now();
  auto trie = std::make_shared<const TokenTrie>(token_trie(tokenizer));
  print("trie of the vocabulary", {since(start)});
  start = Clock::now();
  auto grammar =
      std::make_shared<const Grammar>(compile_grammar(schema_grammar(parse_json_file(schema), schema)));
  print("schema to network", {since(start)});
  std::vector<double> made, kept, applied, taken;
  std::vector<float> logits(static_cast<size_t>(trie->vocabulary));
  Random random(1);
  for (int n = 0; n < texts; ++n) {
    GrammarMatcher matcher(grammar, trie);
    for (int i = 0; i < 300 && !matcher.finished(); ++i) {
      start = Clock::now();
      std::span<const uint64_t> words = matcher.allowed();
      made.push_back(since(start));
      start = Clock::now();
      matcher.allowed();
      kept.push_back(since(start));
      for (float& x : logits) x = static_cast<float>(random.uniform());
      start = Clock::now();
      matcher.mask(logits);
      applied.push_back(since(start));
      auto id = static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
      if (trie->bytes_of(id).empty()) break;
      start = Clock::now();
      matcher.accept(id);
      taken.push_back(since(start));
      static_cast<void>(words);
    }
  }
  print("mask, the first time or kept", made);
  print("mask, kept", kept);
  print("mask applied to logits", applied);
  print("token taken", taken);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return std::fprintf(stderr, "usage: grammar_bench MODEL.gguf SCHEMA.json [TEXTS]\n"), 2;
  try {
    measure(argv[1], argv[2], argc > 3 ? std::atoi(argv[3]) : 20);
  } catch (const longspan::Error& e) {
    return std::fprintf(stderr, "%s\n", e.what()), 1;
  }
  return 0;
}
