// Documents kept on disk: what comes back is what was computed, bit for bit, and nothing else ever matches.
#include "generate/reading_store.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "base/error.h"
#include "base/random.h"
#include "base/threads.h"
#include "generate/model_digest.h"
#include "generate/reading_file.h"
#include "model/family.h"

namespace longspan {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kDocument = 700, kTokens = 720, kChunk = 64;
constexpr int64_t kNoLimit = int64_t{1} << 40;

class ReadingStoreTest : public testing::Test {
 protected:
  void SetUp() override {
    make_family(model_, "gqa", true);
    set_threads(2);
  }
  void TearDown() override { fs::remove_all(folder_); }

  static EngineOptions options(const std::string& position = "") {
    EngineOptions o;
    o.position = position;
    o.chunk = kChunk;
    return o;
  }

  /// A document of kDocument tokens and a question.
  static std::vector<int32_t> text(uint64_t seed = 1) {
    Random random(seed);
    std::vector<int32_t> ids;
    for (int64_t i = 0; i < kTokens; ++i) ids.push_back(static_cast<int32_t>(random.next() % 32));
    return ids;
  }

  /// Reads [from, document), then the question: its logits.
  static std::vector<float> read(Sequence& sequence, std::span<const int32_t> ids, int64_t from,
                                 int64_t document = kDocument) {
    auto part = [&](int64_t first, int64_t last) {
      return ids.subspan(static_cast<size_t>(first), static_cast<size_t>(last - first));
    };
    if (from < document) sequence.feed(part(from, document));
    sequence.feed(part(document, std::ssize(ids)));
    return {sequence.logits().begin(), sequence.logits().end()};
  }

  /// Keeps the document of `ids`; the logits of its question.
  std::vector<float> keep(const Engine& engine, std::span<const int32_t> ids, int64_t limit = kNoLimit) {
    Sequence sequence(engine, kTokens);
    std::vector<float> logits = read(sequence, ids, 0);
    ReadingStore(engine, store_, limit).keep(sequence, kDocument);
    return logits;
  }

  /// Tokens that the store has for another engine's sequence.
  int64_t found(const Engine& engine, std::span<const int32_t> ids, int64_t declared = kTokens) {
    Sequence sequence(engine, declared);
    return ReadingStore(engine, store_, kNoLimit).find(sequence, ids, kDocument).tokens;
  }

  std::vector<fs::path> files() const {
    std::vector<fs::path> all;
    for (const auto& entry : fs::directory_iterator(store_))
      if (entry.path().extension() == ".reading") all.push_back(entry.path());
    return all;
  }

  fs::path folder_ = fs::temp_directory_path() / ("longspan-readings-" + std::to_string(::getpid())),
           model_ = folder_ / "model", store_ = folder_ / "store";
};

TEST(Reading, OnlyWholePassesOfACommonBeginningAreUsed) {
  std::vector<int32_t> ids(100, 7), held(90, 7);
  EXPECT_EQ(reusable_tokens(held, ids, 90, 32), 90);  // the document itself
  EXPECT_EQ(reusable_tokens(held, ids, 95, 32), 64);  // its last pass was another one
  EXPECT_EQ(reusable_tokens(held, ids, 80, 32), 64);
  EXPECT_EQ(reusable_tokens(held, ids, 90, 1), 90);
  held[63] = 8;
  EXPECT_EQ(reusable_tokens(held, ids, 90, 32), 32);
  held[0] = 8;
  EXPECT_EQ(reusable_tokens(held, ids, 90, 32), 0);
  EXPECT_EQ(reusable_tokens({}, ids, 90, 32), 0);
}

TEST_F(ReadingStoreTest, EveryMethodGivesTheSameBits) {
  const std::map<std::string, std::string> settings = {{"factor", "4"}, {"base", "50000"}};
  int methods = 0;
  for (const PositionMethod& method : position_methods()) {
    if (!method.lists.empty()) continue;  // only models of their own have these
    std::string position = method.name;
    if (position != "none") position += ":original=512";  // shorter than the text
    for (const std::string& key : method.required) position += "," + key + "=" + settings.at(key);
    if (std::ranges::count(method.keys, "window") > 0) position += ",window=128";
    SCOPED_TRACE(position);
    fs::remove_all(store_);
    Engine engine(model_, options(position));
    std::vector<int32_t> ids = text();
    std::vector<float> expected = keep(engine, ids);
    Sequence again(engine, kTokens);
    ReadingStore store(engine, store_, kNoLimit);
    ASSERT_EQ(store.find(again, ids, kDocument).tokens, kDocument);
    EXPECT_EQ(again.ids(), std::vector<int32_t>(ids.begin(), ids.begin() + kDocument));
    EXPECT_EQ(read(again, ids, kDocument), expected);
    ++methods;
  }
  EXPECT_GE(methods, 18);
}

TEST_F(ReadingStoreTest, ALongerDocumentTakesWholePassesOfAShorterOne) {
  Engine engine(model_, options());
  std::vector<int32_t> ids = text(), longer = ids;
  keep(engine, ids);
  longer[600] = (longer[600] + 1) % 32;  // 9 passes of 64 and a part of the tenth are common
  Sequence fresh(engine, kTokens), helped(engine, kTokens);
  std::vector<float> expected = read(fresh, longer, 0);
  ReadingStore store(engine, store_, kNoLimit);
  EXPECT_EQ(store.find(helped, longer, kDocument, 576).tokens, 0);  // no more than it holds
  ASSERT_EQ(store.find(helped, longer, kDocument).tokens, 576);
  EXPECT_EQ(read(helped, longer, 576), expected);
}

TEST_F(ReadingStoreTest, TheDeclaredLengthMattersWhereKeysDependOnIt) {
  std::vector<int32_t> ids = text();
  Engine fixed(model_, options("yarn:factor=16")), grows(model_, options("dynamic_ntk:factor=2"));
  keep(fixed, ids);
  keep(grows, ids);
  EXPECT_EQ(found(fixed, ids, kTokens + 256), kDocument);
  EXPECT_EQ(found(grows, ids), kDocument);
  EXPECT_EQ(found(grows, ids, kTokens + 256), 0);
  PositionConfig current = parse_position("dynamic_ntk:factor=2,length=current", grows.config().position);
  EXPECT_NE(reading_obstacle(current).find("dynamic_ntk with length=current"), std::string::npos);
  EXPECT_EQ(reading_obstacle(grows.config().position), "");
}

TEST_F(ReadingStoreTest, WhateverChangesTheNumbersChangesTheKey) {
  std::vector<int32_t> ids = text();
  Engine engine(model_, options());
  keep(engine, ids);
  ASSERT_EQ(found(engine, ids), kDocument);
  EngineOptions types = options(), compute = options(), kernels = options(), chunk = options();
  types.cache_types.values = DType::BF16;
  compute.compute = engine.model().compute == Compute::F32 ? Compute::BF16 : Compute::F32;
  kernels.kernels = "reference";
  chunk.chunk = 2 * kChunk;
  for (const EngineOptions& other : {types, compute, kernels, chunk, options("abf:base=20000")})
    EXPECT_EQ(found(Engine(model_, other), ids), 0);
  set_threads(1);
  EXPECT_EQ(found(engine, ids), 0);
  set_threads(2);
  EXPECT_EQ(found(engine, ids), kDocument);
}

// The same path, size and time of modification; a single bit of one weight differs.
TEST_F(ReadingStoreTest, AnotherModelOfTheSameNameNeverMatches) {
  std::vector<int32_t> ids = text();
  {
    Engine engine(model_, options());
    keep(engine, ids);
    ASSERT_EQ(found(engine, ids), kDocument);
  }
  fs::path weights = model_ / "model.safetensors", config = model_ / "config.json";
  auto time = fs::last_write_time(weights);
  std::string bytes = read_file(weights);
  bytes[bytes.size() / 2] ^= 1;
  std::ofstream(weights, std::ios::binary | std::ios::in) << bytes;  // the same inode
  fs::last_write_time(weights, time);
  EXPECT_EQ(found(Engine(model_, options()), ids), 0);
  bytes[bytes.size() / 2] ^= 1;
  std::ofstream(weights, std::ios::binary | std::ios::in) << bytes;
  EXPECT_EQ(found(Engine(model_, options()), ids), kDocument);
  Json changed = parse_json_file(config);
  changed["rms_norm_eps"] = 1e-6;
  write_file_atomic(config, dump_json(changed));
  EXPECT_EQ(found(Engine(model_, options()), ids), 0);
}

TEST_F(ReadingStoreTest, ADamagedFileIsNamedAndNeverUsed) {
  Engine engine(model_, options());
  std::vector<int32_t> ids = text();
  std::vector<float> expected = keep(engine, ids);
  ASSERT_EQ(files().size(), 1u);
  fs::path file = files()[0];
  const std::string whole = read_file(file);
  ReadingHeader header = parse_reading(std::as_bytes(std::span(whole)), "f");
  size_t pages = header.digests.size(), data = whole.size() - pages * static_cast<size_t>(header.page_bytes),
         header_end = 48 + header.key.size() + header.ids.size() * 4 + pages * 8 + 8;
  ASSERT_EQ(pages, 3u);
  std::vector<std::string> damaged = {"", whole.substr(0, 20), whole.substr(0, data),
                                      whole.substr(0, whole.size() - 1), whole + '\0'};
  auto flip = [&](size_t at) {
    damaged.push_back(whole);
    damaged.back()[at] ^= 1 << (at % 8);
  };
  for (size_t at = 0; at < header_end; at += 41) flip(at);
  for (size_t at = 0; at < 48; ++at) flip(at);
  for (size_t at = data; at < whole.size(); at += 1009) flip(at);
  flip(whole.size() - 1);
  for (const std::string& bytes : damaged) {
    std::ofstream(file, std::ios::binary | std::ios::trunc) << bytes;
    Sequence sequence(engine, kTokens);
    ReadingStore store(engine, store_, kNoLimit);
    ReadingStore::Found found = store.find(sequence, ids, kDocument);
    ASSERT_EQ(found.tokens, 0);
    ASSERT_EQ(found.remarks.size(), 1u);
    EXPECT_NE(found.remarks[0].find(file.string()), std::string::npos) << found.remarks[0];
    EXPECT_FALSE(fs::exists(file));
    if (bytes.size() == whole.size()) continue;
    ASSERT_TRUE(sequence.ids().empty());
    EXPECT_EQ(read(sequence, ids, 0), expected);
  }
}

TEST_F(ReadingStoreTest, TheLeastRecentlyUsedMakesRoom) {
  Engine engine(model_, options());
  std::vector<std::vector<int32_t>> texts = {text(1), text(2), text(3)};
  keep(engine, texts[0]);
  auto size = static_cast<int64_t>(fs::file_size(files()[0]));
  int64_t limit = 2 * size;
  keep(engine, texts[1], limit);
  EXPECT_EQ(files().size(), 2u);
  EXPECT_EQ(found(engine, texts[0]), kDocument);  // used after the second was kept
  keep(engine, texts[2], limit);
  EXPECT_EQ(files().size(), 2u);
  EXPECT_EQ(found(engine, texts[0]), kDocument);
  EXPECT_EQ(found(engine, texts[1]), 0);
  EXPECT_EQ(found(engine, texts[2]), kDocument);
  try {
    keep(engine, texts[1], size - 1);
    ADD_FAILURE() << "larger than the limit";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("--cache-size"), std::string::npos) << e.what();
  }
  EXPECT_EQ(files().size(), 2u);
}

TEST_F(ReadingStoreTest, WhatAKilledWriterLeftIsRemovedAndALivingOneIsNot) {
  Engine engine(model_, options());
  keep(engine, text(1));
  fs::path abandoned = store_ / "0-1.2.part";
  std::ofstream(abandoned) << "half";
  keep(engine, text(2));
  EXPECT_FALSE(fs::exists(abandoned));
  // Many processes that keep the same and different texts: every file is whole.
  std::vector<pid_t> children;
  for (uint64_t child = 0; child < 6; ++child) {
    children.push_back(::fork());
    if (children.back() != 0) continue;
    set_threads(1);  // OpenMP's pool does not survive a fork
    int status = 1;
    try {
      Sequence sequence(engine, kTokens);
      std::vector<int32_t> ids = text(10 + child / 2);
      sequence.adopt(std::span<const int32_t>(ids).first(kDocument));
      for (int i = 0; i < 20; ++i) ReadingStore(engine, store_, kNoLimit).keep(sequence, kDocument);
      status = 0;
    } catch (...) {
    }
    ::_exit(status);
  }
  for (pid_t child : children) {
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
  EXPECT_EQ(files().size(), 5u);
  for (const fs::path& file : files()) {
    std::string bytes = read_file(file);
    ReadingHeader header = parse_reading(std::as_bytes(std::span(bytes)), file.string());
    for (int64_t i = 0; i < std::ssize(header.digests); ++i)
      reading_page(std::as_bytes(std::span(bytes)), header, i, file.string());
  }
  for (const auto& entry : fs::directory_iterator(store_)) EXPECT_NE(entry.path().extension(), ".part");
}

TEST_F(ReadingStoreTest, DigestsAreRememberedUnderTheStampOfTheFile) {
  Engine engine(model_, options());
  fs::create_directories(store_);
  fs::path known = store_ / "models.json";
  std::string digest = model_digest(engine, known);
  EXPECT_EQ(digest.size(), 32u);
  EXPECT_EQ(model_digest(engine, known), digest);
  Json remembered = parse_json_file(known);
  ASSERT_EQ(remembered.size(), 1u);
  EXPECT_EQ(remembered.begin().key(), engine.files()[0].stamp());
  std::ofstream(known) << "{broken";
  EXPECT_EQ(model_digest(engine, known), digest);
  EXPECT_EQ(parse_json_file(known), remembered);
}

}  // namespace
}  // namespace longspan
