// longspan corpus on small files: the numbers, the pictures, the shards, and what is refused.
#include <algorithm>

#include "cli/program.h"
#include "data/shards.h"

namespace longspan {

namespace {

class CorpusProgram : public ProgramTest {
 protected:
  void SetUp() override {
    ProgramTest::SetUp();
    model_ = tiny_model(64);
    // A token a letter: documents of 3, 10 and 17 tokens of one class, 5 of another.
    lines_ = write("books.jsonl",
                   "{\"text\": \"abc\"}\n{\"text\": \"abcdefghij\"}\n{\"text\": \"abcdefghijklmnopq\"}\n");
    text_ = write("notes.txt", "hello");
  }
  std::string model_, lines_, text_;
};

TEST_F(CorpusProgram, StatsCountsAndDraws) {
  std::string folder = (dir_ / "out").string();
  Outcome r = run({"corpus", "stats", "--model", model_, lines_, text_, "--bin", "8", "--most", "16", "-o",
                   folder, "--json"});
  ASSERT_EQ(r.status, 0) << r.err;
  Json json = r.json();
  EXPECT_EQ(json["all"]["documents"], 4);
  EXPECT_EQ(json["all"]["tokens"], 35);
  ASSERT_EQ(json["categories"].size(), 2u);
  const Json& books = json["categories"][0];
  EXPECT_EQ(books["name"], "books");
  EXPECT_EQ(books["median"], 10);
  EXPECT_EQ(books["longest"], 17);
  EXPECT_EQ(books["bins"], parse_json("[{\"from\":0,\"to\":8,\"documents\":1,\"tokens\":3},"
                                      "{\"from\":8,\"to\":16,\"documents\":1,\"tokens\":10},"
                                      "{\"from\":16,\"to\":null,\"documents\":1,\"tokens\":17}]",
                                      "expected"));
  EXPECT_EQ(parse_json_file(fs::path(folder) / "corpus.json"), json);
  for (const char* name : {"lengths.svg", "lengths.png", "corpus.html"})
    EXPECT_GT(fs::file_size(fs::path(folder) / name), 1000u) << name;
  EXPECT_NE(read_file(fs::path(folder) / "corpus.html").find("<svg"), std::string::npos);
}

TEST_F(CorpusProgram, WithoutGnuplotThePageHasItsTable) {
  std::string folder = (dir_ / "bare").string();
  Outcome r = run({"corpus", "stats", "--model", model_, lines_, text_, "-o", folder}, "", "PATH=/nowhere");
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_NE(r.out.find("\nbooks "), std::string::npos) << r.out;
  EXPECT_TRUE(fs::exists(fs::path(folder) / "corpus.json"));
  std::string page = read_file(fs::path(folder) / "corpus.html");
  EXPECT_NE(page.find("apt-get install gnuplot-nox"), std::string::npos);
  EXPECT_NE(page.find("<th scope=\"row\">books</th>"), std::string::npos);
}

TEST_F(CorpusProgram, StatsPrintsATableWithBars) {
  Outcome r = run({"corpus", "stats", "--model", model_, lines_, text_, "--bin", "8", "--most", "1000"});
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_NE(r.out.find("\nbooks "), std::string::npos) << r.out;
  EXPECT_NE(r.out.find("0 - 7               ##########            50.0 %"), std::string::npos) << r.out;
  EXPECT_EQ(r.out.find("24 - 31"), std::string::npos) << "bins behind the last document";
}

TEST_F(CorpusProgram, PackWritesShardsAndTellsTheEfficiency) {
  std::string folder = (dir_ / "shards").string();
  Outcome r =
      run({"corpus", "pack", "--model", model_, lines_, text_, "-o", folder, "--row", "10,64", "--json"});
  ASSERT_EQ(r.status, 0) << r.err;
  Json json = r.json();
  EXPECT_EQ(json["documents"], 4);
  EXPECT_EQ(json["tokens"], 39);  // with an eos each
  // 4, 11 = 10 + 1, 18 = 10 + 8, 6 in rows of 10: 10, 10, 8 + 1, 6 + 4.
  EXPECT_EQ(
      json["packing"][0],
      Json({{"row", 10}, {"rows", 4}, {"efficiency", 39.0 / 40}, {"documents", 4}, {"cut_documents", 2}}));
  EXPECT_EQ(json["packing"][1]["rows"], 1);
  Shard shard(json["shards"][0].get<std::string>());
  EXPECT_EQ(shard.documents().size(), 4u);
  EXPECT_EQ(shard.documents()[3].category, "notes");
  Outcome again = run({"corpus", "pack", "--model", model_, text_, "-o", folder});
  EXPECT_EQ(again.status, 1);
  EXPECT_TRUE(again.one_sentence()) << again.err;
}

TEST_F(CorpusProgram, BadDocumentsAreReportedOrFatal) {
  std::string bad = write("bad.jsonl", "{\"text\": \"abc\"}\n{\"text\n");
  Outcome r = run({"corpus", "stats", "--model", model_, bad, "--json"});
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_EQ(r.json()["bad"], 1);
  EXPECT_NE(r.err.find("bad.jsonl:2: "), std::string::npos) << r.err;
  for (const char* command : {"stats", "pack"}) {
    std::vector<std::string> arguments = {"corpus", command, "--model", model_, bad, "--strict"};
    if (command == std::string("pack")) arguments.insert(arguments.end(), {"-o", (dir_ / "s").string()});
    Outcome strict = run(arguments);
    EXPECT_EQ(strict.status, 1);
    EXPECT_TRUE(strict.one_sentence()) << strict.err;
    EXPECT_NE(strict.err.find("bad.jsonl:2: "), std::string::npos) << strict.err;
  }
  EXPECT_FALSE(fs::exists(dir_ / "s"));
  EXPECT_FALSE(fs::exists(dir_ / "s.part"));
}

TEST_F(CorpusProgram, SynthWritesConversations) {
  std::string out = (dir_ / "sft.jsonl").string();
  Outcome r = run({"corpus", "synth", "--model", model_, "--mix", "key_value=1", "--tokens", "2000",
                   "--records", "3", "--turns", "4", "-o", out, "--json"});
  ASSERT_EQ(r.status, 0) << r.err;
  Json json = r.json();
  EXPECT_EQ(json["records"], 3);
  EXPECT_EQ(json["kinds"], Json({{"key_value", 3}}));
  EXPECT_GE(json["mean_tokens"].get<int64_t>(), 1800);
  EXPECT_LE(json["mean_tokens"].get<int64_t>(), 2000);
  std::string lines = read_file(out);
  EXPECT_EQ(std::count(lines.begin(), lines.end(), '\n'), 3);
  EXPECT_EQ(parse_json(lines.substr(0, lines.find('\n')), "line")["messages"].size(), 8u);
  for (const char* mix : {"facts=1", "key_value=much", "riddles"}) {
    Outcome bad = run({"corpus", "synth", "--model", model_, "--mix", mix, "-o", out});
    EXPECT_EQ(bad.status, 1) << mix;
    EXPECT_TRUE(bad.one_sentence()) << bad.err;
  }
  EXPECT_EQ(run({"corpus", "synth", "--model", model_, "-o", out, "--tokens", "0"}).status, 2);
}

TEST_F(CorpusProgram, UsageIsChecked) {
  EXPECT_EQ(run({"corpus"}).status, 2);
  EXPECT_EQ(run({"corpus", "stats", lines_}).status, 2);
  EXPECT_EQ(run({"corpus", "pack", "--model", model_, lines_}).status, 2);
  Outcome r = run({"corpus", "stats", "--model", model_, lines_, "--bin", "1", "--most", "1000000000"});
  EXPECT_EQ(r.status, 1);
  EXPECT_TRUE(r.one_sentence()) << r.err;
  EXPECT_EQ(run({"corpus", "stats", "--help"}).status, 0);
}

}  // namespace

}  // namespace longspan
