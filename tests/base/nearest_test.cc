#include "base/nearest.h"

#include <gtest/gtest.h>

namespace longspan {
namespace {

const std::vector<std::string> kNames = {"file", "files-from", "temperature", "truncate", "top-k", "top-p"};

TEST(Nearest, OneSlipOfThePen) {
  EXPECT_EQ(nearest_name("fiel", kNames), "file");           // exchanged
  EXPECT_EQ(nearest_name("flie", kNames), "file");           // exchanged
  EXPECT_EQ(nearest_name("tuncate", kNames), "truncate");    // left out
  EXPECT_EQ(nearest_name("truuncate", kNames), "truncate");  // doubled
  EXPECT_EQ(nearest_name("trancate", kNames), "truncate");   // replaced
  EXPECT_EQ(nearest_name("Truncate", kNames), "truncate");
  EXPECT_EQ(nearest_name("top_k", kNames), "top-k");
}

TEST(Nearest, BeginningsCountFromThreeLettersOn) {
  EXPECT_EQ(nearest_name("temp", kNames), "temperature");
  EXPECT_EQ(nearest_name("needl", {"needle-multi", "needle", "needlebench"}), "needle");
  EXPECT_EQ(nearest_name("te", kNames), "");
}

TEST(Nearest, NothingNear) {
  EXPECT_EQ(nearest_name("colour", kNames), "");
  EXPECT_EQ(nearest_name("", kNames), "");
  EXPECT_EQ(nearest_name("x", kNames), "");
  EXPECT_EQ(nearest_name(std::string(100000, 'f'), kNames), "");
  EXPECT_EQ(nearest_name("file", {}), "");
  EXPECT_EQ(meant_name("colour", kNames), "");
  EXPECT_EQ(meant_name("flie", kNames), " (did you mean file?)");
}

}  // namespace
}  // namespace longspan
