#include "base/file.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "base/error.h"
#include "checkpoint/build_files.h"

namespace longspan {
namespace {

class Files : public testing::Test {
 protected:
  TemporaryDirectory dir_;
};

std::string text_of(const MappedFile& file) {
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

TEST_F(Files, MapsAndMoves) {
  write_file_atomic(dir_.path / "f", "hello");
  MappedFile a(dir_.path / "f");
  EXPECT_EQ(text_of(a), "hello");
  MappedFile b = std::move(a);
  EXPECT_EQ(text_of(b), "hello");
  EXPECT_EQ(b.path(), dir_.path / "f");
  EXPECT_TRUE(a.bytes().empty());  // NOLINT: moved from on purpose
  write_file_atomic(dir_.path / "g", "");
  EXPECT_TRUE(MappedFile(dir_.path / "g").bytes().empty());
}

TEST_F(Files, WhatCannotBeReadIsAnErrorThatNamesIt) {
  for (const auto& path : {dir_.path / "absent", dir_.path}) {
    for (bool map : {true, false}) {
      try {
        if (map) MappedFile m(path);
        if (!map) read_file(path);
        FAIL() << path;
      } catch (const Error& e) {
        EXPECT_EQ(std::string(e.what()).rfind(path.string() + ": ", 0), 0u) << e.what();
      }
    }
  }
  EXPECT_THROW(file_stamp(dir_.path / "absent"), Error);
  EXPECT_THROW(write_file_atomic(dir_.path / "no" / "f", "x"), Error);
  EXPECT_THROW(MappedFile("/dev/null"), Error);
}

TEST_F(Files, ReadsAndReplacesWholeFiles) {
  std::string bytes("a\0b\r\n\xff", 6);
  write_file_atomic(dir_.path / "f", bytes);
  EXPECT_EQ(read_file(dir_.path / "f"), bytes);
  MappedFile old(dir_.path / "f");
  write_file_atomic(dir_.path / "f", "new");
  EXPECT_EQ(read_file(dir_.path / "f"), "new");
  EXPECT_EQ(text_of(old), bytes);  // a reader keeps the file it opened
  EXPECT_FALSE(std::filesystem::exists(dir_.path / "f.part"));
}

TEST_F(Files, StampChangesWithTheFile) {
  write_file_atomic(dir_.path / "f", "one");
  std::string first = file_stamp(dir_.path / "f");
  EXPECT_EQ(file_stamp(dir_.path / "f"), first);
  write_file_atomic(dir_.path / "f", "longer");
  EXPECT_NE(file_stamp(dir_.path / "f"), first);
  write_file_atomic(dir_.path / "f", "one");
  std::filesystem::last_write_time(dir_.path / "f",
                                   std::filesystem::file_time_type::clock::now() + std::chrono::hours(1));
  EXPECT_NE(file_stamp(dir_.path / "f"), first);  // same size, other time
}

class CacheDir : public testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : kNames) {
      const char* v = std::getenv(name);
      saved_.push_back(v ? std::optional<std::string>(v) : std::nullopt);
      unsetenv(name);
    }
  }
  void TearDown() override {
    for (size_t i = 0; i < saved_.size(); ++i)
      saved_[i] ? setenv(kNames[i], saved_[i]->c_str(), 1) : unsetenv(kNames[i]);
  }
  static constexpr const char* kNames[] = {"LONGSPAN_CACHE", "XDG_CACHE_HOME", "HOME"};
  std::vector<std::optional<std::string>> saved_;
};

TEST_F(CacheDir, OwnThenXdgThenHome) {
  EXPECT_THROW(cache_dir(), Error);
  setenv("HOME", "/h", 1);
  EXPECT_EQ(cache_dir(), "/h/.cache/longspan");
  setenv("XDG_CACHE_HOME", "/x", 1);
  EXPECT_EQ(cache_dir(), "/x/longspan");
  setenv("LONGSPAN_CACHE", "/own", 1);
  EXPECT_EQ(cache_dir(), "/own");
}

}  // namespace
}  // namespace longspan
