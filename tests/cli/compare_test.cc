// compare as a user runs it: fields, files, going on after an end, and the sentences for what goes wrong.
#include <algorithm>
#include <map>

#include "cli/program.h"

namespace longspan {
namespace {

using CompareProgram = ProgramTest;

std::string story(size_t characters) {
  std::string text;
  for (int i = 0; text.size() < characters; ++i)
    text += "the quick brown fox " + std::to_string(i) + " jumps over the lazy dog. ";
  text.resize(characters);
  return text;
}

std::vector<std::string> with(std::vector<std::string> arguments, const std::vector<std::string>& more) {
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

TEST_F(CompareProgram, RowsOfEveryMethodAndLength) {
  std::string model = tiny_model(64), text = write("text", story(500));
  std::vector<std::string> exact = {"--compute", "f32", "--cache-type", "f32", "--json"};
  Outcome r =
      run(with({"compare", model, "--file", text, "--methods", "none, linear;yarn:factor=4,beta_fast=16",
                "--lengths", "128,64", "--tail", "32", "--passkeys", "0"},
               exact));
  ASSERT_EQ(r.status, 0) << r.err;
  Json result = r.json(), rows = result["rows"];
  ASSERT_EQ(rows.size(), 6u);
  const char* methods[] = {
      "none", "none", "linear", "linear", "yarn:factor=4,beta_fast=16", "yarn:factor=4,beta_fast=16"};
  for (size_t i = 0; i < 6; ++i) {
    EXPECT_EQ(rows[i]["method"], methods[i]);
    EXPECT_EQ(rows[i]["length"], i % 2 ? 128 : 64);
    EXPECT_GT(rows[i]["seconds"].get<double>(), 0);
    EXPECT_GT(rows[i]["memory_bytes"].get<double>(), rows[i]["kv_bytes"].get<double>());
    EXPECT_TRUE(rows[i]["passkey"].is_null());
  }
  EXPECT_EQ(rows[3]["spec"], "linear:factor=2");
  EXPECT_TRUE(result["complete"].get<bool>());
  // The same as score on the last 128 characters, each of which is a token.
  std::string last = story(500).substr(500 - 128);
  Outcome score = run(
      with({"score", model, "--file", write("last", last), "--position", "linear:factor=2", "--from", "96"},
           exact));
  ASSERT_EQ(score.status, 0) << score.err;
  EXPECT_NEAR(rows[3]["nll"].get<double>(), score.json()["nll"].get<double>(), 1e-5);
}

TEST_F(CompareProgram, KeepsEveryResultAndGoesOn) {
  std::string model = tiny_model(512), text = write("text", story(2000)), out = (dir_ / "out's").string();
  std::vector<std::string> arguments = {"compare",     model,       "--file",  text,     "--methods",
                                        "none,linear", "--lengths", "256,512", "--tail", "32",
                                        "--passkeys",  "2",         "-o",      out};
  Outcome first = run(arguments);
  ASSERT_EQ(first.status, 0) << first.err;
  EXPECT_NE(first.out.find("linear:factor=1"), std::string::npos) << first.out;
  EXPECT_NE(first.out.find(" of 2"), std::string::npos) << first.out;
  std::string object = read_file(fs::path(out) / "compare.json"),
              page = read_file(fs::path(out) / "compare.html");
  // Two methods at two lengths; linear does nothing at the trained length, but goes by its own name.
  auto kept = [&] {
    std::map<fs::path, std::string> lines;
    for (const auto& run : fs::directory_iterator(fs::path(out) / "runs"))
      lines[run.path() / "results.jsonl"] = read_file(run.path() / "results.jsonl");
    return lines;
  };
  const auto lines = kept();
  EXPECT_EQ(lines.size(), 4u);
  for (const auto& [file, text_of_run] : lines)
    EXPECT_EQ(std::count(text_of_run.begin(), text_of_run.end(), '\n'), 3) << file;  // a window, two keys
  EXPECT_TRUE(fs::exists(fs::path(out) / "passkeys.svg"));
  for (const char* name : {"loss", "position", "seconds"})
    for (const char* extension : {".svg", ".png"})
      EXPECT_TRUE(fs::exists(fs::path(out) / (std::string(name) + extension))) << name << extension;
  EXPECT_NE(page.find("<svg"), std::string::npos);
  EXPECT_NE(page.find("longspan compare"), std::string::npos);
  EXPECT_EQ(page.find("src="), std::string::npos);  // nothing is fetched

  Outcome again = run(arguments);
  ASSERT_EQ(again.status, 0) << again.err;
  EXPECT_NE(again.err.find("12 of 12"), std::string::npos) << again.err;
  EXPECT_EQ(read_file(fs::path(out) / "compare.json"), object);
  EXPECT_EQ(kept(), lines);

  // Without gnuplot: table, JSON and a page that says what is missing.
  fs::remove(fs::path(out) / "compare.html");
  Outcome plain = run(arguments, "", "PATH=/nowhere");
  EXPECT_EQ(plain.status, 0) << plain.err;
  EXPECT_NE(plain.out.find("linear:factor=1"), std::string::npos) << plain.out;
  EXPECT_NE(plain.err.find("apt-get install gnuplot-nox"), std::string::npos) << plain.err;
  std::string bare = read_file(fs::path(out) / "compare.html");
  EXPECT_NE(bare.find("apt-get install gnuplot-nox"), std::string::npos);
  EXPECT_NE(bare.find("linear:factor=1"), std::string::npos);
  EXPECT_NE(bare.find("class=\"heat"), std::string::npos);

  // Killed within a line: the rest of it is done again.
  const auto& [file, whole] = *lines.begin();
  write_file_atomic(file, whole.substr(0, whole.size() / 2));
  Outcome third = run(with(arguments, {"--json"}));
  ASSERT_EQ(third.status, 0) << third.err;
  Json before = parse_json(object, "before"), after = third.json();
  ASSERT_EQ(after["rows"].size(), before["rows"].size());
  for (size_t i = 0; i < after["rows"].size(); ++i)
    EXPECT_EQ(after["rows"][i]["nll"], before["rows"][i]["nll"]);
}

TEST_F(CompareProgram, SparseAttentionIsARunOfItsOwn) {
  std::string model = tiny_model(256), text = write("text", story(300)), out = (dir_ / "out").string();
  for (const std::string attention : {"dense", "sparse:share=0.5", "dense"}) {
    Outcome r = run({"compare", model, "--file", text, "--methods", "none", "--lengths", "64", "--tail", "32",
                     "--passkeys", "0", "--attention", attention, "-o", out});
    EXPECT_EQ(r.status, 0) << r.err;
  }
  EXPECT_EQ(std::distance(fs::directory_iterator(dir_ / "out" / "runs"), fs::directory_iterator()), 2);
}

TEST_F(CompareProgram, FaultsAreFoundBeforeAnythingIsDone) {
  std::string model = tiny_model(64), text = write("text", story(200));
  auto fault = [&](const std::vector<std::string>& more, const std::string& part) {
    Outcome r = run(with({"compare", model, "--file", text, "--tail", "32", "--passkeys", "0"}, more));
    EXPECT_EQ(r.status, 1);
    EXPECT_NE(r.err.find(part), std::string::npos) << r.err;
    EXPECT_EQ(r.out, "");
  };
  fault({"--methods", "none", "--lengths", "64,4096"}, "4,096");
  fault({"--methods", "none", "--lengths", "32"}, "--tail");
  fault({"--methods", "none,yam", "--lengths", "64"}, "yam");
  fault({"--methods", "none,none", "--lengths", "64"}, "twice");
  fault({"--methods", "yarn:factor=0", "--lengths", "64"}, "factor");
  fault({"--methods", "none", "--lengths", "64", "--windows", "9"}, "overlap");
  EXPECT_EQ(run({"compare", model, "--file", text, "--lengths", "64"}).status, 2);
}

}  // namespace
}  // namespace longspan
