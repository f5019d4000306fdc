// A row of a suite being read: every key is asked for once, with its type and range; a key that nobody asked
// for is an error, and so is a value of the wrong type. Errors open with where the row stands.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace longspan {

class Row {
 public:
  /// `row` is an object that outlives this; `where`: "suites/ruler.toml: task vt".
  Row(const Json& row, std::string where) : row_(row), where_(std::move(where)) {}

  /// Each leaves `out` as it is when the key is absent, and says whether it was there.
  bool read(const char* key, std::string& out);
  bool read(const char* key, bool& out);
  bool read(const char* key, int64_t& out, int64_t least, int64_t most = INT64_MAX);
  bool read(const char* key, double& out, double least, double most);
  /// A single value counts as a list of one.
  bool read(const char* key, std::vector<std::string>& out);
  bool read(const char* key, std::vector<int64_t>& out, int64_t least);
  bool read(const char* key, std::vector<double>& out, double least, double most);
  /// One of the names; error lists them.
  bool read(const char* key, std::string& out, std::initializer_list<const char*> names);
  /// Whatever is there; null when absent.
  Json any(const char* key);

  /// Error when a key was not asked for: lists those that were.
  void done() const;
  [[noreturn]] void refuse(std::string_view key, const std::string& what) const;
  const std::string& where() const { return where_; }

 private:
  const Json* find(const char* key);

  const Json& row_;
  std::string where_;
  std::vector<std::string> known_;
};

}  // namespace longspan
