// Results that survive: a line of JSON for every finished case, {"case": KEY, "result": {...}}, on disk
// before the next case begins.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "base/json.h"

namespace longspan {

/// Finished cases by key. With a file every one is there, a line each, before the next begins; a last line
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
  const Json* find(const Json& key) const;
  void add(const Json& key, const Json& result);

 private:
  void read(const std::filesystem::path& file);

  std::map<std::string, Json> results_;
  std::filesystem::path path_;
  int file_ = -1;
};

}  // namespace longspan
