// The shape of the house, held by reading the sources: a room includes itself and rooms of lower levels,
// never one of its own level; no source file has more than 800 lines.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <sstream>
#include <vector>

namespace longspan {
namespace {

namespace fs = std::filesystem;

const std::map<std::string, int> kLevel = {
    {"base", 0},      {"documents", 1}, {"jinja", 1},      {"tensor", 1}, {"position", 1},
    {"tokenizer", 2}, {"kernels", 2},   {"checkpoint", 2}, {"comm", 2},   {"data", 3},
    {"grammar", 3},   {"score", 3},     {"synth", 4},      {"model", 4},  {"suites", 5},
    {"generate", 5},  {"train", 5},     {"embed", 5},      {"eval", 6},   {"agent", 6},
    {"sql", 6},       {"retrieval", 6}, {"report", 7},     {"server", 7}, {"cli", 8}};
constexpr int kMostLines = 800;

/// What is wrong with the includes of one file of `room`, a line each ("path:line: ...").
std::string wrong_includes(const std::string& room, const std::string& path, std::istream& in) {
  static const std::regex include("^\\s*#\\s*include\\s*\"([^/\"]+)/");
  std::string wrong, line;
  if (!kLevel.contains(room))
    return path + ":1: room " + room + " has no level in tests/base/rooms_test.cc\n";
  for (int number = 1; std::getline(in, line); ++number) {
    std::smatch match;
    if (!std::regex_search(line, match, include)) continue;
    std::string other = match[1], at = path + ":" + std::to_string(number) + ": room ";
    if (!kLevel.contains(other)) {
      wrong += at + room + " includes " + other + ", which is no room\n";
    } else if (other != room && kLevel.at(other) >= kLevel.at(room)) {
      wrong += at + room + " (level " + std::to_string(kLevel.at(room)) + ") includes " + other + " (level " +
               std::to_string(kLevel.at(other)) + ")\n";
    }
  }
  return wrong;
}

std::vector<fs::path> sources(std::initializer_list<const char*> folders) {
  static const std::vector<std::string> endings = {".cc", ".h", ".cu", ".cuh", ".py"};
  std::vector<fs::path> found;
  for (const char* folder : folders) {
    fs::path root = fs::path(LONGSPAN_SOURCE) / folder;
    if (!fs::exists(root)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(root))
      if (std::find(endings.begin(), endings.end(), entry.path().extension()) != endings.end())
        found.push_back(entry.path());
  }
  return found;
}

TEST(Rooms, IncludeOnlyLowerLevels) {
  std::string wrong;
  auto files = sources({"src"});
  ASSERT_GT(files.size(), 20u);
  for (const fs::path& path : files) {
    fs::path relative = path.lexically_relative(fs::path(LONGSPAN_SOURCE) / "src");
    std::ifstream in(path);
    wrong += wrong_includes(relative.begin()->string(), "src/" + relative.string(), in);
  }
  EXPECT_EQ(wrong, "");
}

TEST(Rooms, TheRuleSeesWhatItShould) {
  auto of = [](const char* room, const char* text) {
    std::istringstream in(text);
    return wrong_includes(room, "f.cc", in);
  };
  EXPECT_EQ(of("model", "#include \"kernels/kernels.h\"\n#include <vector>\n#include \"model/weights.h\"\n"),
            "");
  EXPECT_EQ(of("tensor", "\n#include \"position/position.h\"\n"),
            "f.cc:2: room tensor (level 1) includes position (level 1)\n");
  EXPECT_EQ(of("base", "#  include \"cli/x.h\"\n"), "f.cc:1: room base (level 0) includes cli (level 8)\n");
  EXPECT_EQ(of("base", "#include \"attic/x.h\"\n"), "f.cc:1: room base includes attic, which is no room\n");
  EXPECT_NE(of("attic", ""), "");
}

// The layer, forward, backward, the step and generation say what is computed; only the kernels touch the
// memory of a tensor, which may be a device's. What crosses is called upload and download.
const char* const kWithoutTensorMemory[] = {
    "model/block.cc",     "model/forward.cc",     "model/encoder.cc",     "model/pass.cc",
    "model/backward.cc",  "train/step.cc",        "train/validation.cc",  "model/training_buffers.cc",
    "generate/engine.cc", "generate/sequence.cc", "eval/attention_map.cc"};

/// Where a source touches the memory of tensors, a line each.
std::string touches_memory(const std::string& path, std::istream& in) {
  // row_of(..) and rows.row(i) of a row source are other things: a tensor's row is asked for by index or by
  // type.
  static const std::regex touch(
      "\\b(memcpy|memmove|memset|bit_cast)\\b|\\.row<|[a-z_]\\.row\\((?!state)|"
      "static_cast<(const "
      ")?(float|double|int32_t|uint16_t|void)\\*>|reinterpret_cast|\\bhost_(matrix|vector)\\b|"
      "\\bdequantise\\b");
  std::string found, line;
  for (int number = 1; std::getline(in, line); ++number) {
    line.resize(std::min(line.size(), line.find("//")));
    if (std::regex_search(line, touch)) found += path + ":" + std::to_string(number) + ": " + line + "\n";
  }
  return found;
}

TEST(Rooms, OnlyKernelsTouchTheMemoryOfTensors) {
  std::string found;
  for (const char* name : kWithoutTensorMemory) {
    std::ifstream in(fs::path(LONGSPAN_SOURCE) / "src" / name);
    ASSERT_TRUE(in) << name;
    found += touches_memory(name, in);
  }
  EXPECT_EQ(found, "");
}

TEST(Rooms, TheRuleOnMemorySeesWhatItShould) {
  auto of = [](const char* text) {
    std::istringstream in(text);
    return touches_memory("f.cc", in);
  };
  for (const char* line : {"x.row(t)[i] *= 2;", "auto* p = x.row<uint16_t>(0);", "std::memcpy(a, b, n);",
                           "auto* p = static_cast<float*>(x.data);", "dequantise(out, x, dtype, n);",
                           "host_vector(p, DType::F32, 3)"})
    EXPECT_NE(of(line), "") << line;
  EXPECT_EQ(of("// x.row(t) is for the host\nk.add(a, b);\nb.slice(t, x.rows());\n"), "");
}

TEST(Rooms, NoSourceFileIsTooLong) {
  for (const fs::path& path : sources({"src", "tests", "tools", "bench"})) {
    std::ifstream in(path);
    int lines = 0;
    for (std::string line; std::getline(in, line);) ++lines;
    EXPECT_LE(lines, kMostLines) << path;
  }
}

}  // namespace
}  // namespace longspan
