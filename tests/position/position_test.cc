// The rows that transformers knows too against their formulas written out again, and against transformers'
// own functions (golden); what is read from --position, config.json and GGUF.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numbers>

#include "position_helpers.h"

namespace longspan {
namespace {

TEST(Position, RopeLinearAbfNtkFollowTheirFormulas) {
  for (const HeadShape& shape : kShapes) {
    double r = static_cast<double>(shape.rotary_dim);
    PositionSpec rope = spec_of("rope", model(), shape), linear = spec_of("linear:factor=8", model(), shape),
                 abf = spec_of("abf:base=500000", model(), shape),
                 ntk = spec_of("ntk:factor=4", model(), shape);
    ASSERT_EQ(rope.inv_freq.size(), static_cast<size_t>(shape.rotary_dim / 2));
    for (size_t i = 0; i < rope.inv_freq.size(); ++i) {
      EXPECT_NEAR(rope.inv_freq[i] / theta(10000, i, shape), 1, 1e-12);
      EXPECT_NEAR(linear.inv_freq[i] / (theta(10000, i, shape) / 8), 1, 1e-12);
      EXPECT_NEAR(abf.inv_freq[i] / theta(500000, i, shape), 1, 1e-12);
      EXPECT_NEAR(ntk.inv_freq[i] / theta(10000 * std::pow(4, r / (r - 2)), i, shape), 1, 1e-12);
    }
    // The point of the ntk base: fastest frequency untouched, slowest divided by the factor.
    EXPECT_DOUBLE_EQ(ntk.inv_freq.front(), 1);
    EXPECT_NEAR(rope.inv_freq.back() / ntk.inv_freq.back(), 4, 1e-9);
    for (const PositionSpec* s : {&rope, &linear, &abf, &ntk}) {
      EXPECT_EQ(s->attention_scale, 1);
      EXPECT_FALSE(s->depends_on_length);
      EXPECT_EQ(s->zones.size(), 1u);
    }
  }
}

TEST(Position, DynamicNtkFollowsTheDeclaredLength) {
  HeadShape shape{128, 128};
  PositionConfig xverse = model(500000, 32768);
  auto base_at = [&](int64_t length) {  // from the slowest but one frequency
    PositionSpec s = spec_of("dynamic_ntk:factor=2", xverse, shape, length);
    EXPECT_TRUE(s.depends_on_length);
    return std::pow(s.inv_freq[1], -64.0);
  };
  EXPECT_NEAR(base_at(0) / 500000, 1, 1e-9);
  EXPECT_NEAR(base_at(1000) / 500000, 1, 1e-9);
  for (auto [length, alpha] : {std::pair{65536, 3.0}, {131072, 7.0}, {262144, 15.0}})
    EXPECT_NEAR(base_at(length) / (500000 * std::pow(alpha, 128.0 / 126)), 1, 1e-9);
  for (auto [length, base] :
       {std::pair{65536, 1.53e6}, {131072, 3.61e6}, {262144, 7.83e6}})  // XVERSE-13B-256K
    EXPECT_NEAR(base_at(length) / base, 1, 0.005);

  PositionSpec fixed = spec_of("dynamic_ntk:factor=2,length=65536", xverse, shape, 1000);
  EXPECT_FALSE(fixed.depends_on_length);
  EXPECT_EQ(fixed.inv_freq, spec_of("dynamic_ntk:factor=2", xverse, shape, 65536).inv_freq);
}

TEST(Position, YarnRampAndScale) {
  // d 128: base 1e4 and window 4096 ramp from 20 to 46; base 5e5 and 8192 from 18 to 35 (paper's correction
  // range).
  struct Row {
    double base;
    int64_t window;
    size_t low, high;
  };
  for (const Row& row : {Row{1e4, 4096, 20, 46}, Row{1e4, 2048, 16, 41}, Row{5e5, 8192, 18, 35}}) {
    HeadShape shape{128, 128};
    PositionSpec s = spec_of("yarn:factor=32", model(row.base, row.window), shape);
    EXPECT_NEAR(s.attention_scale, 0.1 * std::log(32.0) + 1, 1e-12);
    for (size_t i = 0; i < 64; ++i) {
      double ratio = s.inv_freq[i] / theta(row.base, i, shape);
      double ramp = std::clamp(
          (static_cast<double>(i) - static_cast<double>(row.low)) / static_cast<double>(row.high - row.low),
          0.0, 1.0);
      EXPECT_NEAR(ratio, ramp / 32 + (1 - ramp), 1e-12) << row.base << " " << i;
    }
  }
}

TEST(Position, Llama3KeepsFastAndDividesSlowFrequencies) {
  HeadShape shape{128, 128};
  PositionSpec s = spec_of("llama3:factor=8", model(500000, 8192), shape);
  int kept = 0, divided = 0;
  for (size_t i = 0; i < 64; ++i) {
    double f = theta(500000, i, shape), wavelength = 2 * std::numbers::pi / f;
    double t = (8192 / wavelength - 1) / (4.0 - 1);
    double expected = wavelength > 8192 ? f / 8 : wavelength < 8192 / 4.0 ? f : (1 - t) * f / 8 + t * f;
    EXPECT_NEAR(s.inv_freq[i] / expected, 1, 1e-12);
    kept += wavelength<8192 / 4.0, divided += wavelength> 8192;
  }
  EXPECT_GT(kept, 10);
  EXPECT_GT(divided, 10);
}

TEST(Position, GoldenOfTransformers) {
  Json cases = parse_json_file(std::filesystem::path(LONGSPAN_GOLDEN) / "position" / "frequencies.json");
  ASSERT_GT(cases.size(), 50u);
  for (const Json& c : cases) {
    int64_t d = c["head_dim"];
    HeadShape shape{d, d};
    PositionConfig config = position_from_hf(c["config"], shape);
    PositionSpec s = position_spec(config, shape, c["length"]);
    SCOPED_TRACE(dump_json(c["config"]).substr(0, 300) + " length " + dump_json(c["length"]));
    EXPECT_NEAR(s.attention_scale, c["attention_scale"].get<double>(), 1e-9);
    ASSERT_EQ(s.inv_freq.size(), c["inv_freq"].size());
    for (size_t i = 0; i < s.inv_freq.size(); ++i)
      EXPECT_NEAR(s.inv_freq[i] / c["inv_freq"][i].get<double>(), 1, 3e-6) << i;  // theirs is computed in F32
  }
}

TEST(Position, ParseAcceptsWhatTheCommandLinePromises) {
  PositionConfig base = model(100000, 8192);
  PositionConfig c =
      parse_position("yarn:factor=4,beta_fast=16,truncate=false,original=2048,base=1e6,length=9000", base);
  EXPECT_EQ(c.method, "yarn");
  EXPECT_EQ(c.base, 1e6);
  EXPECT_EQ(c.trained_context, 2048);
  EXPECT_EQ(c.values.at("beta_fast"), 16);
  EXPECT_EQ(c.values.at("truncate"), 0);
  EXPECT_EQ(extended_context(c), 9000);
  EXPECT_EQ(parse_position("linear:factor=8", base).base, 100000);
  EXPECT_EQ(extended_context(parse_position("linear:factor=8", base)), 65536);
  EXPECT_EQ(extended_context(parse_position("rope", base)), 8192);
}

TEST(Position, ParseNamesWhatIsWrong) {
  PositionConfig base = model();
  EXPECT_ERROR(parse_position("yaarn:factor=2", base), "there are: none, rope, linear, abf");
  EXPECT_ERROR(parse_position("linear", base), "needs factor");
  EXPECT_ERROR(parse_position("abf", base), "needs base");
  EXPECT_ERROR(parse_position("abf:factor=2", base), "does not know \"factor\"");
  EXPECT_ERROR(parse_position("yarn:factor=4,window=7", base), "its keys: factor, beta_fast");
  EXPECT_ERROR(parse_position("linear:factor=two", base), "must be a number, not \"two\"");
  EXPECT_ERROR(parse_position("linear:factor=2x", base), "must be a number");
  EXPECT_ERROR(parse_position("linear:factor=nan", base), "above 0");
  EXPECT_ERROR(parse_position("linear:factor=inf", base), "above 0");
  EXPECT_ERROR(parse_position("linear:factor=", base), "must be a number");
  EXPECT_ERROR(parse_position("linear:factor", base), "key=value");
  EXPECT_ERROR(parse_position("linear:factor=0", base), "above 0");
  EXPECT_ERROR(parse_position("linear:factor=-1", base), "above 0");
  EXPECT_ERROR(parse_position("linear:factor=2,factor=3", base), "given twice");
  EXPECT_ERROR(parse_position("rope:base=1", base), "above 1");
  EXPECT_ERROR(parse_position("rope:original=1.5", base), "whole number");
  EXPECT_ERROR(parse_position("dynamic_ntk:factor=2,length=0", base), "above 0");
  EXPECT_ERROR(parse_position("yarn:factor=4,beta_fast=1,beta_slow=2", base), "below beta_fast");
  EXPECT_ERROR(parse_position("llama3:factor=4,low_freq_factor=4", base), "below high_freq_factor");
  EXPECT_ERROR(parse_position("longrope", base), "only a model's own config");
  EXPECT_ERROR(spec_of("yarn:factor=4", model(10000, 0), kShapes[0]), "original=TOKENS");
  EXPECT_ERROR(spec_of("ntk:factor=1e308", base, kShapes[0]), "zero or infinite");
}

TEST(Position, DescribeReadsBack) {
  PositionConfig other = model(777, 55);
  for (const char* text :
       {"rope", "linear:factor=8", "abf:base=500000", "ntk:factor=2.5", "dynamic_ntk:factor=2,length=70000",
        "yarn:factor=32,beta_fast=16,truncate=false", "llama3:factor=8,original=2048"}) {
    PositionConfig config = parse_position(text, model()), again = parse_position(describe(config), other);
    EXPECT_EQ(describe(again), describe(config));
    EXPECT_EQ(position_spec(again, kShapes[1], 20000).inv_freq,
              position_spec(config, kShapes[1], 20000).inv_freq);
  }
  EXPECT_EQ(describe(parse_position("yarn:factor=4,beta_fast=32", model(100000, 8192))),
            "yarn:base=100000,beta_fast=32,factor=4,original=8192");
}

PositionConfig hf(const char* text, HeadShape shape = {16, 16}) {
  return position_from_hf(parse_json(text, "test"), shape);
}

TEST(Position, HuggingFaceOldAndNewSpelling) {
  PositionConfig before = hf(
      R"({"rope_theta": 1e6, "max_position_embeddings": 4096, "rope_scaling": {"type": "linear", "factor": 4.0}})");
  PositionConfig after = hf(R"({"max_position_embeddings": 4096,
    "rope_parameters": {"rope_type": "linear", "factor": 4, "rope_theta": 1000000}})");
  for (const PositionConfig& c : {before, after}) {
    EXPECT_EQ(describe(c), "linear:base=1000000,factor=4,original=4096");
    EXPECT_EQ(extended_context(c), 16384);
    EXPECT_EQ(c.assumed.size(), 1u);  // the trained window
  }
  // Llama 3.1: factor times the original window is not what the config promises.
  PositionConfig llama =
      hf(R"({"rope_theta": 500000, "max_position_embeddings": 131072, "rope_scaling": {"factor": 8.0,
    "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192, "rope_type": "llama3"}})");
  EXPECT_EQ(llama.trained_context, 8192);
  EXPECT_EQ(extended_context(llama), 131072);
  EXPECT_TRUE(llama.assumed.empty());
  PositionConfig yarn = hf(R"({"rope_theta": 10000, "max_position_embeddings": 65536, "rope_scaling":
    {"type": "yarn", "original_max_position_embeddings": 4096, "finetuned": true, "attention_factor": null}})");
  EXPECT_EQ(yarn.values.at("factor"), 16);
  EXPECT_EQ(yarn.assumed.size(), 1u);
  PositionConfig silent = hf("{}");
  EXPECT_EQ(silent.method, "rope");
  EXPECT_EQ(silent.trained_context, 2048);
  EXPECT_EQ(silent.assumed.size(), 2u);
  EXPECT_EQ(
      rotary_fraction_from_hf(parse_json(R"({"rope_parameters": {"partial_rotary_factor": 0.5}})", "test")),
      0.5);
  EXPECT_EQ(rotary_fraction_from_hf(Json::object()), 1);
}

TEST(Position, HuggingFaceContradictions) {
  EXPECT_ERROR(hf(R"({"rope_scaling": {"type": "linear", "factor": 2, "alpha": 5}})"),
               "\"alpha\" is not known");
  EXPECT_ERROR(hf(R"({"rope_scaling": {"type": "linear", "rope_type": "yarn", "factor": 2}})"),
               "in one place");
  EXPECT_ERROR(hf(R"({"rope_theta": 1e4, "rope_parameters": {"rope_theta": 5e5}})"), "rope_theta is");
  EXPECT_ERROR(hf(R"({"rope_scaling": {"type": "spiral"}})"), "supported are: default, linear");
  EXPECT_ERROR(hf(R"({"rope_scaling": {"type": "linear"}})"), "needs factor");
  EXPECT_ERROR(hf(R"({"rope_scaling": {"type": "linear", "factor": "8"}})"), "must be a number");
  EXPECT_ERROR(hf(R"({"rope_scaling": {"type": "linear", "factor": -8}})"), "above 0");
  EXPECT_ERROR(hf(R"({"rope_scaling": 7})"), "must be an object");
  EXPECT_ERROR(hf(R"({"rope_parameters": {"full_attention": {"rope_type": "default"}}})"),
               "differ between layers");
  EXPECT_ERROR(hf(R"({"rope_theta": "high"})"), "must be a number");
  EXPECT_ERROR(hf(R"({"max_position_embeddings": 0})"), "whole number");
  EXPECT_ERROR(hf(R"({"max_position_embeddings": 1e300})"), "whole number");
  EXPECT_ERROR(hf(R"({"rope_scaling": {"type": "longrope", "short_factor": [1,1], "long_factor": [1,1]}})"),
               "needs 8");
  EXPECT_ERROR(hf(R"({"max_position_embeddings": 4096, "rope_scaling":
    {"type": "dynamic", "factor": 2, "original_max_position_embeddings": 2048}})"),
               "dynamic scaling starts at");
  EXPECT_ERROR(rotary_fraction_from_hf(parse_json(R"({"partial_rotary_factor": 2})", "test")), "at most 1");
}

PositionConfig gguf(const char* text, std::map<std::string, std::vector<double>> lists = {}) {
  return position_from_gguf(parse_json(text, "test"), "llama", {16, 16}, std::move(lists));
}

TEST(Position, GgufMetadata) {
  EXPECT_EQ(
      describe(gguf(
          R"({"llama.context_length": 8192, "llama.rope.freq_base": 1e5, "llama.rope.dimension_count": 16})")),
      "rope:base=100000,original=8192");
  EXPECT_EQ(describe(gguf(R"({"llama.context_length": 8192, "llama.rope.scale_linear": 4})")),
            "linear:base=10000,factor=4,original=8192");
  PositionConfig yarn = gguf(
      R"({"llama.context_length": 32768, "llama.rope.scaling.type": "yarn", "llama.rope.scaling.factor": 4,
    "llama.rope.scaling.original_context_length": 8192, "llama.rope.scaling.attn_factor": 0.5})");
  EXPECT_EQ(yarn.trained_context, 8192);
  EXPECT_EQ(extended_context(yarn), 32768);
  EXPECT_NEAR(position_spec(yarn, {16, 16}, 0).attention_scale, 0.5 * (0.1 * std::log(4.0) + 1), 1e-12);

  std::vector<double> factors{1, 1, 1, 2, 4, 8, 8, 8};
  PositionConfig llama3 =
      gguf(R"({"llama.context_length": 131072, "llama.rope.freq_base": 5e5})", {{"rope_freqs", factors}});
  PositionSpec spec = position_spec(llama3, {16, 16}, 0);
  for (size_t i = 0; i < 8; ++i)
    EXPECT_NEAR(spec.inv_freq[i] * factors[i] / theta(500000, i, {16, 16}), 1, 1e-12);
  PositionConfig again = parse_position("freq_factors", llama3);
  EXPECT_EQ(position_spec(again, {16, 16}, 0).inv_freq, spec.inv_freq);

  EXPECT_ERROR(gguf(R"({"llama.context_length": 8192, "llama.rope.spiral": 4})"),
               "llama.rope.spiral is not understood");
  EXPECT_ERROR(gguf(R"({"llama.context_length": 8192, "llama.rope.scaling.type": "spiral"})"),
               "is not supported");
  EXPECT_ERROR(gguf(R"({"llama.rope.freq_base": 1e5})"), "llama.context_length is missing");
  EXPECT_ERROR(gguf(R"({"llama.context_length": 8192, "llama.rope.freq_base": -5})"), "base must be above 1");
  EXPECT_ERROR(gguf(R"({"llama.context_length": 8192})", {{"rope_freqs", {1, 2}}}), "needs 8");
  EXPECT_ERROR(gguf(R"({"llama.context_length": 8192})", {{"rope_freqs", std::vector<double>(8, 0.0)}}),
               "above 0");
}

TEST(Position, EveryRowIsComplete) {
  for (const PositionMethod& m : position_methods()) {
    EXPECT_EQ(&position_method(m.name), &m);
    EXPECT_GT(std::string(m.paper).size() + std::string(m.summary).size(), 20u);
    for (const std::string& key : m.required)
      EXPECT_TRUE(key == "base" || std::find(m.keys.begin(), m.keys.end(), key) != m.keys.end());
  }
}

}  // namespace
}  // namespace longspan
