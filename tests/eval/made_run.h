// Folders of runs made by tests: settings and lines as a run writes them.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/json.h"

namespace longspan {

/// A folder of its own for each test, removed with it.
class RunFolders : public testing::Test {
 protected:
  std::filesystem::path folder(const std::string& name) {
    std::filesystem::path path = root_ / name;
    std::filesystem::create_directories(path);
    return path;
  }
  ~RunFolders() override {
    std::error_code ignored;
    std::filesystem::remove_all(root_, ignored);
  }

 private:
  std::filesystem::path root_ = std::filesystem::temp_directory_path() /
                                ("longspan_runs_" + std::to_string(::getpid()) + "_" +
                                 testing::UnitTest::GetInstance()->current_test_info()->name());
};

inline Json task_row(const std::string& name, int cases, std::vector<std::string> metrics,
                     const std::string& category = "", const std::string& combine = "") {
  return {{"name", name},       {"what", "made"},     {"category", category}, {"metrics", metrics},
          {"combine", combine}, {"maker", "made_up"}, {"cases", cases},       {"row", Json::object()}};
}

inline Json settings_of(const std::string& suite, Json tasks) {
  return {{"suite", suite},  {"what", "a suite of the tests"}, {"dialect", ""},  {"scoring", "compat"},
          {"model", "tiny"}, {"command", "longspan eval"},     {"tasks", tasks}, {"missing", Json::array()}};
}

inline Json score_of_metric(double compat, double clean) { return {{"compat", compat}, {"clean", clean}}; }

inline Json answer(const std::string& task, Json cell, const std::string& metric, double compat,
                   double clean) {
  return {{"task", task},
          {"kind", "answer"},
          {"cell", cell},
          {"source", ""},
          {"prompt_tokens", 1000},
          {"read_tokens", 400},
          {"cut_tokens", 0},
          {"seconds", 0.25},
          {"new_tokens", 7},
          {"stop", "end"},
          {"prediction", compat > 0.5 ? "eat a sandwich" : "no idea"},
          {"references", {"a sandwich"}},
          {"scores", {{metric, score_of_metric(compat, clean)}}},
          {"prompt", {{"head", "The best thing"}, {"tail", "in San Francisco is"}}}};
}

inline Json loss(const std::string& task, Json cell, double nll, int tokens, int bytes) {
  return {
      {"task", task},
      {"kind", "loss"},
      {"cell", cell},
      {"source", ""},
      {"prompt_tokens", tokens},
      {"read_tokens", tokens},
      {"cut_tokens", 0},
      {"seconds", 0.5},
      {"nll", nll},
      {"tokens", tokens},
      {"bytes", bytes},
      {"buckets", {{1, tokens / 2, nll * 0.6, tokens / 2}, {tokens / 2 + 1, tokens, nll * 0.4, tokens / 2}}},
      {"scores", Json::object()}};
}

using Lines = std::vector<std::pair<std::string, Json>>;

/// Grid 3 x 5 with two needles: 30 cases; wrong where the text is longest and the needle lies in the middle.
inline Lines needle_lines(bool all_right = false) {
  Lines lines;
  for (int length : {2048, 4096, 8192})
    for (int depth : {0, 25, 50, 75, 100})
      for (const char* needle : {"sandwich", "<b>hat</b>"}) {
        double score = all_right || length < 8192 || depth < 25 || depth > 75 ? 1 : 0;
        lines.emplace_back(fmt::format("needle/{}/{}/{}", needle, length, depth),
                           answer("needle", {{"length", length}, {"depth", depth}, {"needle", needle}},
                                  "presence", score, score));
      }
  return lines;
}

inline std::string line_of(const std::pair<std::string, Json>& c) {
  return dump_json({{"case", c.first}, {"result", c.second}}) + "\n";
}

inline void write_settings(const std::filesystem::path& folder, const Json& settings) {
  std::ofstream(folder / "settings.json") << dump_json(settings);
}

inline void write_lines(const std::filesystem::path& file, const Lines& lines) {
  std::ofstream out(file);
  for (const auto& line : lines) out << line_of(line);
}

}  // namespace longspan
