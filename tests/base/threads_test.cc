#include "base/threads.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <stdexcept>
#include <thread>
#include <vector>

namespace longspan {
namespace {

class Threads : public testing::Test {
 protected:
  int before_ = threads();
  void TearDown() override { set_threads(before_); }
};

TEST_F(Threads, EveryTaskRunsOnce) {
  for (int n : {1, 2, 5}) {
    set_threads(n);
    EXPECT_EQ(threads(), n);
    for (int64_t tasks : {0, 1, 2, 1000}) {
      std::vector<std::atomic<int>> seen(static_cast<size_t>(tasks));
      parallel_for(tasks, [&](int64_t i) { ++seen[static_cast<size_t>(i)]; });
      for (const auto& s : seen) ASSERT_EQ(s, 1);
    }
  }
  set_threads(0);
  EXPECT_EQ(threads(), 1);
}

TEST_F(Threads, AnExceptionArrivesAndStopsWhatHasNotBegun) {
  for (int n : {1, 3}) {
    set_threads(n);
    std::atomic<int> ran{0};
    auto body = [&](int64_t i) {
      ++ran;
      if (i == 3) throw std::runtime_error("task 3");
      // Slow enough that the others cannot all be done while the system keeps the throwing thread waiting.
      if (i > 3) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    };
    try {
      parallel_for(100000, body);
      FAIL() << "nothing was thrown";
    } catch (const std::runtime_error& e) {
      EXPECT_STREQ(e.what(), "task 3");
    }
    EXPECT_LT(ran, 100000);
  }
}

/// Threads of this process that the system knows.
int64_t living() {
  return std::distance(std::filesystem::directory_iterator("/proc/self/task"),
                       std::filesystem::directory_iterator());
}

TEST_F(Threads, HelpersEndAndComeBack) {
  set_threads(4);
  parallel_for(100, [](int64_t) {});
  ASSERT_GE(living(), 4);
  int64_t others = living() - 4;
  release_helpers();
  // The system may take a moment to forget threads that have ended.
  for (int i = 0; i < 1000 && living() > 1 + others; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_EQ(living(), 1 + others);
  EXPECT_EQ(threads(), 4);
  std::atomic<int64_t> sum = 0;
  parallel_for(100, [&](int64_t i) { sum += i; });
  EXPECT_EQ(sum, 4950);
  EXPECT_GE(living(), 4);
  release_helpers();
}

TEST_F(Threads, PhysicalCoresArePlausible) { EXPECT_GE(physical_cores(), 1); }

}  // namespace
}  // namespace longspan
