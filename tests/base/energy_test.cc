// The counters of energy as the kernel's files tell them.
#include "base/energy.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

#include "base/file.h"

namespace longspan {
namespace {

namespace fs = std::filesystem;

class Energy : public testing::Test {
 protected:
  void TearDown() override { fs::remove_all(root_); }
  void write(const std::string& zone, const std::string& energy, const std::string& range) {
    fs::path folder = root_ / "sys/class/powercap" / zone;
    fs::create_directories(folder);
    write_file_atomic(folder / "energy_uj", energy + "\n");
    write_file_atomic(folder / "max_energy_range_uj", range + "\n");
  }
  fs::path root_ = fs::temp_directory_path() / ("longspan_energy_" + std::to_string(::getpid()));
};

TEST_F(Energy, PackagesAreAddedUpAndTheirPartsAreNot) {
  write("intel-rapl:0", "1000000", "262143328850");
  write("intel-rapl:0:0", "400000", "262143328850");
  write("intel-rapl:1", "5000000", "262143328850");
  auto before = energy_counters(root_);
  ASSERT_EQ(before.size(), 2u);
  write("intel-rapl:0", "3500000", "262143328850");
  write("intel-rapl:0:0", "2400000", "262143328850");
  write("intel-rapl:1", "5250000", "262143328850");
  EXPECT_DOUBLE_EQ(joules_between(before, energy_counters(root_)).value(), 2.75);
}

TEST_F(Energy, ACounterBeginsAgain) {
  write("intel-rapl:0", "262143000000", "262143328850");
  auto before = energy_counters(root_);
  write("intel-rapl:0", "671150", "262143328850");
  EXPECT_DOUBLE_EQ(joules_between(before, energy_counters(root_)).value(), 1.0);
}

TEST_F(Energy, NothingIsToldWithoutReadableCounters) {
  EXPECT_TRUE(energy_counters(root_).empty());
  write("intel-rapl:0", "", "262143328850");
  EXPECT_TRUE(energy_counters(root_).empty());
  EXPECT_FALSE(joules_between({}, {}));
  EXPECT_FALSE(joules_between({{1, 10}}, {}));
}

}  // namespace
}  // namespace longspan
