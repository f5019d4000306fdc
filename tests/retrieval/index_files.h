// A directory of the test's own, a small random embedder, and an index of a few files.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "base/error.h"
#include "retrieval/indexer.h"
#include "retrieval/search.h"

namespace longspan::retrieval {

namespace fs = std::filesystem;

inline Embedder tiny_embedder(const char* name = "mean") {
  return Embedder(fs::path(LONGSPAN_GOLDEN) / "embed" / name, {});
}

class IndexTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto* info = testing::UnitTest::GetInstance()->current_test_info();
    dir_ = fs::temp_directory_path() / ("longspan-index-" + std::to_string(::getpid()) + "-" + info->name());
    fs::remove_all(dir_);
    fs::create_directories(dir_);
  }
  void TearDown() override { fs::remove_all(dir_); }

  fs::path write(const std::string& name, const std::string& text) {
    std::ofstream(dir_ / name, std::ios::binary) << text;
    return dir_ / name;
  }
  Making making(const char* kind = kDocuments) const {
    return {.kind = kind,
            .embedder = "mean",
            .identity = embedder_.identity(),
            .task = "",
            .pooling = "",
            .dimensions = embedder_.dimensions(),
            .cutting = {24, 4}};
  }
  Store store() const { return Store::write(dir_ / "index", making()); }
  IndexReport update(const Store& store, const std::vector<fs::path>& files) const {
    return update_index(store, embedder_, files, "",
                        {[](int64_t, int64_t) { return true; }, [](const std::string&) {}});
  }
  std::vector<Hit> find(const Store& store, const std::string& question, int64_t most = 10) const {
    const std::string texts[] = {question};
    VectorIndex vectors(store);
    return search(store, vectors, question, embedder_.embed(texts, EmbedSide::Query), most);
  }
  /// The sentence of the Error that `body` throws.
  template <typename Body>
  static std::string fault(Body body) {
    try {
      body();
    } catch (const Error& e) {
      EXPECT_EQ(std::string(e.what()).find('\n'), std::string::npos) << e.what();
      return e.what();
    }
    ADD_FAILURE() << "no Error";
    return "";
  }

  fs::path dir_;
  Embedder embedder_ = tiny_embedder();
};

}  // namespace longspan::retrieval
