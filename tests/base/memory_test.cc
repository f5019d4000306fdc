// Free memory as the kernel's files tell it, in trees of files made for the purpose.
#include "base/memory.h"

#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "checkpoint/build_files.h"

namespace longspan {
namespace {

constexpr int64_t kMiB = int64_t{1} << 20;

class AvailableMemory : public testing::Test {
 protected:
  void write(const std::string& name, const std::string& text) {
    auto file = dir_.path / name;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text << '\n';
  }
  void system_has(int64_t bytes) {
    write("proc/meminfo", "MemTotal:       99999999 kB\nMemFree:  12 kB\nMemAvailable:   " +
                              std::to_string(bytes / 1024) + " kB");
  }
  void group2(const std::string& path, const std::string& limit, int64_t used, int64_t cached = 0) {
    write(path + "/memory.max", limit);
    write(path + "/memory.current", std::to_string(used));
    // "file" counts tmpfs, too, which cannot be dropped.
    write(path + "/memory.stat", "anon 5\nfile 999999999\ninactive_file " + std::to_string(cached / 2) +
                                     "\nactive_file " + std::to_string(cached - cached / 2));
  }
  void group1(const std::string& path, int64_t limit, int64_t used, int64_t cached = 0) {
    write(path + "/memory.limit_in_bytes", std::to_string(limit));
    write(path + "/memory.usage_in_bytes", std::to_string(used));
    write(path + "/memory.stat",
          "inactive_file 1\ntotal_inactive_file " + std::to_string(cached) + "\ntotal_active_file 0");
  }
  std::optional<int64_t> available() { return available_memory(dir_.path); }

  TemporaryDirectory dir_;
};

TEST_F(AvailableMemory, IsNothingWhereNothingIsSaid) {
  EXPECT_EQ(available(), std::nullopt);
  write("proc/meminfo", "MemTotal: 5 kB");
  write("proc/self/cgroup", "nonsense\n0::\n::\n7:memory");
  EXPECT_EQ(available(), std::nullopt);
}

TEST_F(AvailableMemory, WithoutGroupsIsMemAvailable) {
  system_has(800 * kMiB);
  EXPECT_EQ(available(), 800 * kMiB);
  write("proc/self/cgroup", "0::/user.slice");
  group2("sys/fs/cgroup/user.slice", "max", 5 * kMiB);
  EXPECT_EQ(available(), 800 * kMiB);
}

TEST_F(AvailableMemory, TheLeastGroupOfTheHierarchyDecides) {
  system_has(8000 * kMiB);
  write("proc/self/cgroup", "0::/outer/middle/inner");
  group2("sys/fs/cgroup/outer", "1073741824", 600 * kMiB, 100 * kMiB);  // 1024 - 600 + 100
  group2("sys/fs/cgroup/outer/middle", "max", 500 * kMiB);
  group2("sys/fs/cgroup/outer/middle/inner", "2147483648", 500 * kMiB);  // 2048 - 500
  EXPECT_EQ(available(), 524 * kMiB);
  write("sys/fs/cgroup/outer/middle/inner/memory.high", std::to_string(700 * kMiB));  // 700 - 500
  EXPECT_EQ(available(), 200 * kMiB);
  system_has(100 * kMiB);
  EXPECT_EQ(available(), 100 * kMiB);
}

TEST_F(AvailableMemory, AFullGroupHasNothingLeft) {
  system_has(8000 * kMiB);
  write("proc/self/cgroup", "0::/");
  group2("sys/fs/cgroup", std::to_string(64 * kMiB), 65 * kMiB);
  EXPECT_EQ(available(), 0);
  group2("sys/fs/cgroup", std::to_string(64 * kMiB), 10 * kMiB, 30 * kMiB);  // never more than the limit
  EXPECT_EQ(available(), 64 * kMiB);
}

TEST_F(AvailableMemory, Version1BesideAnEmptyVersion2) {
  system_has(8000 * kMiB);
  write("proc/self/cgroup", "5:cpu,cpuacct:/job\n4:memory:/job/42\n0::/");
  group1("sys/fs/cgroup/memory", 9223372036854771712, 7000 * kMiB);  // no limit
  EXPECT_EQ(available(), 8000 * kMiB);
  group1("sys/fs/cgroup/memory/job", 300 * kMiB, 250 * kMiB, 20 * kMiB);
  EXPECT_EQ(available(), 70 * kMiB);
  group1("sys/fs/cgroup/memory/job/42", 9223372036854771712, 100 * kMiB);
  EXPECT_EQ(available(), 70 * kMiB);
}

TEST_F(AvailableMemory, AContainerThatSeesTheHostsPathUsesItsOwnMount) {
  system_has(8000 * kMiB);
  write("proc/self/cgroup", "4:memory:/docker/0123abcd");
  group1("sys/fs/cgroup/memory", 512 * kMiB, 112 * kMiB);
  EXPECT_EQ(available(), 400 * kMiB);
  write("proc/self/cgroup", "4:memory:/../../elsewhere");
  EXPECT_EQ(available(), 400 * kMiB);
}

TEST_F(AvailableMemory, ThisSystemHasSome) {
  auto bytes = available_memory();
  ASSERT_TRUE(bytes);
  EXPECT_GT(*bytes, 0);
}

}  // namespace
}  // namespace longspan
