// Methods that transformers does not know, against a float64 forward that looks at every pair of tokens
// (tools/make_zone_golden.py); and every row of the table, past the trained window, however the text is cut.
#include <gtest/gtest.h>

#include <map>

#include "base/threads.h"
#include "model/golden.h"

namespace longspan {
namespace {

class Zones : public testing::TestWithParam<const Kernels*> {
 protected:
  void SetUp() override {
    if (!GetParam()->supported()) GTEST_SKIP() << "this processor lacks " << GetParam()->name;
    set_threads(1);
  }
};

INSTANTIATE_TEST_SUITE_P(Model, Zones, testing::ValuesIn(all_kernels_here()),
                         [](const auto& info) { return std::string(info.param->name); });

GoldenCase positions_case() {
  for (const GoldenCase& c : golden_cases())
    if (c.name == "rope") return c;
  throw std::runtime_error("no case rope");
}

PositionSpec spec_of(const Model& model, const std::string& text, size_t tokens) {
  return position_spec(parse_position(text, model.config.position), model.config.head_shape(),
                       static_cast<int64_t>(tokens));
}

TEST_P(Zones, LogitsEqualThePairByPairForwardHoweverTheTextIsCut) {
  GoldenCase c = positions_case();
  LoadedModel m = load_golden(c, *GetParam());
  Json golden = parse_json_file(golden_dir() / "zones.json");
  c.ids = golden["ids"].get<std::vector<int32_t>>();
  c.rows = golden["rows"].get<std::vector<int64_t>>();
  c.logits.resize(c.rows.size() * kGoldenVocab);
  std::ifstream file(golden_dir() / "zones.f32", std::ios::binary);
  std::vector<float> plain = run(m.model, spec_of(m.model, "rope", c.ids.size()), c.ids, {64});
  int seen = 0;
  for (const std::string text : golden["positions"]) {
    file.read(reinterpret_cast<char*>(c.logits.data()),
              static_cast<std::streamsize>(c.logits.size() * sizeof(float)));
    ASSERT_TRUE(file) << "zones.f32 is too short";
    PositionSpec spec = spec_of(m.model, text, c.ids.size());
    int64_t all = static_cast<int64_t>(c.ids.size());
    for (int64_t chunk : {all, int64_t{1}, int64_t{7}, int64_t{64}})
      EXPECT_LT(golden_difference(c, run(m.model, spec, c.ids, {chunk})), 1e-4)
          << text << " in chunks of " << chunk;
    EXPECT_GT(golden_difference(c, plain), 1e-2) << text << " is no other than rope";
    ++seen;
  }
  EXPECT_EQ(seen, 11);
}

/// A setting of each row that does something within 160 tokens of a model trained for 64.
const std::map<std::string, std::string> kExamples = {
    {"none", ""},
    {"rope", ""},
    {"linear", "factor=4"},
    {"abf", "base=500000"},
    {"ntk", "factor=4"},
    {"dynamic_ntk", "factor=2"},
    {"yarn", "factor=4"},
    {"llama3", "factor=4"},
    {"power", ""},
    {"truncated", ""},
    {"random", "factor=4"},
    {"xpos", ""},
    {"rerope", "window=32"},
    {"leaky_rerope", "window=24,factor=4"},
    {"nlpe", "window=32"},
    {"self_extend", "window=24,group=5"},
    {"dual_chunk", "size=48,local=16"},
    {"string", "shift=40,local=8"},
    {"p_rope", "fraction=0.75"},
    {"drope", ""},
    {"alibi", ""},
};

TEST_P(Zones, EveryMethodIsExactWithACache) {
  GoldenCase c = positions_case();
  LoadedModel m = load_golden(c, *GetParam());
  for (const PositionMethod& method : position_methods()) {
    if (!method.lists.empty()) continue;  // only a model's own config brings lists: cases.json has them
    ASSERT_TRUE(kExamples.contains(method.name)) << "no example of " << method.name;
    std::string settings = kExamples.at(method.name);
    PositionSpec spec =
        spec_of(m.model, method.name + (settings.empty() ? "" : ":" + settings), c.ids.size());
    std::vector<float> at_once = run(m.model, spec, c.ids, {static_cast<int64_t>(c.ids.size())});
    for (int64_t chunk : {1, 7, 64}) {
      std::vector<float> cut = run(m.model, spec, c.ids, {chunk});
      double worst = 0;
      for (size_t i = 0; i < cut.size(); ++i) worst = std::max<double>(worst, std::abs(cut[i] - at_once[i]));
      EXPECT_LT(worst, 1e-4) << method.name << " in chunks of " << chunk;
    }
  }
}

TEST_P(Zones, CurrentLengthDoesWhatTransformersGenerateDoes) {
  LoadedModel m = load_golden(positions_case(), *GetParam());
  Json golden = parse_json_file(golden_dir() / "current_length.json");
  auto ids = golden["ids"].get<std::vector<int32_t>>();
  auto prompt = golden["prompt"].get<size_t>();
  PositionConfig config = parse_position(golden["position"].get<std::string>(), m.model.config.position);
  auto spec = [&](size_t length) {
    return position_spec(config, m.model.config.head_shape(), static_cast<int64_t>(length));
  };
  std::ifstream file(golden_dir() / "current_length.f32", std::ios::binary);
  KvCache cache = make_cache(m.model, spec(prompt), std::ssize(ids));
  Activations a = make_activations(m.model, spec(prompt), static_cast<int64_t>(prompt));
  std::span<const int32_t> text(ids);
  double worst = 0, drift = 0;
  std::vector<float> want(kGoldenVocab);
  for (size_t past = 0; past < ids.size();) {
    size_t count = past == 0 ? prompt : 1;
    PositionSpec now = spec(past + count);
    Tensor hidden = forward(m.model, all_rows(cache, now, text.subspan(past, count)), a);
    Tensor logits = head_logits(m.model, hidden.slice(hidden.rows() - 1, 1), a);
    file.read(reinterpret_cast<char*>(want.data()), kGoldenVocab * sizeof(float));
    ASSERT_TRUE(file);
    std::vector<float> got = m.model.device->download<float>(logits);
    for (size_t v = 0; v < want.size(); ++v) worst = std::max<double>(worst, std::abs(got[v] - want[v]));
    past += count;
  }
  EXPECT_LT(worst, 1e-4);
  // What a declared length gives is another result: the harm that length=current is there to show.
  std::vector<float> exact = run(m.model, spec(ids.size()), ids, {64});
  for (size_t v = 0; v < want.size(); ++v)
    drift = std::max<double>(drift, std::abs(exact[exact.size() - kGoldenVocab + v] - want[v]));
  EXPECT_GT(drift, 1e-3);
}

}  // namespace
}  // namespace longspan
