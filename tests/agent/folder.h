// A folder of the test's own, and skills in a few lines.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "agent/skills.h"
#include "base/error_text.h"

namespace longspan::agent {

class FolderTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto* info = testing::UnitTest::GetInstance()->current_test_info();
    dir_ = std::filesystem::temp_directory_path() /
           ("longspan-agent-" + std::to_string(::getpid()) + "-" + info->name());
    std::filesystem::create_directories(dir_);
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }
  std::string write(const std::string& name, const std::string& text) {
    std::ofstream(dir_ / name, std::ios::binary) << text;
    return (dir_ / name).string();
  }

  std::filesystem::path dir_;
};

inline SkillSet skills_of(const std::string& toml) { return read_skills(parse_toml(toml, "skills.toml")); }

/// Wood, planks and a table to work at; two places.
inline const char* const kWorkshop = R"(
exclusive = "at:"
[[skill]]
name = "go to {to}"
each = ["path:{from}>{to}"]
call = { tool = "go", arguments = { place = "{to}" } }
consumes = { "at:{from}" = 1 }
produces = { "at:{to}" = 1 }
[[skill]]
name = "chop"
nearby = ["wood"]
call = { tool = "chop" }
consumes = { "wood@{place}" = 1 }
produces = { wood = 1 }
[[skill]]
name = "saw"
call = { tool = "saw" }
consumes = { wood = 1 }
produces = { planks = 2 }
[[skill]]
name = "build chair"
nearby = ["table"]
needs = { hammer = 1 }
call = { tool = "build", arguments = { thing = "chair", legs = 4 } }
consumes = { planks = 3 }
produces = { chair = 1 }
[[goal]]
name = "chair"
text = "build a chair"
facts = { chair = 1 }
)";

inline Facts workshop_facts() {
  return {{"at:home", 1},     {"path:home>forest", 1}, {"path:forest>home", 1},
          {"wood@forest", 5}, {"table@home", 1},       {"hammer", 1}};
}

}  // namespace longspan::agent
