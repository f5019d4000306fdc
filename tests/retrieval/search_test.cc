// Words for FTS5, fusing of ranks, nearest vectors with and without the graph, and what is made of hits.
#include "retrieval/search.h"

#include "base/file.h"
#include "base/random.h"
#include "retrieval/context.h"
#include "retrieval/index_files.h"
#include "retrieval/words.h"

namespace longspan::retrieval {
namespace {

TEST(Words, ScriptsWithoutBlanksBecomePairs) {
  EXPECT_EQ(searchable("plain text, as it is"), "plain text, as it is");
  EXPECT_EQ(searchable("用AI研究"), " 用 AI 研究 究 ");
  EXPECT_EQ(match_expression("Who wrote it?"), "\"Who\" OR \"wrote\" OR \"it\"");
  EXPECT_EQ(match_expression("人工智能"), "\"人工\" OR \"工智\" OR \"智能\"");
  EXPECT_EQ(match_expression("字 a"), "\"字\"* OR \"a\"");
  EXPECT_EQ(match_expression("no no no"), "\"no\"");
  EXPECT_EQ(match_expression("?!\"'"), "");
  EXPECT_EQ(match_expression(std::string("a\0b\"\xff*", 7)), "\"a\" OR \"b\"");
  std::string many;
  for (int i = 0; i < 1000; ++i) many += "w" + std::to_string(i) + " ";
  std::string match = match_expression(many);
  EXPECT_EQ(std::count(match.begin(), match.end(), '"'), 2 * kMostQueryWords);
}

TEST(Fuse, AddsReciprocalRanks) {
  std::vector<std::vector<int64_t>> lists = {{7, 5, 9}, {5, 2}};
  std::vector<Fused> all = fuse(lists);
  ASSERT_EQ(all.size(), 4u);
  EXPECT_EQ(all[0].id, 5);
  EXPECT_DOUBLE_EQ(all[0].score, 1.0 / 62 + 1.0 / 61);
  EXPECT_EQ(all[0].ranks, (std::vector<int64_t>{2, 1}));
  EXPECT_EQ(all[1].id, 7);
  EXPECT_EQ(all[2].id, 2);  // 1 / 62
  EXPECT_EQ(all[3].id, 9);
  EXPECT_DOUBLE_EQ(all[3].score, 1.0 / 63);
  EXPECT_EQ(all[3].ranks, (std::vector<int64_t>{3, 0}));
  std::vector<std::vector<int64_t>> same = {{4, 3}, {3, 4}};
  EXPECT_EQ(fuse(same)[0].id, 3);  // equal scores: by id
  EXPECT_DOUBLE_EQ(fuse(std::vector<std::vector<int64_t>>{{1, 1}})[0].score, 1.0 / 61);
  EXPECT_TRUE(fuse({}).empty());
}

class Search : public IndexTest {};

TEST_F(Search, FindsWordsInAnyScriptAndWithOtherEndings) {
  Store s = store();
  update(s, {write("a.txt", "The looms of the mill were driven by steam."),
             write("b.txt", "北京是中国的首都。"), write("c.txt", "Der Fluß heißt Elbe. ÀÉÎ")});
  auto first = [&](const std::string& question) {
    std::vector<int64_t> ids = s.find_words(question, 5);
    return ids.empty() ? "" : fs::path(s.passage(ids[0])->path).filename().string();
  };
  EXPECT_EQ(first("drives a loom"), "a.txt");
  EXPECT_EQ(first("首都在哪里"), "b.txt");
  EXPECT_EQ(first("都"), "b.txt");
  EXPECT_EQ(first("elbe"), "c.txt");
  EXPECT_EQ(first("aei"), "c.txt");
  EXPECT_EQ(first("zebra"), "");
}

TEST_F(Search, HostileQuestionsAreOnlyWords) {
  Store s = store();
  update(s, {write("a.txt", "NEAR the text of column OR NOT")});
  std::string noise;
  Random random(7);
  for (int i = 0; i < 5000; ++i) noise += static_cast<char>(random.uniform() * 256);
  for (const std::string& question :
       {std::string("\""), std::string("text:a"), std::string("a\" OR text MATCH \"b"),
        std::string("NEAR(a b, 2)"), std::string("* ^ - + ( ) { }"),
        std::string("'; DROP TABLE passages; --"), std::string("\0x", 2), noise, std::string(1 << 20, 'a'),
        std::string("\xf0\x28\x8c\x28")})
    EXPECT_NO_THROW(find(s, question));
  EXPECT_EQ(s.passage_count(), 1);
}

TEST_F(Search, TheGraphFindsWhatExactSearchFinds) {
  Store s = store();
  constexpr int64_t kRows = 2000;
  auto width = static_cast<size_t>(embedder_.dimensions());
  Random random(5);
  std::vector<Passage> passages(kRows);
  std::vector<float> vectors;
  std::string text(kRows, 'x');
  for (size_t i = 0; i < passages.size(); ++i) {
    passages[i].begin = i, passages[i].end = i + 1;
    double squares = 0;
    for (size_t d = 0; d < width; ++d) {
      vectors.push_back(static_cast<float>(random.uniform() - 0.5));
      squares += double{vectors.back()} * vectors.back();
    }
    for (size_t d = 0; d < width; ++d) vectors[i * width + d] /= static_cast<float>(std::sqrt(squares));
  }
  auto put = [&] {
    Transaction transaction(s.database());
    s.put({.path = "p"}, text, passages, vectors);
    transaction.commit();
  };
  put();
  VectorIndex exact(s);
  EXPECT_EQ(exact.in_graph(), 0);
  EXPECT_FALSE(wants_graph(s));
  EXPECT_TRUE(wants_graph(s, 500));
  EXPECT_FALSE(make_graph(s, [](int64_t, int64_t) { return false; }));
  ASSERT_TRUE(make_graph(s, [](int64_t, int64_t) { return true; }));
  EXPECT_FALSE(wants_graph(s, 500));
  VectorIndex graph(s);
  EXPECT_EQ(graph.in_graph(), kRows);
  int same = 0;
  for (size_t q = 0; q < 50; ++q) {
    std::span<const float> query(vectors.data() + q * 7 * width, width);
    auto a = exact.nearest(query, 10), b = graph.nearest(query, 10);
    EXPECT_EQ(a[0].passage, b[0].passage);
    EXPECT_NEAR(a[0].cosine, 1, 1e-5);
    for (size_t i = 0; i < 10; ++i)
      same += std::any_of(b.begin(), b.end(), [&](const Neighbour& n) { return n.passage == a[i].passage; });
  }
  EXPECT_GE(same, 480);
  // What came since is searched exactly; what is gone makes the graph old.
  s.put({.path = "q"}, "y", std::span<const Passage>(passages).first(1),
        std::span<const float>(vectors).first(width));
  VectorIndex more(s);
  EXPECT_EQ(more.in_graph(), kRows);
  EXPECT_EQ(more.nearest(std::span<const float>(vectors).first(width), 2)[1].passage, kRows + 1);
  {
    Transaction transaction(s.database());
    s.remove("p");
    transaction.commit();
  }
  EXPECT_FALSE(wants_graph(s, 500));
  EXPECT_TRUE(wants_graph(s, 1));
  EXPECT_EQ(find(s, "x").size(), 1u);
  // A damaged one costs time and no answer.
  put();
  ASSERT_TRUE(make_graph(s, [](int64_t, int64_t) { return true; }));
  fs::resize_file(dir_ / "index" / "graph.faiss", 1000);
  VectorIndex damaged(s);
  EXPECT_NE(damaged.remark().find("the graph is not used"), std::string::npos);
  EXPECT_EQ(damaged.nearest(std::span<const float>(vectors).first(width), 3).size(), 3u);
  EXPECT_TRUE(wants_graph(s, 500));
}

TEST_F(Search, ContextIsInTheOrderOfTheDocumentsAndJoined) {
  std::string text = "Alpha one two. Beta three four. Gamma five six.";
  auto hit = [&](int64_t document, int64_t begin, int64_t end, int64_t line, double score) {
    return Hit{.passage = {.id = begin + 1,
                           .document = document,
                           .path = "/d" + std::to_string(document),
                           .begin = begin,
                           .end = end,
                           .line = line,
                           .last_line = line,
                           .text = text.substr(begin, end - begin)},
               .score = score};
  };
  std::vector<Hit> hits = {hit(2, 0, 15, 1, 0.9), hit(1, 15, 32, 2, 0.8), hit(1, 10, 20, 1, 0.7),
                           hit(1, 32, 47, 5, 0.1)};
  std::vector<Source> sources = join(hits);
  ASSERT_EQ(sources.size(), 2u);
  EXPECT_EQ(sources[0].path, "/d1");
  EXPECT_EQ(sources[0].text, text.substr(10));
  EXPECT_EQ(sources[0].passages, 3);
  EXPECT_EQ(sources[0].last_line, 5);
  EXPECT_DOUBLE_EQ(sources[0].score, 0.8);
  EXPECT_EQ(context_text(sources),
            "[1: /d1, lines 1-5]\n" + text.substr(10) + "\n\n[2: /d2, line 1]\nAlpha one two.");
  auto count = [](const std::string& t) { return std::ssize(t); };
  EXPECT_EQ(choose(hits, 1000, count).size(), 2u);
  std::vector<Source> few = choose(hits, 40, count);
  ASSERT_EQ(few.size(), 1u);
  EXPECT_EQ(few[0].path, "/d2");
  EXPECT_TRUE(choose(hits, 10, count).empty());
}

}  // namespace
}  // namespace longspan::retrieval
