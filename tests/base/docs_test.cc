// The form of the documentation: lines that fit a terminal and a diff, and links that lead somewhere.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <regex>
#include <string>
#include <vector>

namespace longspan {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMostCharacters = 119;

std::vector<fs::path> documents() {
  std::vector<fs::path> found = {fs::path(LONGSPAN_SOURCE) / "README.md"};
  for (const char* folder : {"docs", "bench/results", "examples"})
    for (const auto& entry : fs::directory_iterator(fs::path(LONGSPAN_SOURCE) / folder))
      if (entry.path().extension() == ".md") found.push_back(entry.path());
  return found;
}

size_t characters(const std::string& text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

/// Lines that are too long, a line each ("path:line: ..."). Rows of tables, code (pasted output stays as it
/// was) and lines of a single word cannot be broken.
std::string long_lines(const std::string& path, std::istream& in) {
  std::string wrong, line;
  bool code = false;
  for (int number = 1; std::getline(in, line); ++number) {
    size_t begin = line.find_first_not_of(' ');
    std::string text = begin == line.npos ? "" : line.substr(begin);
    if (text.starts_with("```")) code = !code;
    bool whole = code || text.starts_with("|") || line.starts_with("    ") || text.find(' ') == text.npos;
    if (!whole && characters(line) > kMostCharacters)
      wrong +=
          path + ":" + std::to_string(number) + ": " + std::to_string(characters(line)) + " characters\n";
  }
  return wrong;
}

TEST(Documents, LinesAreShorterThan120Characters) {
  std::string wrong;
  ASSERT_GT(documents().size(), 10u);
  for (const fs::path& path : documents()) {
    std::ifstream in(path);
    wrong += long_lines(path.lexically_relative(LONGSPAN_SOURCE).string(), in);
  }
  EXPECT_EQ(wrong, "");
}

TEST(Documents, TheRuleSeesWhatItShould) {
  std::string eighty(80, 'a'), wide = eighty + " " + eighty;
  std::istringstream in(wide + "\n| " + wide + " |\n```\n" + wide + "\n```\n" + eighty + eighty + "\n    " +
                        wide + "\n- " + wide + "\n" + std::string(60, 'a') + " " + "\xC3\xA9" +
                        std::string(57, 'b') + "\n");
  EXPECT_EQ(long_lines("f", in), "f:1: 161 characters\nf:8: 163 characters\n");
}

TEST(Documents, LinksLeadToFiles) {
  static const std::regex link("\\]\\(([^)#\\s]+)[^)]*\\)");
  std::string wrong;
  for (const fs::path& path : documents()) {
    std::ifstream in(path);
    bool code = false;
    for (std::string line; std::getline(in, line);) {
      if (line.starts_with("```")) code = !code;
      for (std::sregex_iterator at(line.begin(), line.end(), link), end; !code && at != end; ++at) {
        std::string target = (*at)[1];
        if (target.find("://") == target.npos && !fs::exists(path.parent_path() / target))
          wrong += path.lexically_relative(LONGSPAN_SOURCE).string() + ": " + target + "\n";
      }
    }
  }
  EXPECT_EQ(wrong, "");
}

}  // namespace
}  // namespace longspan
