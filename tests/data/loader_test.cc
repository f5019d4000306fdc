// Row sources: pure functions of k that hold what was asked for, whoever asks and in whatever order.
#include "data/loader.h"

#include <map>
#include <numeric>
#include <set>

#include "base/error.h"
#include "data/tokenizers.h"

namespace longspan {
namespace {

namespace fs = std::filesystem;

bool equal(const TrainingRow& a, const TrainingRow& b) {
  return a.ids == b.ids && a.positions == b.positions && a.starts == b.starts && a.targets == b.targets &&
         a.weights == b.weights && a.documents == b.documents;
}

/// Asks for rows in another order, and of a source made anew (a resumed run): the same rows must come.
void expect_pure(const std::function<RowSource()>& make, int64_t rows) {
  RowSource first = make();
  std::vector<TrainingRow> expected;
  for (int64_t k = 0; k < rows; ++k) expected.push_back(first.row(k));
  RowSource resumed = make();
  EXPECT_EQ(resumed.rows, first.rows);
  for (int64_t k = rows - 1; k >= 0; --k) {
    ASSERT_TRUE(equal(resumed.row(k), expected[static_cast<size_t>(k)])) << k;
    ASSERT_TRUE(equal(first.row(k), expected[static_cast<size_t>(k)])) << k;
  }
}

class Loader : public FilesTest {
 protected:
  /// Documents "d0" ... of `lengths` bytes (and tokens), the last byte of each telling its class.
  fs::path shards(const std::string& name, const std::vector<int64_t>& lengths) {
    std::string lines;
    for (size_t i = 0; i < lengths.size(); ++i)
      lines += fmt::format("{{\"id\": \"{}{}\", \"class\": \"{}\", \"text\": \"{}\"}}\n", name, i,
                           i % 2 ? "odd" : "even",
                           std::string(static_cast<size_t>(lengths[i]), static_cast<char>('a' + i % 26)));
    tokenise({write(name + ".jsonl", lines)}, tokenizer_, dir_ / name,
             {.add_eos = false, .shard_tokens = 500}, {});
    return dir_ / name;
  }
  std::vector<int64_t> random_lengths(size_t n, uint64_t most) {
    Random random(9);
    std::vector<int64_t> lengths(n);
    for (int64_t& length : lengths) length = 1 + static_cast<int64_t>(random.below(most));
    return lengths;
  }
  RowSource text(const TextOptions& o) { return text_source(o, vocabulary_digest(tokenizer_)); }
  /// How often an epoch holds each document, by tokens.
  std::map<std::string, double> copies(const RowSource& source, const std::vector<int64_t>& lengths,
                                       const std::string& name, int64_t epoch = 0) {
    std::map<std::string, double> tokens;
    for (int64_t k = epoch * source.rows; k < (epoch + 1) * source.rows; ++k) {
      TrainingRow row = source.row(k);
      size_t piece = 0;
      for (int64_t t = 0; t < row.tokens(); ++t) {
        if (t > 0 && row.starts[static_cast<size_t>(t)] == t) ++piece;
        tokens[row.documents.at(piece)] += 1;
      }
    }
    for (size_t i = 0; i < lengths.size(); ++i)
      tokens[name + std::to_string(i)] /= static_cast<double>(lengths[i]);
    return tokens;
  }
  Tokenizer tokenizer_ = byte_tokenizer({"<|im_start|>", "<|im_end|>"});
};

TEST_F(Loader, EveryEpochHoldsEveryTokenOnceInAnotherOrder) {
  std::vector<int64_t> lengths = random_lengths(60, 150);
  TextOptions o{.folders = {shards("d", lengths)}, .row_tokens = 64, .seed = 3};
  RowSource source = text(o);
  for (int64_t epoch : {0, 1, 5})
    for (const auto& [name, n] : copies(source, lengths, "d", epoch)) EXPECT_EQ(n, 1) << name;
  int64_t moved = 0;
  for (int64_t k = 0; k < source.rows; ++k) {
    TrainingRow row = source.row(k);
    EXPECT_LE(row.tokens(), 64);
    moved += !equal(row, source.row(k + source.rows));
  }
  EXPECT_GT(moved, source.rows / 2);
  expect_pure([&] { return text(o); }, 2 * source.rows + 3);
}

TEST_F(Loader, CategoriesAndLongDocumentsAreTakenAsOftenAsAsked) {
  std::vector<int64_t> lengths = random_lengths(400, 100);
  TextOptions o{.folders = {shards("d", lengths)},
                .row_tokens = 64,
                .categories = {{"odd", 0.5}},
                .up_sampling = {{50, 3}, {80, 4}},
                .min_tokens = 10};
  auto copies_of = copies(text(o), lengths, "d");
  double odd_short = 0, shorts = 0;
  for (size_t i = 0; i < lengths.size(); ++i) {
    double n = copies_of["d" + std::to_string(i)];
    bool odd = i % 2;
    if (lengths[i] < 10) {
      EXPECT_EQ(n, 0);
    } else if (!odd) {
      EXPECT_EQ(n, lengths[i] >= 80 ? 4 : lengths[i] >= 50 ? 3 : 1) << lengths[i];
    } else if (lengths[i] >= 80) {
      EXPECT_EQ(n, 2);
    } else if (lengths[i] >= 50) {
      EXPECT_TRUE(n == 1 || n == 2) << n;
    } else {
      odd_short += n, shorts += 1;
    }
  }
  EXPECT_NEAR(odd_short / shorts, 0.5, 0.17);  // three standard deviations of a fair coin
}

TEST_F(Loader, NoRowHoldsADocumentTwice) {
  std::vector<int64_t> lengths = random_lengths(50, 20);
  RowSource source = text({.folders = {shards("d", lengths)}, .row_tokens = 64, .up_sampling = {{1, 3}}});
  for (int64_t k = 0; k < source.rows; ++k) {
    TrainingRow row = source.row(k);
    EXPECT_EQ(std::set<std::string>(row.documents.begin(), row.documents.end()).size(), row.documents.size());
  }
}

TEST_F(Loader, OverlappingWindowsHoldTheMiddleTwice) {
  RowSource source = text({.folders = {shards("d", {64})}, .row_tokens = 16, .overlapping = true});
  EXPECT_EQ(source.rows, 7);
}

TEST_F(Loader, PositionsAreSkippedInTheShareAskedFor) {
  TextOptions o{.folders = {shards("d", random_lengths(400, 64))}, .row_tokens = 64};
  o.positions = TrainingPositions::Skipped;
  o.position_target = 1000;
  o.position_share = 0.7;
  RowSource source = text(o);
  double skipped = 0;
  for (int64_t k = 0; k < source.rows; ++k) {
    TrainingRow row = source.row(k);
    double most = *std::max_element(row.positions.begin(), row.positions.end());
    EXPECT_LT(most, 1000);
    skipped += most >= 64;
  }
  EXPECT_NEAR(skipped / static_cast<double>(source.rows), 0.7, 0.12);
  EXPECT_FALSE(equal(source.row(0), source.row(source.rows))) << "positions are drawn anew";
  expect_pure([&] { return text(o); }, 40);
  o.positions = TrainingPositions::Randomised;
  expect_pure([&] { return text(o); }, 40);
  o.positions = TrainingPositions::Skipped;
  o.position_target = 63;
  EXPECT_THROW(text(o), Error);
}

TEST_F(Loader, WhatCannotBeLoadedIsAnError) {
  fs::path folder = shards("d", {20, 30});
  EXPECT_THROW(text_source({.folders = {folder}, .row_tokens = 8}, 1), Error);  // another vocabulary
  EXPECT_THROW(text({.folders = {folder}, .row_tokens = 8, .min_tokens = 31}), Error);
  EXPECT_THROW(text({.folders = {folder}, .row_tokens = 8, .categories = {{"odd", 0}, {"even", 0}}}), Error);
  EXPECT_THROW(text({.folders = {folder}, .row_tokens = 1}), Error);
  EXPECT_THROW(text({.folders = {dir_ / "absent"}, .row_tokens = 8}), Error);
  fs::create_directories(dir_ / "empty");
  EXPECT_THROW(text({.folders = {dir_ / "empty"}, .row_tokens = 8}), Error);
}

class ChatLoader : public Loader {
 protected:
  fs::path conversations(int n) {
    std::string lines;
    for (int i = 0; i < n; ++i)
      lines += fmt::format(
          "{{\"id\": \"c{0}\", \"messages\": [{{\"role\": \"user\", \"content\": \"{1}\"}}, {{\"role\": "
          "\"assistant\", "
          "\"content\": \"answer {0}\"}}]}}\n",
          i, std::string(static_cast<size_t>(i % 40), 'q'));
    return write("chat.jsonl", lines);
  }
  RowSource chat(const ChatOptions& o) { return chat_source(o, tokenizer_, format_, report_); }
  ChatFormat format_{.chat_template = ChatTemplate(
                         "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n"
                         "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
                         "chatml")};
  ReadingReport report_;
};

TEST_F(ChatLoader, PacksConversationsWithTheirMasks) {
  ChatOptions o{.files = {conversations(30)}, .row_tokens = 200, .seed = 5};
  RowSource source = chat(o);
  EXPECT_LT(source.rows, 30);
  std::multiset<std::string> seen, answers;
  for (int64_t k = 0; k < source.rows; ++k) {
    TrainingRow row = source.row(k);
    ASSERT_LE(row.tokens(), 200);
    seen.insert(row.documents.begin(), row.documents.end());
    std::string answer;
    for (size_t t = 0; t < row.ids.size(); ++t) {
      bool last = t + 1 == row.ids.size() || row.starts[t + 1] == static_cast<int64_t>(t) + 1;
      ASSERT_EQ(row.targets[t], last ? -1 : row.ids[t + 1]);
      if (row.weights[t] == 0) continue;
      if (row.targets[t] < 256) {
        answer += static_cast<char>(row.targets[t]);
      } else {
        EXPECT_EQ(row.targets[t], tokenizer_.token_id("<|im_end|>"));
        answers.insert(answer);
        answer.clear();
      }
    }
  }
  std::multiset<std::string> ids, expected;
  for (int i = 0; i < 30; ++i)
    ids.insert(fmt::format("c{}", i)), expected.insert(fmt::format("answer {}", i));
  EXPECT_EQ(seen, ids);
  EXPECT_EQ(answers, expected);
  EXPECT_EQ(report_.documents, 30);
  expect_pure([&] { return chat(o); }, 3 * source.rows);
  o.pack = false;
  EXPECT_EQ(chat(o).rows, 30);
  o.positions = TrainingPositions::Skipped;
  o.position_target = 5000;
  expect_pure([&] { return chat(o); }, 40);
}

TEST_F(ChatLoader, BadConversationsAreNamedAndSkippedOrFatal) {
  ChatOptions o{.files = {conversations(40)}, .row_tokens = 60};  // the longer ones do not fit
  RowSource source = chat(o);
  EXPECT_GT(report_.bad, 3);
  EXPECT_EQ(report_.bad + report_.documents, 40);
  EXPECT_NE(report_.faults.at(0).find("chat.jsonl:"), std::string::npos);
  EXPECT_NE(report_.faults.at(0).find("more than the row's 60"), std::string::npos) << report_.faults.at(0);
  o.on_bad = OnBadDocument::Fail;
  EXPECT_THROW(chat(o), Error);
  o.on_bad = OnBadDocument::Skip;
  o.files = {write("none.jsonl", "{\"messages\": []}\n")};
  EXPECT_THROW(chat(o), Error);
}

RowSource numbers(const std::string& name, int64_t rows) {
  return {name, rows, [name](int64_t k) {
            TrainingRow row;
            row.documents = {name};
            row.ids = {static_cast<int32_t>(k)};
            return row;
          }};
}

TEST(Mixture, TakesEachSourceInItsOrderAndShare) {
  auto make = [] { return mixture({numbers("a", 5), numbers("b", 7), numbers("c", 9)}, {1, 3, 0}, 11); };
  RowSource source = make();
  EXPECT_EQ(source.rows, 21);
  std::map<std::string, int32_t> next;
  for (int64_t k = 0; k < 4000; ++k) {
    TrainingRow row = source.row(k);
    ASSERT_EQ(row.ids[0], next[row.documents[0]]++);
  }
  EXPECT_EQ(next.count("c"), 0u);
  EXPECT_NEAR(next["b"] / 4000.0, 0.75, 0.03);
  expect_pure(make, 100);
  EXPECT_THROW(mixture({numbers("a", 1)}, {0}, 1), Error);
  EXPECT_THROW(mixture({numbers("a", 1), numbers("b", 1)}, {2, -1}, 1), Error);
}

}  // namespace
}  // namespace longspan
