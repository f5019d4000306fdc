#include "base/file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <thread>

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

/// What may stand under a file's name besides a file.
class NotFiles : public Files {
 protected:
  void SetUp() override {
    ASSERT_EQ(::mkfifo(fifo_.c_str(), 0600), 0);
    int socket = ::socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::string name = (dir_.path / "socket").string();
    ASSERT_LT(name.size(), sizeof address.sun_path);
    std::copy(name.begin(), name.end(), address.sun_path);
    ASSERT_EQ(::bind(socket, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    ::close(socket);
  }
  static std::string error(const std::function<void()>& act) {
    try {
      act();
    } catch (const Error& e) {
      return e.what();
    }
    return "no error";
  }
  std::filesystem::path fifo_ = dir_.path / "fifo";
};

TEST_F(NotFiles, AreRefusedAtOnceWhereAFileIsNeeded) {
  const std::pair<std::filesystem::path, const char*> cases[] = {{fifo_, "a pipe"},
                                                                 {dir_.path / "socket", "a socket"},
                                                                 {"/dev/zero", "a device"},
                                                                 {dir_.path, "a directory"}};
  for (const auto& [path, kind] : cases) {
    std::string sentence = path.string() + ": is not a regular file but " + kind;
    EXPECT_EQ(error([&] { read_file(path); }), sentence);
    EXPECT_EQ(error([&] { MappedFile m(path); }), sentence);
    if (path != fifo_) {
      EXPECT_EQ(error([&] { read_text_file(path); }), sentence);
    }
  }
}

TEST_F(NotFiles, APipeIsReadToItsEndAsAText) {
  std::string text(300000, 'x');
  text += "the end";
  std::thread writer([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));  // comes after the reader
    int file = ::open(fifo_.c_str(), O_WRONLY);
    for (size_t at = 0; at < text.size();) {
      size_t part = std::min<size_t>(100000, text.size() - at);
      at += static_cast<size_t>(::write(file, text.data() + at, part));
      std::this_thread::sleep_for(std::chrono::milliseconds(20));  // finds nothing, but a writer
    }
    ::close(file);
  });
  EXPECT_EQ(read_text_file(fifo_), text);
  writer.join();
}

TEST_F(NotFiles, ABoundEndsAPipeThatDoesNot) {
  std::thread writer([&] {
    int file = ::open(fifo_.c_str(), O_WRONLY);
    std::signal(SIGPIPE, SIG_IGN);
    std::string more(100000, 'y');
    while (::write(file, more.data(), more.size()) > 0) {
    }
    ::close(file);
  });
  std::string sentence = error([&] { read_text_file(fifo_, 1 << 20); });
  EXPECT_NE(sentence.find("gives more than 1.0 MiB"), std::string::npos) << sentence;
  writer.join();
}

TEST_F(NotFiles, APipeWithoutWriterIsAnErrorAndOneThatIsEmptyAnEmptyText) {
  std::string sentence = error([&] { read_text_file(fifo_); });
  EXPECT_NE(sentence.find("no program writes to"), std::string::npos) << sentence;
  // As a shell's <(command) gives it.
  for (const std::string text : {"", "hello"}) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    ASSERT_EQ(::write(ends[1], text.data(), text.size()), static_cast<ssize_t>(text.size()));
    ::close(ends[1]);
    EXPECT_EQ(read_text_file("/dev/fd/" + std::to_string(ends[0])), text);
    ::close(ends[0]);
  }
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
