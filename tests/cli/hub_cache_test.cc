// Ids of the hub: what the hub's tools leave in their cache, laid out by hand here, and what is said when it
// is not there.
#include "cli/hub_cache.h"

#include "cli/program.h"

namespace longspan::cli {

namespace {

TEST(HubId, Forms) {
  std::optional<HubId> id = hub_id("meta-llama/Llama-3.2-1B");
  ASSERT_TRUE(id);
  EXPECT_EQ(id->repository, "meta-llama/Llama-3.2-1B");
  EXPECT_EQ(id->revision, "main");
  id = hub_id("a/b@v1.0");
  EXPECT_EQ(id->revision, "v1.0");
  id = hub_id("Qwen/Qwen3-8B-GGUF:Q4_K_M");
  EXPECT_EQ(id->repository, "Qwen/Qwen3-8B-GGUF");
  EXPECT_EQ(id->tag, "Q4_K_M");
  id = hub_id("Qwen/Qwen3-8B-GGUF/folder/x-Q8_0.gguf");
  EXPECT_EQ(id->file, "folder/x-Q8_0.gguf");
  for (const char* other :
       {"smollm2", "/abs/path", "./a/b", "../a", "a//b", "a/b/../../c", "a/", "a/b c", ""})
    EXPECT_FALSE(hub_id(other)) << other;
}

class Hub : public ProgramTest {
 protected:
  fs::path repository() const { return dir_ / "hf" / "hub" / "models--some--tiny"; }
  /// tiny_model as the hub's tools keep it: links from the snapshot into blobs.
  void install(const std::string& commit) {
    fs::path snapshot = repository() / "snapshots" / commit, blobs = repository() / "blobs";
    fs::create_directories(snapshot), fs::create_directories(blobs);
    fs::create_directories(repository() / "refs");
    for (const auto& entry : fs::directory_iterator(tiny_model(64))) {
      fs::path name = entry.path().filename();
      fs::copy_file(entry.path(), blobs / name, fs::copy_options::overwrite_existing);
      fs::create_symlink(fs::path("../../blobs") / name, snapshot / name);
    }
    write_file_atomic(repository() / "refs" / "main", commit);
  }
  Outcome frequencies(const std::string& id) {  // asks for no vocabulary
    return run({"frequencies", id, "--json"}, "", "HF_HOME=" + quoted((dir_ / "hf").string()));
  }
};

TEST_F(Hub, AnIdIsFoundInTheCache) {
  install("0123abcd");
  Outcome r = frequencies("some/tiny");
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_EQ(frequencies("some/tiny@0123abcd").status, 0);
  Outcome cache = run({"frequencies", "some/tiny", "--json"}, "",
                      "HF_HUB_CACHE=" + quoted((dir_ / "hf" / "hub").string()));
  EXPECT_EQ(cache.status, 0) << cache.err;
}

TEST_F(Hub, WhatIsMissingIsNamedWithTheWayOut) {
  install("0123abcd");
  for (auto [id, part] : {std::pair{"meta-llama/Llama-3.2-1B", "hf download meta-llama/Llama-3.2-1B`"},
                          {"some/tiny@v2", "--revision v2"},
                          {"some/tiny/x.gguf", "hf download some/tiny x.gguf"},
                          {"some/tiny:Q4_K_M", "neither config.json nor a GGUF file"}}) {
    Outcome r = frequencies(id);
    EXPECT_EQ(r.status, 1);
    EXPECT_TRUE(r.one_sentence()) << r.err;
    EXPECT_NE(r.err.find(part), std::string::npos) << r.err;
  }
}

TEST_F(Hub, OfSeveralGgufFilesOneIsNamed) {
  fs::path snapshot = repository() / "snapshots" / "c";
  fs::create_directories(snapshot), fs::create_directories(repository() / "refs");
  write_file_atomic(repository() / "refs" / "main", "c\n");
  fs::copy_file(fs::path(LONGSPAN_GOLDEN) / "model" / "gqa-q8_0.gguf", snapshot / "tiny-Q8_0.gguf");
  EXPECT_EQ(frequencies("some/tiny").status, 0);
  fs::copy_file(fs::path(LONGSPAN_GOLDEN) / "model" / "gqa-f32.gguf", snapshot / "tiny-F32.gguf");
  Outcome both = frequencies("some/tiny");
  EXPECT_EQ(both.status, 1);
  EXPECT_NE(both.err.find("tiny-F32.gguf, tiny-Q8_0.gguf"), std::string::npos) << both.err;
  EXPECT_EQ(frequencies("some/tiny:q8_0").status, 0);
  EXPECT_EQ(frequencies("some/tiny/tiny-F32.gguf").status, 0);
}

}  // namespace

}  // namespace longspan::cli
