// bench with the built program: its rows, what they are measured against, and llama-bench beside it.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "cli/program.h"

namespace longspan {
namespace {

using Bench = ProgramTest;

TEST_F(Bench, ReportsItsRows) {
  Outcome r = run({"bench", tiny_model(512), "-p", "16,32", "-n", "4", "-d", "0,64", "-r", "2", "--json"});
  ASSERT_EQ(r.status, 0) << r.err;
  Json rows = r.json()["rows"];
  ASSERT_EQ(rows.size(), 6u);
  EXPECT_EQ(rows[0]["test"], "pp16");
  EXPECT_EQ(rows[5]["test"], "tg4");
  EXPECT_EQ(rows[5]["depth"], 64);
  for (const Json& row : rows) EXPECT_GT(row["tokens_per_s"].get<double>(), 0);
}

TEST_F(Bench, SaysWhatTheMachineCouldDo) {
  std::string model = tiny_model(512);
  Json r = run({"bench", model, "-p", "64", "-n", "4", "-r", "3", "--json"}).json();
  EXPECT_GT(r["machine"]["f32_flops_per_s"], 1e6);
  EXPECT_GT(r["machine"]["bytes_per_s"], 1e6);
  EXPECT_GT(r["rows"][0]["share_of_products"], 0);
  EXPECT_GT(r["rows"][1]["share_of_memory"], 0);
  std::vector<double> runs = r["rows"][0]["runs"];
  std::sort(runs.begin(), runs.end());
  EXPECT_EQ(r["rows"][0]["tokens_per_s"], runs[1]);
  EXPECT_EQ(r["rows"][0]["least"], runs[0]);
  EXPECT_EQ(r["rows"][0]["most"], runs[2]);
  Outcome words = run({"bench", model, "-p", "64", "-n", "0", "-r", "1"});
  EXPECT_NE(words.out.find("measured at most: "), std::string::npos) << words.out;
  EXPECT_NE(words.out.find(" % products"), std::string::npos) << words.out;
}

/// A script in llama-bench's place: notes how it was called, and says each time another rate.
class Peer : public ProgramTest {
 protected:
  std::string gguf() {
    std::string file = (dir_ / "tiny.gguf").string();
    Outcome made = run({"convert", tiny_model(512), "--type", "f32", "-o", file});
    EXPECT_EQ(made.status, 0) << made.err;
    return file;
  }
  std::string script(const std::string& body) {
    std::string path =
        write("llama-bench", "#!/bin/sh\necho \"$@\" >> " + (dir_ / "calls").string() + "\n" + body);
    fs::permissions(path, fs::perms::owner_all);
    return path;
  }
};

TEST_F(Peer, TakesTurnsAndIsAskedTheSame) {
  std::string model = gguf(), peer = script(R"(echo "loading [model" >&2
n=$(wc -l < "$0.count" 2>/dev/null || echo 0); echo >> "$0.count"
case $n in 0) rate=100 ;; 1) rate=400.5 ;; *) rate=200 ;; esac
echo '[ { "n_prompt": 16, "avg_ts": '$rate', "samples_ts": [ '$rate' ] } ]'
)");
  Outcome r = run({"bench", model, "-p", "16", "-n", "0", "-d", "8", "-r", "3", "-t", "2", "--cache-type",
                   "k=f16,v=bf16", "--against", peer, "--json"});
  ASSERT_EQ(r.status, 0) << r.err;
  Json row = r.json()["rows"][0];
  EXPECT_EQ(row["peer_runs"], (std::vector<double>{100, 400.5, 200}));
  EXPECT_EQ(row["peer_tokens_per_s"], 200);
  std::vector<double> ours = row["runs"], ratios = {ours[0] / 100, ours[1] / 400.5, ours[2] / 200};
  std::sort(ratios.begin(), ratios.end());
  EXPECT_DOUBLE_EQ(row["ratio"], ratios[1]);
  std::string calls = read_file(dir_ / "calls"), call = calls.substr(0, calls.find('\n'));
  EXPECT_EQ(call, "-m " + model + " -o json -r 1 -fa 1 -p 16 -n 0 -d 8 -t 2 -ctk f16 -ctv bf16 -ngl 0");
  EXPECT_EQ(std::count(calls.begin(), calls.end(), '\n'), 3);
  Outcome words = run({"bench", model, "-p", "16", "-n", "4", "-b", "1,2", "-r", "1", "--against", peer});
  EXPECT_NE(words.out.find("llama.cpp"), std::string::npos) << words.out;
  EXPECT_NE(words.out.find("200.00"), std::string::npos) << words.out;
}

TEST_F(Peer, FaultsNameTheProgram) {
  std::string model = gguf();
  auto bench = [&](const std::string& peer) {
    return run({"bench", model, "-p", "16", "-n", "0", "-r", "1", "--against", peer});
  };
  Outcome missing = bench((dir_ / "nowhere").string()),
          fails = bench(script("echo 'no such model' >&2; exit 3\n"));
  EXPECT_EQ(missing.status, 1);
  EXPECT_NE(missing.err.find("nowhere"), std::string::npos) << missing.err;
  EXPECT_EQ(missing.out, "") << "it was found missing after a run";
  std::string plain = write("not-executable", "");
  EXPECT_NE(bench(plain).err.find("not found"), std::string::npos);
  EXPECT_EQ(fails.status, 1);
  EXPECT_NE(fails.err.find("status 3: "), std::string::npos) << fails.err;
  EXPECT_NE(fails.err.find("no such model"), std::string::npos) << fails.err;
  for (const char* text : {"echo '[]'\n", "echo 'avg_ts 12'\n", "echo '[{\"avg_ts\": 0}]'\n"}) {
    Outcome other = bench(script(text));
    EXPECT_EQ(other.status, 1) << text;
    EXPECT_TRUE(other.err.find("llama-bench") != std::string::npos) << other.err;
  }
  Outcome directory = run({"bench", tiny_model(64), "-p", "16", "--against", script("")});
  EXPECT_EQ(directory.status, 1);
  EXPECT_NE(directory.err.find("GGUF"), std::string::npos) << directory.err;
}

TEST_F(Bench, FitsHowReadingGrows) {
  std::string model = tiny_model(4096);
  Outcome r = run({"bench", model, "--growth", "1024,256,2048", "-r", "2", "--json"});
  ASSERT_EQ(r.status, 0) << r.err;
  Json growth = r.json()["growth"];
  double linear = growth["linear_s"], quadratic = growth["quadratic_s"];
  EXPECT_GT(linear + quadratic, 0);
  ASSERT_EQ(growth["rows"].size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    double n = std::vector<double>{256, 1024, 2048}[i];
    EXPECT_EQ(growth["rows"][i]["tokens"], n);
    EXPECT_NEAR(growth["rows"][i]["fit_s"], linear * n + quadratic * n * n, 1e-9);
  }
  EXPECT_TRUE(r.json()["rows"].empty());
  EXPECT_EQ(run({"bench", model, "--growth", "1024"}).status, 1);
}

}  // namespace
}  // namespace longspan
