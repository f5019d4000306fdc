// longspan attention on a tiny model: the JSON's shape, the table, the pictures, and what is refused.
#include "cli/program.h"

namespace longspan {

namespace {

class AttentionProgram : public ProgramTest {
 protected:
  void SetUp() override {
    ProgramTest::SetUp();
    std::string text;
    while (text.size() < 60) text += "the quick brown fox jumps over the lazy dog. ";
    file_ = write("text", text.substr(0, 60));
    model_ = tiny_model(64);
  }
  std::string file_, model_;
};

TEST_F(AttentionProgram, JsonHasALayerAHeadABinAndThePagesAreWritten) {
  std::string folder = (dir_ / "out" / "map").string();
  Outcome r = run({"attention", model_, "--file", file_, "--length", "50", "-o", folder, "--json"});
  ASSERT_EQ(r.status, 0) << r.err;
  Json json = r.json();
  EXPECT_EQ(json["length"], 50);
  EXPECT_EQ(json["queries"], 49);
  EXPECT_EQ(json["trained_context"], 64);
  size_t bins = json["distances"].size() - 1;
  EXPECT_EQ(json["distances"].back(), 49);
  for (const char* field : {"mass", "density"}) {
    ASSERT_EQ(json[field].size(), 2u) << field;
    ASSERT_EQ(json[field][0].size(), 4u) << field;
    EXPECT_EQ(json[field][1][3].size(), bins) << field;
  }
  double sum = json["heads"][0][0]["first_token"];
  EXPECT_GT(sum, 0);
  EXPECT_LT(sum, 1);
  for (const char* field : {"reach", "median_distance", "distance_90", "mean_distance", "entropy"}) {
    EXPECT_GT(json["heads"][1][2][field], 0) << field;
    EXPECT_GT(json["layers"][1][field], 0) << field;
  }
  for (const char* name : {"attention_density", "attention_mass", "attention_layers"}) {
    EXPECT_GT(fs::file_size(fs::path(folder) / (std::string(name) + ".png")), 1000u) << name;
    EXPECT_GT(fs::file_size(fs::path(folder) / (std::string(name) + ".svg")), 1000u) << name;
  }
  EXPECT_EQ(parse_json_file(fs::path(folder) / "attention.json"), json);
  std::string page = read_file(fs::path(folder) / "attention.html");
  EXPECT_NE(page.find("<svg"), std::string::npos);
  EXPECT_EQ(page.find("href=\"attention"), std::string::npos) << "a picture lies outside the page";
}

TEST_F(AttentionProgram, WithoutGnuplotNothingIsLost) {
  std::string folder = (dir_ / "bare").string();
  Outcome r = run({"attention", model_, "--file", file_, "-o", folder}, "", "PATH=/nowhere");
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_TRUE(r.out.starts_with("layer")) << r.out;
  EXPECT_NE(r.err.find("apt-get install gnuplot-nox"), std::string::npos) << r.err;
  EXPECT_TRUE(fs::exists(fs::path(folder) / "attention.json"));
  std::string page = read_file(fs::path(folder) / "attention.html");
  EXPECT_NE(page.find("apt-get install gnuplot-nox"), std::string::npos);
  EXPECT_NE(page.find("<th scope=\"col\">reach</th>"), std::string::npos);
}

TEST_F(AttentionProgram, TableHasALineALayer) {
  Outcome r = run({"attention", model_, "--file", file_, "--position", "linear:factor=2"});
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_TRUE(r.out.starts_with("layer")) << r.out;
  EXPECT_EQ(std::count(r.out.begin(), r.out.end(), '\n'), 3) << r.out;
}

TEST_F(AttentionProgram, RefusesWhatDoesNotFitOrIsTooShort) {
  std::string longer = write("longer", std::string(100, 'a'));
  Outcome r = run({"attention", model_, "--file", longer});
  EXPECT_EQ(r.status, 1);
  EXPECT_TRUE(r.one_sentence()) << r.err;
  EXPECT_EQ(run({"attention", model_, "--file", longer, "--context", "100", "-q"}).status, 0);
  Outcome one = run({"attention", model_, "--file", write("one", "a")});
  EXPECT_EQ(one.status, 1);
  EXPECT_TRUE(one.one_sentence()) << one.err;
}

}  // namespace

}  // namespace longspan
