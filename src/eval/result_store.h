// Results that survive: a line of JSON for every finished case, {"case": ID, "result": {...}}, on disk before
// the next case begins.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "eval/case_result.h"

namespace longspan {

/// Finished cases by id. With a file every one is there, a line each, before the next begins; a last line
/// that was cut off is dropped.
class ResultStore {
 public:
  ResultStore() = default;  // keeps nothing beyond its life
  /// Opens or creates the file. Error when a line is no result, or another process writes there.
  explicit ResultStore(const std::filesystem::path& file);
  ~ResultStore();
  ResultStore(const ResultStore&) = delete;
  ResultStore& operator=(const ResultStore&) = delete;

  /// Null when this case is still to be done.
  const CaseResult* find(const std::string& id) const;
  void add(CaseResult result);

 private:
  void read(const std::filesystem::path& file);

  std::map<std::string, CaseResult> results_;
  std::filesystem::path path_;
  int file_ = -1;
};

}  // namespace longspan
