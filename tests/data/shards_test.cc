// Shards: what goes in comes out, in order, whatever the threads; damage is found; nothing half is left.
#include "data/shards.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <array>
#include <cstring>
#include <limits>

#include "base/error.h"
#include "base/random.h"
#include "base/threads.h"
#include "data/statistics.h"
#include "data/tokenizers.h"

namespace longspan {
namespace {

namespace fs = std::filesystem;

class Shards : public FilesTest {
 protected:
  void SetUp() override {
    FilesTest::SetUp();
    Random random(1);
    std::string lines;
    for (int i = 0; i < 300; ++i) {
      texts_.push_back(fmt::format("text {} ", i) +
                       std::string(random.below(400), static_cast<char>('a' + i % 26)));
      lines += fmt::format("{{\"id\": \"d{}\", \"class\": \"{}\", \"text\": \"{}\"}}\n", i, i % 3 ? "x" : "y",
                           texts_.back());
    }
    corpus_ = write("corpus.jsonl", lines + "{bad\n");
  }
  std::string error(const fs::path& shard) {
    try {
      Shard opened(shard);
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  }
  fs::path corpus_;
  std::vector<std::string> texts_;
  Tokenizer tokenizer_ = golden_tokenizer("byte_level");
};

TEST_F(Shards, HoldTheDocumentsInOrder) {
  for (int n : {1, 3}) {
    set_threads(n);
    fs::path folder = dir_ / fmt::format("shards{}", n);
    TokeniseReport report =
        tokenise({corpus_}, tokenizer_, folder, {.add_bos = true, .shard_tokens = 5000}, {});
    EXPECT_EQ(report.reading.documents, 300);
    EXPECT_EQ(report.reading.bad, 1);
    ASSERT_GT(report.shards.size(), 3u);
    size_t i = 0;
    int64_t tokens = 0;
    for (const fs::path& path : report.shards) {
      Shard shard(path);
      EXPECT_EQ(shard.vocabulary_digest(), vocabulary_digest(tokenizer_));
      tokens += shard.tokens();
      for (const ShardDocument& d : shard.documents()) {
        std::vector<int32_t> expected =
            tokenizer_.encode(texts_[i], {.add_special = false, .parse_special = false});
        expected.insert(expected.begin(), tokenizer_.bos_id());
        expected.push_back(tokenizer_.eos_id());
        if (tokenizer_.bos_id() < 0) expected.erase(expected.begin());
        std::vector<int32_t> ids;
        shard.read(d.begin, d.end, ids);
        ASSERT_EQ(ids, expected) << i;
        EXPECT_EQ(d.id, fmt::format("d{}", i));
        EXPECT_EQ(d.category, i % 3 ? "x" : "y");
        ++i;
      }
    }
    EXPECT_EQ(i, 300u);
    EXPECT_EQ(tokens, report.tokens);
  }
  EXPECT_EQ(read_file(dir_ / "shards1/00001.shard"), read_file(dir_ / "shards3/00001.shard"));
}

TEST_F(Shards, OfLargeVocabulariesAreWide) {
  Tokenizer large = byte_tokenizer({}, "<eos>", 70000);
  TokeniseReport report = tokenise({write("a.txt", "abc")}, large, dir_ / "wide", {}, {});
  std::vector<int32_t> ids;
  Shard(report.shards.at(0)).read(0, 4, ids);
  EXPECT_EQ(ids, (std::vector<int32_t>{'a', 'b', 'c', 256}));
  std::vector<int32_t> none;  // for a sanitizer: nothing may be copied to where nothing is
  Shard(report.shards.at(0)).read(2, 2, none);
  EXPECT_TRUE(none.empty());
  EXPECT_NE(vocabulary_digest(large), vocabulary_digest(tokenizer_));
}

TEST_F(Shards, SpecialTokensInTextAreText) {
  Tokenizer tokenizer = byte_tokenizer({"<|im_end|>"});
  TokeniseReport report =
      tokenise({write("a.txt", "<|im_end|>")}, tokenizer, dir_ / "s", {.add_eos = false}, {});
  EXPECT_EQ(report.tokens, 10);
}

TEST_F(Shards, DamageIsFound) {
  TokeniseReport report = tokenise({write("a.txt", "some text")}, tokenizer_, dir_ / "s", {}, {});
  std::string bytes = read_file(report.shards.at(0));
  EXPECT_EQ(error(report.shards.at(0)), "");
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::string damaged = bytes;
    damaged[i] = static_cast<char>(damaged[i] ^ 1);
    EXPECT_NE(error(write("d.shard", damaged)), "") << i;
  }
  for (size_t n = 0; n < bytes.size(); ++n) EXPECT_NE(error(write("d.shard", bytes.substr(0, n))), "") << n;
}

/// With a digest that fits, as a forger would make it.
TEST_F(Shards, ForgeriesDoNotLeadOutside) {
  TokeniseReport report = tokenise({write("a.txt", "some text")}, tokenizer_, dir_ / "s", {}, {});
  const std::string bytes = read_file(report.shards.at(0));
  Random random(3);
  int refused = 0;
  for (int trial = 0; trial < 1000; ++trial) {
    std::string forged = bytes;
    for (uint64_t n = 1 + random.below(3); n > 0; --n)
      forged[8 + random.below(forged.size() - 16)] =
          static_cast<char>(random.below(2) ? 0xFF : random.below(256));
    uint64_t digest = XXH64(forged.data(), forged.size() - 8, 0);
    std::memcpy(forged.data() + forged.size() - 8, &digest, 8);
    fs::path path = write("f.shard", forged);
    if (!error(path).empty()) {
      ++refused;
      continue;
    }
    Shard shard(path);
    std::vector<int32_t> ids;
    for (const ShardDocument& d : shard.documents()) shard.read(d.begin, d.end, ids);
    for (int32_t id : ids) ASSERT_GE(id, 0);
  }
  EXPECT_GT(refused, 300);
}

/// Ids are int32: of a larger vocabulary some would be negative.
TEST_F(Shards, AVocabularyBeyondInt32IsRefused) {
  TokeniseReport report = tokenise({write("a.txt", "some text")}, tokenizer_, dir_ / "s", {}, {});
  std::string forged = read_file(report.shards.at(0));
  uint64_t vocabulary = uint64_t{1} << 31;
  std::memcpy(forged.data() + 24, &vocabulary, 8);
  uint64_t digest = XXH64(forged.data(), forged.size() - 8, 0);
  std::memcpy(forged.data() + forged.size() - 8, &digest, 8);
  EXPECT_NE(error(write("f.shard", forged)).find("a vocabulary of 2147483648"), std::string::npos);
}

TEST_F(Shards, NothingHalfIsLeft) {
  fs::path folder = dir_ / "s";
  // Stopped by the user.
  TokeniseReport stopped =
      tokenise({corpus_}, tokenizer_, folder, {}, [](int64_t, int64_t) { return false; });
  EXPECT_TRUE(stopped.shards.empty());
  EXPECT_FALSE(fs::exists(folder));
  // Stopped by a bad document, after shards were written.
  EXPECT_THROW(
      tokenise({corpus_}, tokenizer_, folder, {.on_bad = OnBadDocument::Fail, .shard_tokens = 10}, {}),
      Error);
  EXPECT_FALSE(fs::exists(folder));
  EXPECT_THROW(tokenise({write("empty.jsonl", "\n")}, tokenizer_, folder, {}, {}), Error);
  for (const auto& entry : fs::directory_iterator(dir_)) EXPECT_TRUE(entry.is_regular_file()) << entry.path();
  // What a killed run left is no hindrance, an empty folder neither; a full one is.
  write("s.part/00000.shard", "half");
  fs::create_directories(folder);
  EXPECT_EQ(tokenise({corpus_}, tokenizer_, folder / "", {}, {}).shards.size(), 1u);
  EXPECT_TRUE(fs::exists(folder / "00000.shard"));
  EXPECT_FALSE(fs::exists(dir_ / "s.part"));
  EXPECT_THROW(tokenise({corpus_}, tokenizer_, folder, {}, {}), Error);
}

TEST_F(Shards, ProgressEndsAtTheTotal) {
  int64_t last = 0, end = -1;
  TokeniseReport report =
      tokenise({corpus_}, tokenizer_, dir_ / "s", {.add_eos = false}, [&](int64_t done, int64_t total) {
        EXPECT_GE(done, last);
        last = done, end = total;
        return true;
      });
  EXPECT_EQ(last, report.tokens);
  EXPECT_EQ(end, report.tokens);
}

TEST_F(Shards, StatisticsCountWhatIsThere) {
  fs::path other = write("zh.txt", "它是é");
  CorpusStatistics statistics = corpus_statistics({corpus_, other}, byte_tokenizer(), {}, {});
  EXPECT_EQ(statistics.reading.bad, 1);
  ASSERT_EQ(statistics.categories.size(), 3u);
  const LengthStatistics& zh = statistics.categories.at("zh");
  EXPECT_EQ(zh.lengths, std::vector<int64_t>{8});  // a token a byte
  EXPECT_EQ(zh.characters, 3);
  EXPECT_EQ(zh.bytes, 8);
  const LengthStatistics& y = statistics.categories.at("y");
  ASSERT_EQ(y.lengths.size(), 100u);
  for (size_t i = 0; i < y.lengths.size(); ++i)
    EXPECT_EQ(y.lengths[i], static_cast<int64_t>(texts_[3 * i].size()));
}

TEST(Histogram, BinsAreHalfOpenAndTheLastHasNoEnd) {
  auto bins = histogram({0, 9, 10, 19, 20, 29, 30, 31, 500}, 10, 25);
  std::vector<std::array<int64_t, 4>> got;
  for (const LengthBin& b : bins) got.push_back({b.from, b.to, b.documents, b.tokens});
  EXPECT_EQ(got, (std::vector<std::array<int64_t, 4>>{{0, 10, 2, 9},
                                                      {10, 20, 2, 29},
                                                      {20, 30, 2, 49},
                                                      {30, std::numeric_limits<int64_t>::max(), 3, 561}}));
  EXPECT_EQ(length_quantile({5, 1, 3}, 0.5), 3);
  EXPECT_EQ(length_quantile({5, 1, 3}, 1), 5);
  EXPECT_EQ(length_quantile({}, 0.5), 0);
}

}  // namespace
}  // namespace longspan
