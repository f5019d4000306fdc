// Finished cases that survive a kill: one line of results.jsonl each, on disk before the next case begins.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "eval/case_result.h"

namespace longspan {

/// Finished cases by id. A last line that was cut off is dropped when the file is opened.
class ResultStore {
 public:
  ResultStore() = default;  // in memory only
  /// Opens or creates the file. Error when a line is not a result, or another process is writing to it.
  explicit ResultStore(const std::filesystem::path& file);
  ~ResultStore();
  ResultStore(const ResultStore&) = delete;
  ResultStore& operator=(const ResultStore&) = delete;

  /// Null when the case has not been run.
  const CaseResult* find(const std::string& id) const;
  void add(CaseResult result);

 private:
  void read(const std::filesystem::path& file);

  std::map<std::string, CaseResult> results_;
  std::filesystem::path path_;
  int file_ = -1;
};

}  // namespace longspan
