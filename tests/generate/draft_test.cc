// Drafts: the index against a plain search, what is proposed, and texts that are the same with and without.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>

#include "base/error.h"
#include "base/random.h"
#include "checkpoint/build_files.h"
#include "generate/ngram_draft.h"
#include "generate/sequence.h"
#include "model/family.h"
#include "model/golden.h"

namespace longspan {
namespace {

TEST(NgramIndex, FindsTheLastOccurrence) {
  Random random(1);
  for (int64_t n : {1, 2, 3, 4}) {
    NgramIndex index(n);
    std::vector<int32_t> text;
    for (int64_t size = 1; size <= 6000; ++size) {
      text.push_back(static_cast<int32_t>(random.below(size < 3000 ? 6 : 60)));
      if (size > n) index.add(text, size - 1);
      if (size % 7 != 0) continue;
      int64_t want = -1;
      for (int64_t end = size - 1; end >= n && want < 0; --end)
        if (std::equal(text.end() - n, text.end(), text.begin() + end - n)) want = end;
      ASSERT_EQ(index.find(text), want) << n << " of " << size;
    }
  }
}

std::vector<int32_t> proposed(NgramDraft& draft, int64_t most = NgramDraft::kMost) {
  std::span<const int32_t> ids = draft.propose(most);
  return {ids.begin(), ids.end()};
}

void add(NgramDraft& draft, std::initializer_list<int32_t> ids) {
  for (int32_t id : ids) draft.add(id);
}

TEST(NgramDraft, ProposesWhatFollowedTheLongestMatch) {
  NgramDraft draft(0);  // rows that cost nothing: as many as there are
  add(draft, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10});
  EXPECT_EQ(proposed(draft), std::vector<int32_t>{});
  add(draft, {20, 4, 30, 2, 3, 4});
  EXPECT_EQ(proposed(draft), (std::vector<int32_t>{5, 6, 7, 8, 9, 10}));  // not 30, which followed the last 4
  EXPECT_EQ(proposed(draft, 2), (std::vector<int32_t>{5, 6}));
  EXPECT_EQ(proposed(draft, 0), std::vector<int32_t>{});
  add(draft, {40, 3, 4});
  EXPECT_EQ(proposed(draft, 2), (std::vector<int32_t>{40, 3}));  // of two matches the later one
}

TEST(NgramDraft, ARepetitionGoesOn) {
  NgramDraft draft(0);
  add(draft, {7, 1, 2, 1, 2});
  EXPECT_EQ(proposed(draft), (std::vector<int32_t>{1, 2, 1, 2, 1, 2}));
}

TEST(NgramDraft, LengthFollowsWhatTurnedOutRight) {
  constexpr double kCost = 0.25;
  Random random(2);
  NgramDraft wrong(kCost);
  // Every pair occurs again, and always followed by something else.
  for (int i = 0; i < 400; ++i) {
    add(wrong, {1, 2, static_cast<int32_t>(10 + i)});
    if (i > 100) {
      add(wrong, {1, 2});
      EXPECT_TRUE(proposed(wrong).empty()) << i;
    }
    proposed(wrong);
  }
  NgramDraft right(kCost);
  std::vector<int32_t> passage;
  for (int i = 0; i < 200; ++i) passage.push_back(static_cast<int32_t>(random.below(1000)));
  for (int round = 0; round < 3; ++round)
    for (int32_t id : passage) {
      proposed(right);
      right.add(id);
    }
  EXPECT_EQ(std::ssize(proposed(right)), NgramDraft::kMost);
}

/// A tiny model of 64 tokens with random weights.
class Drafted : public testing::Test {
 protected:
  void SetUp() override {
    make_family(directory_.path, "gqa", true);
    Json config = parse_json_file(directory_.path / "config.json");
    config.erase("eos_token_id");  // answers go on to their limit
    write_file_atomic(directory_.path / "config.json", dump_json(config));
    make_repetitive();
  }
  /// Random weights write random text. With what layers add made small, the next token follows from the last
  /// one above all, so that greedy text comes round again.
  void make_repetitive() {
    std::string file = read_file(directory_.path / "model.safetensors");
    uint64_t length = 0;
    std::memcpy(&length, file.data(), sizeof length);
    Json header = parse_json(file.substr(8, length), "model.safetensors");
    for (const auto& [name, tensor] : header.items()) {
      if (!name.ends_with("o_proj.weight") && !name.ends_with("down_proj.weight")) continue;
      ASSERT_EQ(tensor["dtype"], "F32");
      for (uint64_t at = tensor["data_offsets"][0]; at < tensor["data_offsets"][1]; at += sizeof(float)) {
        float value = 0;
        std::memcpy(&value, file.data() + 8 + length + at, sizeof value);
        value *= 0.2f;
        std::memcpy(file.data() + 8 + length + at, &value, sizeof value);
      }
    }
    write_file_atomic(directory_.path / "model.safetensors", file);
  }
  Engine engine(Drafts drafts, EngineOptions options = {.compute = Compute::F32}) {
    options.drafts = drafts;
    return {directory_.path, options};
  }
  /// Words that come back, so that there is something to propose.
  static std::vector<int32_t> prompt() {
    std::vector<int32_t> ids;
    for (int round = 0; round < 4; ++round)
      for (int32_t i = 0; i < 13; ++i) ids.push_back((3 + 5 * i) % 32);
    return ids;
  }
  struct Run {
    Generation generation;
    std::vector<int32_t> held;  // by the sequence afterwards
    std::vector<float> after;   // logits after one more token
  };
  Run run(const Engine& e, const SamplingOptions& sampling, int64_t n = 60) {
    Sequence sequence(e, std::ssize(prompt()) + n + 1);
    sequence.feed(prompt());
    Run r{generate(sequence, e, n, sampling), sequence.ids(), {}};
    EXPECT_EQ(sequence.cache().length(), std::ssize(r.held));
    int32_t next = 5;
    sequence.feed({&next, 1});
    r.after.assign(sequence.logits().begin(), sequence.logits().end());
    return r;
  }
  /// The same text, stop and state; returns what was drafted and accepted.
  std::pair<int64_t, int64_t> compare(const EngineOptions& options, const SamplingOptions& sampling,
                                      int64_t n = 60) {
    Engine off = engine(Drafts::Off, options), on = engine(Drafts::Ngram, options);
    Run without = run(off, sampling, n), with = run(on, sampling, n);
    EXPECT_EQ(with.generation.ids, without.generation.ids);
    EXPECT_EQ(with.generation.text, without.generation.text);
    EXPECT_EQ(with.generation.reason, without.generation.reason);
    EXPECT_EQ(with.held, without.held);
    for (size_t i = 0; i < without.after.size(); ++i) EXPECT_NEAR(with.after[i], without.after[i], 1e-5) << i;
    EXPECT_EQ(without.generation.drafted, 0);
    EXPECT_LE(with.generation.accepted, with.generation.drafted);
    return {with.generation.drafted, with.generation.accepted};
  }

  TemporaryDirectory directory_;
};

TEST_F(Drafted, GreedyTextIsTheSameUnderEveryMethod) {
  int64_t all = 0;
  for (const char* position :
       {"", "linear:factor=2", "yarn:factor=2,original=16", "dynamic_ntk:factor=2,original=16", "xpos",
        "rerope:window=8", "leaky_rerope:window=8,factor=4", "nlpe:window=8", "self_extend:group=4,window=8",
        "dual_chunk:size=24,local=8", "string:shift=16,local=8"})
    for (Compute compute : {Compute::F32, Compute::BF16}) {
      SCOPED_TRACE(position);
      auto [drafted, accepted] = compare({.position = position, .compute = compute}, {}, 200);
      EXPECT_GT(drafted, 0);
      all += accepted;
    }
  EXPECT_GT(all, 500);  // of 4,400 tokens
}

TEST_F(Drafted, EveryLimitAndChunkGivesTheSame) {
  for (int64_t n = 1; n < 24; ++n)
    for (int64_t chunk : {1, 2, 5, 512}) compare({.compute = Compute::F32, .chunk = chunk}, {}, n);
}

// Each token is drawn from its own logits with its own random number: the same seed, the same text.
TEST_F(Drafted, SampledTextIsTheSameForASeed) {
  int64_t accepted = 0;
  for (uint64_t seed = 0; seed < 12; ++seed) {
    SamplingOptions sampling{.temperature = 0.5f, .seed = seed};
    sampling.top_k = seed % 2 ? 3 : 0;
    sampling.top_p = seed % 3 ? 0.9f : 1.0f;
    accepted += compare({.compute = Compute::F32}, sampling).second;
    sampling.repetition_penalty = 1.2f;
    sampling.min_p = 0.1f;
    accepted += compare({.compute = Compute::F32}, sampling).second;
  }
  EXPECT_GT(accepted, 0);
}

TEST_F(Drafted, StopStringsAndPenaltiesActAsWithoutDrafts) {
  Engine e = engine(Drafts::Off);
  Generation whole = run(e, {}).generation;
  for (size_t length : {1, 2})
    for (size_t at = 0; at + length <= whole.text.size(); at += 3) {
      SamplingOptions sampling;
      sampling.stop = {whole.text.substr(at, length)};
      compare({.compute = Compute::F32}, sampling);
    }
  SamplingOptions penalty;
  penalty.repetition_penalty = 1.3f;
  compare({.compute = Compute::F32}, penalty);
}

TEST_F(Drafted, AnEndTokenEndsTheText) {
  const std::vector<int32_t> ids = run(engine(Drafts::Off), {}).generation.ids;
  ASSERT_EQ(ids.size(), 60u);
  for (size_t at : {0, 9, 30, 59}) {
    Json config = parse_json_file(directory_.path / "config.json");
    config["eos_token_id"] = ids[at];
    write_file_atomic(directory_.path / "config.json", dump_json(config));
    compare({.compute = Compute::F32}, {});
    EXPECT_EQ(run(engine(Drafts::Ngram), {}).generation.reason, StopReason::EndToken);
  }
}

TEST_F(Drafted, AnInterruptionLeavesTheTextAlone) {
  Engine e = engine(Drafts::Ngram);
  for (int most : {1, 5, 17}) {
    Sequence sequence(e, 200);
    sequence.feed(prompt());
    int seen = 0;
    Generation g = generate(sequence, e, 60, {}, [&](std::string_view) { return ++seen < most; });
    if (g.reason != StopReason::Interrupted) continue;  // fewer pieces of text than that
    std::vector<int32_t> want = prompt();
    want.insert(want.end(), g.ids.begin(), g.ids.end() - 1);
    EXPECT_EQ(sequence.ids(), want);
  }
}

/// The second token, drawn 4,000 times where the first is the one that a draft goes on from, against the
/// distribution of a sequence without drafts (Pearson's chi-square).
TEST_F(Drafted, SampledTokensHaveTheModelsDistribution) {
  SamplingOptions sampling{.temperature = 1.0f};
  sampling.top_k = 4;
  Engine off = engine(Drafts::Off), on = engine(Drafts::Ngram);
  // The model's own repetition as prompt: its likeliest tokens are what drafts propose.
  std::vector<int32_t> text = run(off, {}, 120).held;
  int32_t first = 0;
  std::map<int32_t, double> want;
  {
    Sequence sequence(off, 256);
    sequence.feed(text);
    first = distribution(sequence.logits(), text, sampling)[0].id;
    sequence.feed({&first, 1});
    std::vector<int32_t> history = sequence.ids();
    for (const TokenProbability& t : distribution(sequence.logits(), history, sampling))
      want[t.id] = t.probability;
  }
  std::map<int32_t, double> seen;
  double draws = 0;
  int64_t drafted = 0;
  Sequence sequence(on, 256);
  for (sampling.seed = 0; sampling.seed < 4000; ++sampling.seed) {
    sequence.truncate(std::min<int64_t>(std::ssize(sequence.ids()), std::ssize(text) - 1));
    sequence.feed(std::span(text).subspan(sequence.ids().size()));
    Generation g = generate(sequence, on, 4, sampling);
    if (g.ids.size() < 2 || g.ids[0] != first) continue;
    ++draws, ++seen[g.ids[1]];
    drafted += g.drafted;
  }
  ASSERT_GT(draws, 400);
  EXPECT_GT(static_cast<double>(drafted), draws / 2);
  double chi_square = 0;
  for (const auto& [id, p] : want) {
    double expected = p * draws, difference = seen[id] - expected;
    chi_square += difference * difference / expected;
    seen.erase(id);
  }
  EXPECT_TRUE(seen.empty());             // nothing that top_k shuts out
  EXPECT_LT(chi_square, 21.1) << draws;  // p = 1e-4 at 3 degrees of freedom
}

TEST_F(Drafted, GrowingFrequenciesAreRefusedByName) {
  try {
    engine(Drafts::Ngram, {.position = "dynamic_ntk:factor=2,length=current"});
    FAIL() << "accepted";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("--draft ngram"), std::string::npos) << e.what();
    EXPECT_NE(std::string(e.what()).find("length=current"), std::string::npos) << e.what();
  }
}

/// What drafts rest on: a token has the same logits in a pass of few rows as in one of its own.
TEST(FewRows, GiveTheLogitsOfSingleRows) {
  for (const GoldenCase& c : golden_cases()) {
    if (c.name != "gqa" && c.name != "mqa" && c.name != "gemma3") continue;
    for (const Kernels* k : all_kernels_here())
      for (Compute compute : {Compute::F32, Compute::BF16}) {
        if (!k->supported()) continue;
        SCOPED_TRACE(c.name + " " + k->name + " " + name(compute));
        LoadedModel m = load_golden(c, *k, compute);
        PositionSpec spec = position_spec(m.model.config.position, m.model.config.head_shape(), 0);
        int64_t rows = 1;
        while (rows <= NgramDraft::kMost &&
               k->product_dtype(compute, rows + 1) == k->product_dtype(compute, 1))
          ++rows;
        EXPECT_EQ(rows, NgramDraft::kMost + 1);
        std::vector<float> single = run(m.model, spec, c.ids, {1}),
                           together = run(m.model, spec, c.ids, {rows, 2, 3});
        for (size_t i = 0; i < single.size(); ++i) ASSERT_NEAR(together[i], single[i], 1e-5) << i;
      }
  }
}

}  // namespace
}  // namespace longspan
