// A TOML table being read: every key is asked for once, with its type and range; what nobody asked for is an
// error, as is everything of the wrong type. Errors open with FILE:LINE and the dotted key.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#define TOML_EXCEPTIONS 1
#include <toml++/toml.h>

namespace longspan {

class Section {
 public:
  Section(const toml::table& table, std::string path) : table_(table), path_(std::move(path)) {}

  /// Each leaves `out` as it is when the key is absent, and says whether it was there.
  bool read(const char* key, std::string& out);
  bool read(const char* key, bool& out);
  bool read(const char* key, int64_t& out, int64_t least, int64_t most = INT64_MAX);
  bool read(const char* key, double& out, double least, double most = HUGE_VAL);
  bool read(const char* key, std::vector<std::string>& out);
  bool read(const char* key, std::vector<int64_t>& out, int64_t least);
  /// Relative paths start at `base`.
  bool read(const char* key, std::vector<std::filesystem::path>& out, const std::filesystem::path& base);

  /// A table, or an array of tables; body is not called when the key is absent.
  void table(const char* key, const std::function<void(Section&)>& body);
  void tables(const char* key, const std::function<void(Section&)>& body);
  /// Every key of this table with its number (a table whose keys are names of things).
  std::vector<std::pair<std::string, double>> numbers();

  /// Error when a key was not asked for.
  void done() const;
  [[noreturn]] void refuse(const char* key, const std::string& what) const;

 private:
  const toml::node* find(const char* key);
  [[noreturn]] void refuse_at(const toml::node& node, const std::string& key, const std::string& what) const;
  std::string dotted(const std::string& key) const { return path_.empty() ? key : path_ + "." + key; }

  const toml::table& table_;
  std::string path_;
  std::vector<std::string> known_;
};

/// The file's table with overrides KEY=VALUE put in. Error with line and column when either cannot be read.
toml::table parse_toml(const std::filesystem::path& file, const std::vector<std::string>& overrides);

}  // namespace longspan
