// What model files say about positions, read and written: the configs of the models that people have, round
// trips through config.json and GGUF metadata, and transformers' reading of what we write (golden).
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <functional>

#include "base/error.h"
#include "base/file.h"
#include "position/position.h"
#include "position/position_helpers.h"

namespace longspan {
namespace {

namespace fs = std::filesystem;

const fs::path kGolden = fs::path(LONGSPAN_GOLDEN) / "position";
constexpr HeadShape kShape{64, 64, 4};

Json model_json() {
  return {
      {"model_type", "llama"}, {"hidden_size", 256},      {"num_attention_heads", 4},       {"head_dim", 64},
      {"rope_theta", 100000},  {"rope_scaling", nullptr}, {"max_position_embeddings", 8192}};
}
PositionConfig model() { return position_from_hf(model_json(), kShape); }

PositionConfig published(const std::string& name) {
  return position_from_hf(parse_json_file(kGolden / "configs" / (name + ".json")), {128, 128});
}

bool some_contain(const std::vector<std::string>& sentences, const std::string& part) {
  for (const std::string& s : sentences)
    if (s.find(part) != std::string::npos) return true;
  return false;
}

/// The specs of two configs at lengths on both sides of the window.
void expect_same_frequencies(const PositionConfig& a, const PositionConfig& b) {
  for (int64_t length : {0, 100, 8192, 20000, 200000}) {
    PositionSpec x = position_spec(a, kShape, length), y = position_spec(b, kShape, length);
    EXPECT_NEAR(x.attention_scale, y.attention_scale, 1e-12);
    ASSERT_EQ(x.inv_freq.size(), y.inv_freq.size());
    for (size_t i = 0; i < x.inv_freq.size(); ++i)
      EXPECT_NEAR(x.inv_freq[i], y.inv_freq[i], 1e-11 * x.inv_freq[i]) << i << " at " << length;
  }
}

TEST(PublishedConfigs, Xverse) {
  PositionConfig plain = published("xverse-7b-chat"), long_one = published("xverse-13b-256k");
  EXPECT_EQ(describe(plain), "rope:base=10000,original=8192");
  EXPECT_TRUE(some_contain(plain.assumed, "no rope_theta: 10000"));
  EXPECT_EQ(describe(long_one), "dynamic_ntk:base=500000,factor=2,original=32768");
  EXPECT_EQ(extended_context(long_one), 262144);
  EXPECT_TRUE(some_contain(long_one.assumed, "base 500000"));
  EXPECT_EQ(long_one.assumed.size(), 1u);
  // The base of its code at 128K: 500000 (2 131072 / 32768 - 1)^(128/126).
  EXPECT_NEAR(std::pow(position_spec(long_one, {128, 128}, 131072).inv_freq[1], -64), 3.61e6, 1e4);
  Json first = parse_json_file(kGolden / "configs" / "xverse-13b-256k.json");
  first["max_position_embeddings"] = 262144;  // as uploaded at first
  EXPECT_EQ(describe(position_from_hf(first, {128, 128})), describe(long_one));
  first["rope_theta"] = 500000;  // says what it is: nothing is assumed
  EXPECT_EQ(describe(position_from_hf(first, {128, 128})), "rope:base=500000,original=262144");
}

TEST(PublishedConfigs, Index) {
  PositionConfig index = published("index-1.9b-32k");
  EXPECT_EQ(describe(index), "rope:base=320000,original=32768");
  EXPECT_TRUE(some_contain(index.assumed, "rope_ratio 32"));
  Json json = parse_json_file(kGolden / "configs" / "index-1.9b-32k.json");
  json["rope_theta"] = 10000;
  EXPECT_ERROR(position_from_hf(json, {128, 128}), "rope_theta is 10000 in one place and 320000.0");
  json["rope_theta"] = 320000;
  EXPECT_EQ(position_from_hf(json, {128, 128}).base, 320000);
  json["rope_scaling"] = {{"type", "linear"}, {"factor", 2}};
  EXPECT_ERROR(position_from_hf(json, {128, 128}), "rope_ratio and a rope_type");
}

TEST(PublishedConfigs, LinearModelsReachWhatTheirAuthorsSay) {
  struct Row {
    const char* name;
    int64_t trained, reach;
  };
  for (const Row& row :
       {Row{"aquilachat2-34b-16k", 4096, 16384}, Row{"aquilachat2-7b-16k", 2048, 16384},
        Row{"giraffe-v2-70b-32k-first", 4096, 32768}, Row{"giraffe-13b-32k-v3", 4096, 32768}}) {
    PositionConfig config = published(row.name);
    EXPECT_EQ(config.method, "linear") << row.name;
    EXPECT_EQ(config.trained_context, row.trained) << row.name;
    EXPECT_EQ(extended_context(config), row.reach) << row.name;
    EXPECT_TRUE(some_contain(config.assumed, "is taken as the")) << row.name;
  }
  Json tiny = parse_json_file(kGolden / "configs" / "giraffe-v2-70b-32k-first.json");
  tiny["abacus_scale"] = 1e-300;  // no window is made of that
  EXPECT_EQ(position_from_hf(tiny, {128, 128}).trained_context, 4096);
  EXPECT_EQ(published("giraffe-v2-70b-32k-first").values.at("factor"), 8);
  EXPECT_EQ(describe(published("llama-3-giraffe-70b")), "dynamic_ntk:base=500000,factor=4,original=8192");
  EXPECT_EQ(extended_context(published("llama-3-giraffe-70b")), 32768);
  EXPECT_ERROR(published("aquilachat2-34b-16k-twice"), "\"rope_scaling\" stands twice");
  Json both = parse_json_file(kGolden / "configs" / "giraffe-v2-70b-32k-first.json");
  both["rope_scaling"] = {{"type", "linear"}, {"factor", 4}};
  EXPECT_ERROR(position_from_hf(both, {128, 128}), "factor is 8 in one place and 4 in another");
}

std::vector<double> growing_list(double last) {
  std::vector<double> list(32);
  for (size_t i = 0; i < 32; ++i) list[i] = 1 + (last - 1) * static_cast<double>(i) / 31;
  return list;
}

PositionConfig with_lists(const char* method) {
  PositionConfig config = model();
  config.method = method;
  if (std::string(method) == "longrope") {
    config.lists = {{"short_factor", growing_list(1.5)}, {"long_factor", growing_list(8)}};
    config.declared_context = 65536;
  } else {
    config.lists = {{"rope_freqs", growing_list(8)}};
    config.declared_context = 65536;
  }
  return config;
}

/// Every method that both formats can say, in one form or another.
std::vector<PositionConfig> writable() {
  std::vector<PositionConfig> all = {with_lists("longrope"), with_lists("freq_factors")};
  for (const char* text :
       {"rope", "linear:factor=4", "abf:base=1000000", "ntk:factor=4", "dynamic_ntk:factor=2,length=65536",
        "yarn:factor=32", "yarn:factor=4,beta_fast=16,truncate=false", "yarn:factor=4,attention_factor=0.8",
        "yarn:factor=4,mscale=0.7,mscale_all_dim=1", "llama3:factor=8",
        "llama3:factor=8,low_freq_factor=2,high_freq_factor=5"})
    all.push_back(parse_position(text, model()));
  return all;
}

TEST(WritePosition, ConfigJsonReadsBack) {
  std::vector<PositionConfig> all = writable();
  all.push_back(parse_position("dynamic_ntk:factor=2", model()));
  for (const PositionConfig& config : all) {
    SCOPED_TRACE(describe(config));
    WrittenPosition w = position_to_hf(model_json(), config, kShape, 0, UnknownMethod::Refuse);
    PositionConfig read = position_from_hf(w.config, kShape);
    expect_same_frequencies(config, read);
    EXPECT_EQ(extended_context(read), extended_context(config));
    EXPECT_EQ(read.trained_context, config.trained_context);
    EXPECT_TRUE(read.assumed.empty()) << read.assumed[0];
    // Writing over what was written changes nothing but a name for the same frequencies.
    EXPECT_EQ(position_to_hf(w.config, config, kShape, 0, UnknownMethod::Refuse).config, w.config);
    for (const char* key : {"rope_theta", "rope_parameters"}) EXPECT_TRUE(w.config.contains(key)) << key;
  }
  for (const char* text : {"linear:factor=4", "yarn:factor=4,beta_fast=16,truncate=false",
                           "llama3:factor=8,high_freq_factor=4,low_freq_factor=1", "dynamic_ntk:factor=2"}) {
    PositionConfig config = parse_position(text, model());
    WrittenPosition w = position_to_hf(model_json(), config, kShape, 0, UnknownMethod::Refuse);
    EXPECT_EQ(describe(position_from_hf(w.config, kShape)), describe(config));
  }
}

TEST(WritePosition, GgufReadsBack) {
  Json metadata = {{"general.architecture", "llama"},
                   {"llama.context_length", 8192},
                   {"llama.rope.freq_base", 100000},
                   {"llama.rope.scaling.type", "linear"},
                   {"llama.rope.scaling.factor", 2}};
  for (const PositionConfig& config : writable()) {
    SCOPED_TRACE(describe(config));
    WrittenPosition w = position_to_gguf(metadata, "llama", config, kShape, 0, UnknownMethod::Refuse);
    PositionConfig read = position_from_gguf(w.config, "llama", kShape, w.lists);
    expect_same_frequencies(config, read);
    EXPECT_EQ(extended_context(read), extended_context(config));
    EXPECT_EQ(read.trained_context, config.trained_context);
    EXPECT_TRUE(read.assumed.empty()) << read.assumed[0];
    EXPECT_EQ(w.config["general.architecture"], "llama");
  }
}

TEST(WritePosition, ThePromisedWindow) {
  PositionConfig dynamic = parse_position("dynamic_ntk:factor=2", model());
  Json json = position_to_hf(model_json(), dynamic, kShape, 262144, UnknownMethod::Refuse).config;
  EXPECT_EQ(json["max_position_embeddings"], 8192);  // transformers counts its growth from there
  EXPECT_EQ(extended_context(position_from_hf(json, kShape)), 262144);
  json = position_to_hf(model_json(), parse_position("abf:base=1000000", model()), kShape, 32768,
                        UnknownMethod::Refuse)
             .config;
  EXPECT_EQ(json["max_position_embeddings"], 32768);
  EXPECT_FALSE(json.contains("longspan_context"));
  // transformers 4 computes yarn's factor from the two windows.
  json = position_to_hf(model_json(), parse_position("yarn:factor=32", model()), kShape, 131072,
                        UnknownMethod::Refuse)
             .config;
  EXPECT_EQ(json["max_position_embeddings"], 262144);
}

TEST(WritePosition, PrivateFieldsBecomeCommonOnes) {
  for (const char* name : {"index-1.9b-32k", "giraffe-v2-70b-32k-first", "xverse-13b-256k"}) {
    Json json = parse_json_file(kGolden / "configs" / (std::string(name) + ".json"));
    PositionConfig config = position_from_hf(json, {128, 128});
    WrittenPosition w = position_to_hf(json, config, {128, 128}, 0, UnknownMethod::Refuse);
    for (const char* key : {"rope_ratio", "abacus_scale"}) EXPECT_FALSE(w.config.contains(key));
    PositionConfig read = position_from_hf(w.config, {128, 128});
    EXPECT_EQ(describe(read), describe(config));
    EXPECT_EQ(extended_context(read), extended_context(config));
    EXPECT_TRUE(read.assumed.empty()) << read.assumed[0];
  }
}

TEST(WritePosition, ProportionalIsPRope) {
  PositionConfig config = parse_position("p_rope:fraction=0.5", model());
  Json json = position_to_hf(model_json(), config, kShape, 0, UnknownMethod::Refuse).config;
  EXPECT_EQ(json["rope_parameters"]["rope_type"], "proportional");
  EXPECT_EQ(rotary_fraction_from_hf(json), 1);  // the whole head is in pairs, half of which stand still
  EXPECT_EQ(describe(position_from_hf(json, kShape)), describe(config));
  expect_same_frequencies(position_from_hf(json, kShape), config);
}

TEST(WritePosition, PartialRotaryStays) {
  HeadShape half{64, 32, 4};
  Json json = model_json();
  json["rope_parameters"] = {{"partial_rotary_factor", 0.5}};
  PositionConfig config = parse_position("linear:factor=4", position_from_hf(json, half));
  Json written = position_to_hf(json, config, half, 0, UnknownMethod::Refuse).config;
  EXPECT_EQ(rotary_fraction_from_hf(written), 0.5);
  EXPECT_EQ(written["rope_scaling"]["partial_rotary_factor"], 0.5);
}

TEST(WritePosition, WhatAFormatCannotSayIsRefusedOrKept) {
  PositionConfig dynamic = parse_position("dynamic_ntk:factor=2", model());
  Json metadata = {
      {"general.architecture", "llama"}, {"llama.context_length", 8192}, {"llama.rope.freq_base", 100000}};
  EXPECT_ERROR(position_to_gguf(metadata, "llama", dynamic, kShape, 0, UnknownMethod::Refuse),
               "GGUF has no word for dynamic_ntk");
  WrittenPosition w = position_to_gguf(metadata, "llama", dynamic, kShape, 65536, UnknownMethod::Keep);
  EXPECT_EQ(w.config["llama.context_length"], 8192);
  EXPECT_TRUE(some_contain(w.remarks, "as if it were not stretched"));
  PositionConfig read = position_from_gguf(w.config, "llama", kShape, {});
  EXPECT_EQ(describe(read), describe(dynamic));
  EXPECT_EQ(extended_context(read), 65536);

  PositionConfig zoned = parse_position("self_extend:group=8,window=1024", model());
  EXPECT_ERROR(position_to_hf(model_json(), zoned, kShape, 32768, UnknownMethod::Refuse),
               "config.json has no word for self_extend");
  w = position_to_hf(model_json(), zoned, kShape, 32768, UnknownMethod::Keep);
  EXPECT_EQ(w.config["max_position_embeddings"], 8192);  // what transformers loads is the plain model
  EXPECT_EQ(w.config["rope_theta"], 100000);
  EXPECT_TRUE(some_contain(w.remarks, "as if it were not stretched"));
  EXPECT_EQ(describe(position_from_hf(w.config, kShape)), describe(zoned));
  // Written over with a method that has a name there, nothing of it is left.
  w = position_to_hf(w.config, parse_position("linear:factor=4", model()), kShape, 0, UnknownMethod::Refuse);
  EXPECT_EQ(position_from_hf(w.config, kShape).method, "linear");

  Json json = model_json();
  json["longspan_position"] = describe(dynamic);
  json["longspan_context"] = 65536;
  EXPECT_EQ(describe(position_from_hf(json, kShape)), describe(dynamic));
  EXPECT_EQ(extended_context(position_from_hf(json, kShape)), 65536);
  json["longspan_position"] = "spiral:factor=2";
  EXPECT_ERROR(position_from_hf(json, kShape), "longspan_position: position method \"spiral\" is unknown");
  json["longspan_position"] = 7;
  EXPECT_ERROR(position_from_hf(json, kShape), "longspan_position must be a text");
  json.erase("longspan_position");
  json["longspan_context"] = -3;
  EXPECT_ERROR(position_from_hf(json, kShape), "whole number of tokens");
}

// The configs in the golden file are what position_to_hf wrote; the frequencies beside them are what
// transformers makes of those. LONGSPAN_UPDATE_GOLDEN=1 writes the configs anew, then
// tools/make_written_position_golden.py asks transformers.
TEST(WritePosition, TransformersReadsTheSame) {
  std::vector<PositionConfig> all = writable();
  for (const char* text : {"dynamic_ntk:factor=2", "p_rope:fraction=0.5"})
    all.push_back(parse_position(text, model()));
  fs::path file = kGolden / "written.json";
  if (std::getenv("LONGSPAN_UPDATE_GOLDEN") != nullptr) {
    Json rows = Json::array();
    for (const PositionConfig& config : all)
      rows.push_back(
          {{"position", describe(config)},
           {"config", position_to_hf(model_json(), config, kShape, 0, UnknownMethod::Refuse).config}});
    write_file_atomic(file, dump_json(rows));
    GTEST_SKIP() << "written; now run tools/make_written_position_golden.py";
  }
  Json rows = parse_json_file(file);
  ASSERT_EQ(rows.size(), all.size());
  for (size_t n = 0; n < all.size(); ++n) {
    SCOPED_TRACE(describe(all[n]));
    EXPECT_EQ(rows[n]["config"],
              position_to_hf(model_json(), all[n], kShape, 0, UnknownMethod::Refuse).config);
    ASSERT_EQ(rows[n]["lengths"].size(), 3u);
    for (const Json& at : rows[n]["lengths"]) {
      PositionSpec spec = position_spec(all[n], kShape, at["length"]);
      EXPECT_NEAR(spec.attention_scale, at["attention_scale"].get<double>(), 1e-7);
      ASSERT_EQ(at["inv_freq"].size(), 32u);
      for (size_t i = 0; i < 32; ++i)
        EXPECT_NEAR(spec.inv_freq[i], at["inv_freq"][i].get<double>(), 3e-6 * spec.inv_freq[i]) << i;
    }
  }
}

TEST(Growth, SaysWhatHappens) {
  auto said = [&](const char* text) { return growth(parse_position(text, model()), kShape); };
  EXPECT_EQ(said("yarn:factor=4"), "the same at every length");
  EXPECT_NE(said("dynamic_ntk:factor=2").find("declared when a sequence starts"), std::string::npos);
  EXPECT_NE(said("dynamic_ntk:factor=2").find("8192"), std::string::npos);
  EXPECT_NE(said("self_extend:group=8,window=1024").find("from a distance of 1024 tokens"),
            std::string::npos);
  EXPECT_NE(said("dynamic_ntk:factor=2,length=current").find("at every step"), std::string::npos);
  EXPECT_NE(said("dynamic_ntk:factor=2,length=65536").find("made for texts of 65536 tokens"),
            std::string::npos);
}

}  // namespace
}  // namespace longspan
