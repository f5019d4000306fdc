// A run against the memory that there is, around the limit, and factors that follow the length.
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/error.h"
#include "base/memory.h"
#include "checkpoint/build_files.h"
#include "generate/sequence.h"
#include "model/family.h"

namespace longspan {
namespace {

constexpr int64_t kMiB = int64_t{1} << 20;

class Room : public testing::Test {
 protected:
  void SetUp() override { make_family(directory_.path, "gqa", true); }
  Engine engine(EngineOptions options, std::optional<int64_t> free_memory) {
    options.free_memory = free_memory;
    return {directory_.path, options};
  }

  TemporaryDirectory directory_;
};

TEST_F(Room, ARunFitsExactlyWhatItNeeds) {
  MemoryUse use{.tokens = 5000};
  int64_t needed = engine({}, std::nullopt).memory_for(use).needed;
  MemoryFit enough = engine({}, needed).memory_for(use), short_of = engine({}, needed - 1).memory_for(use);
  EXPECT_TRUE(enough.fits());
  EXPECT_FALSE(short_of.fits());
  // 5,000 tokens take 20 pages of 256; one page less is what would fit.
  EXPECT_EQ(enough.longest, 20 * 256);
  EXPECT_EQ(short_of.longest, 19 * 256);
  EXPECT_TRUE(engine({}, std::nullopt).memory_for({.tokens = int64_t{1} << 40}).fits());
}

/// The most tokens that fit do, and one more does not, for types, methods and texts side by side.
TEST_F(Room, WhatIsSaidToFitFits) {
  for (const char* position : {"", "rerope:window=64"})  // the second keeps two sets of keys
    for (DType type : {DType::F32, DType::F16})
      for (int64_t sequences : {1, 3})
        for (bool scored : {false, true}) {
          Engine e = engine({.position = position, .cache_types = {type, type}}, 96 * kMiB);
          MemoryUse use{.tokens = int64_t{1} << 30, .sequences = sequences, .scored = scored};
          use.tokens = e.memory_for(use).longest;
          ASSERT_GT(use.tokens, 0);
          EXPECT_TRUE(e.memory_for(use).fits());
          use.tokens += 1;
          EXPECT_FALSE(e.memory_for(use).fits());
        }
}

/// gqa: 2 layers of 2 heads of 8 for keys and values (tests/golden/model/gqa/config.json).
TEST_F(Room, KeysAndValuesGrowWithTypeMethodAndTexts) {
  Engine f16 = engine({}, kMiB * 1024), f32 = engine({.cache_types = {DType::F32, DType::F32}}, kMiB * 1024),
         two = engine({.position = "rerope:window=64"}, kMiB * 1024);
  const Json config = parse_json_file(directory_.path / "config.json");
  int64_t one = config["num_hidden_layers"].get<int64_t>() * config["num_key_value_heads"].get<int64_t>() *
                config["head_dim"].get<int64_t>() * 2 * 4096;
  EXPECT_EQ(f16.memory_for({.tokens = 4096}).kv_cache, 2 * one);
  EXPECT_EQ(f32.memory_for({.tokens = 4096}).kv_cache, 4 * one);
  EXPECT_EQ(two.memory_for({.tokens = 4096}).kv_cache, 3 * one);
  EXPECT_EQ(f16.memory_for({.tokens = 4096, .sequences = 5}).kv_cache, 10 * one);
}

/// The limit of a control group counts, as the kernel's files tell it.
TEST_F(Room, AroundTheLimitOfAControlGroup) {
  TemporaryDirectory root;
  auto write = [&](const std::string& name, const std::string& text) {
    std::filesystem::create_directories((root.path / name).parent_path());
    write_file_atomic(root.path / name, text + "\n");
  };
  write("proc/meminfo", "MemAvailable: 20000000 kB");
  write("proc/self/cgroup", "0::/job");
  write("sys/fs/cgroup/job/memory.max", std::to_string(1024 * kMiB));
  write("sys/fs/cgroup/job/memory.current", std::to_string(24 * kMiB));
  write("sys/fs/cgroup/job/memory.stat", "inactive_file 0");
  Engine e = engine({}, available_memory(root.path));
  int64_t longest = e.memory_for({.tokens = 1}).longest;
  MemoryFit fits = e.memory_for({.tokens = longest}), too_much = e.memory_for({.tokens = longest + 1});
  EXPECT_EQ(fits.available, 1000 * kMiB);
  EXPECT_TRUE(fits.fits());
  EXPECT_FALSE(too_much.fits());
  std::string sentence = describe(too_much);
  for (const std::string& part : {std::string("1000.0 MiB free"), grouped(longest) + " tokens fit"})
    EXPECT_NE(sentence.find(part), std::string::npos) << sentence;
}

TEST_F(Room, WeightsThatDoNotFitAreNotLoaded) {
  try {
    engine({}, kMiB);
    FAIL() << "loaded";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("1.0 MiB free"), std::string::npos) << e.what();
  }
}

TEST_F(Room, AFactorFollowsTheLength) {
  Engine e = engine({.position = "yarn:factor=auto"}, std::nullopt);
  int64_t trained = e.config().position.trained_context;
  EXPECT_EQ(e.config().position.values.at("factor"), 1);
  EXPECT_EQ(e.stretch_to(3 * trained), "yarn:factor=3");
  EXPECT_EQ(extended_context(e.config().position), 3 * trained);
  EXPECT_EQ(e.stretch_to(2 * trained), "yarn:factor=2");  // of the model's own positions again
  Engine plain = engine({.position = "yarn:factor=4"}, std::nullopt);
  EXPECT_EQ(plain.stretch_to(2 * trained), "");
  EXPECT_EQ(plain.config().position.values.at("factor"), 4);
}

}  // namespace
}  // namespace longspan
