// Where texts are cut, and that nothing of them is lost.
#include "retrieval/passages.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/random.h"
#include "base/text.h"

namespace longspan::retrieval {
namespace {

/// A token a word.
int64_t words(std::string_view text) {
  int64_t n = 0;
  for (size_t i = 0; i < text.size(); ++i)
    n += !std::isspace(static_cast<unsigned char>(text[i])) &&
         (i == 0 || std::isspace(static_cast<unsigned char>(text[i - 1])));
  return n;
}

std::vector<std::string> cut(std::string_view text, const Cutting& cutting) {
  std::vector<std::string> all;
  for (const Passage& p : cut_passages(text, cutting, words))
    all.emplace_back(text.substr(p.begin, p.end - p.begin));
  return all;
}

TEST(Passages, BeginAtHeadingsAndParagraphs) {
  using V = std::vector<std::string>;
  EXPECT_EQ(cut("# A\n\none two three\n\n# B\n\nfour five\n", {8, 0}),
            (V{"# A\n\none two three\n\n", "# B\n\nfour five\n"}));
  // The paragraph's end is stronger than the sentence's behind it.
  EXPECT_EQ(cut("a b c d e\n\nf g. h i j k l", {8, 0}), (V{"a b c d e\n\n", "f g. h i j k l"}));
  // Sentences, also over the end of a line; a line's end is weaker.
  EXPECT_EQ(cut("One two\nthree four. Five six\nseven eight.", {6, 0}),
            (V{"One two\nthree four. ", "Five six\nseven eight."}));
  // A heading of its own does not stand alone.
  EXPECT_EQ(cut("# A\n# B\n\none two three four", {16, 0}).size(), 1u);
  EXPECT_EQ(cut("[chapter 1]\na b c d\n[chapter 2]\ne f", {100, 0}).size(), 1u);
  EXPECT_EQ(cut("[chapter 1]\na b c d\n[chapter 2]\ne f", {16, 0}).size(), 2u);
  EXPECT_TRUE(cut("", {8, 0}).empty());
  EXPECT_TRUE(cut(" \n\t\n", {8, 0}).empty());
}

TEST(Passages, CodeIsCutBetweenLines) {
  std::string code =
      "Text before.\n\n```\n# no heading. really\nint a; int b;\nint c; int d;\n```\nafter it\n";
  for (const std::string& passage : cut(code, {6, 0})) {
    EXPECT_EQ(passage.back(), '\n') << passage;
    EXPECT_LE(words(passage), 6) << passage;
  }
}

TEST(Passages, OverlapRepeatsWholeSentences) {
  std::string text = "A b c. D e f. G h i. J k l. M n o. P q r.";
  std::vector<Passage> all = cut_passages(text, {9, 3}, words);
  ASSERT_GE(all.size(), 3u);
  for (size_t i = 1; i < all.size(); ++i) {
    EXPECT_LT(all[i].begin, all[i - 1].end);
    EXPECT_EQ(words(text.substr(all[i].begin, all[i - 1].end - all[i].begin)), 3);
  }
  // Not over a heading.
  std::vector<Passage> headed = cut_passages("a b c d\n# E\nf g h", {6, 3}, words);
  ASSERT_EQ(headed.size(), 2u);
  EXPECT_EQ(headed[1].begin, headed[0].end);
}

TEST(Passages, KnowTheirLinesAndPages) {
  std::string text = "\n\n[page 1]\none two three four.\n\n[page 2]\nfive six seven eight.\n";
  std::vector<Passage> all = cut_passages(text, {6, 0}, words);
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].line, 3);
  EXPECT_EQ(all[0].last_line, 4);
  EXPECT_EQ(all[0].place.page, 1);
  EXPECT_EQ(all[1].line, 6);
  EXPECT_EQ(all[1].last_line, 7);
  EXPECT_EQ(all[1].place.page, 2);
}

TEST(Passages, ChineseIsCutAtItsSentencesAndAnythingBetweenCharacters) {
  auto characters = [](std::string_view text) {
    return std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; });
  };
  std::string text = "北京是中国的首都。上海是中国最大的城市。广州在南方。";
  std::vector<Passage> all = cut_passages(text, {14, 0}, characters);
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(text.substr(all[1].begin, all[1].end - all[1].begin), "上海是中国最大的城市。");
  std::string run;
  for (int i = 0; i < 100; ++i) run += "字";
  for (const Passage& p : cut_passages(run, {10, 0}, characters)) {
    std::string part = run.substr(p.begin, p.end - p.begin);
    EXPECT_LE(characters(part), 10);
    EXPECT_EQ(valid_utf8(part), part);
  }
  // One word of a megabyte is one token for some tokenizers.
  for (const Passage& p : cut_passages(std::string(1 << 20, 'x'), {100, 0}, words))
    EXPECT_LE(p.end - p.begin, 101 * kMostTokenBytes);
}

TEST(Passages, AnyTextIsCoveredWithinItsTokens) {
  Random random(20261129);
  const std::vector<std::string> parts = {"a",  " ",     "\n",   "\n\n",       "# ", "```\n",
                                          ". ", "word ", "字。", "[page 2]\n", "\t", "\xff"};
  for (int trial = 0; trial < 300; ++trial) {
    std::string text;
    for (int i = 0; i < 200; ++i)
      text += parts[static_cast<size_t>(random.uniform() * static_cast<double>(parts.size()))];
    Cutting cutting{8 + trial % 9, trial % 4};
    size_t covered = text.find_first_not_of(" \t\n");
    size_t before = 0;
    for (const Passage& p : cut_passages(text, cutting, words)) {
      ASSERT_LE(p.begin, covered);
      ASSERT_GT(p.end, covered);
      ASSERT_TRUE(p.begin > before || before == 0 || covered == 0) << text;
      ASSERT_LE(words(std::string_view(text).substr(p.begin, p.end - p.begin)), cutting.tokens) << text;
      before = p.begin;
      covered = p.end;
    }
    ASSERT_EQ(text.find_first_not_of(" \t\n", covered), text.npos);
  }
}

}  // namespace
}  // namespace longspan::retrieval
