// Settings that people write: recipes, suites, the program's own tables, and the configs of models. A table
// is read key by key, each key with its type and range, and a key that nobody asked for is an error: a slip
// of the pen must not run for a night. Errors name the file (with line and column where they are known), the
// section and the key.
#pragma once

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"

namespace longspan {

/// Where values stand: dotted key ("stage.0.lr") -> "FILE:LINE:COLUMN", or the --set that gave the value.
using Places = std::map<std::string, std::string>;

/// A TOML text as JSON; the keys of each table are sorted, dates are texts.
struct TomlFile {
  std::string file;  // its name, which opens error sentences
  Json values = Json::object();
  Places places = {};
};
/// Error with line and column when the text is not TOML.
TomlFile parse_toml(std::string_view text, const std::string& file);

/// The same values as a TOML text, tables below plain values. null has no place in TOML: such keys are left
/// out.
std::string toml_text(const Json& values);

/// Lays a table over another: tables over tables, everything else replaces what was there. `places` holds
/// where the values of `above` stand, under keys that begin with `path`.
void lay_over(TomlFile& below, const Json& above, const Places& places, const std::string& path);

/// One --set: KEY=VALUE, or OWNER.KEY=VALUE where sections have names. KEY is dotted, numbers stand for
/// places in lists ("stage.0.lr"). VALUE is TOML; what TOML cannot read is a text, so that a bare word needs
/// no quotes.
struct Override {
  std::string text;   // as it was written
  std::string owner;  // the longest of the names that opens the key, or ""
  std::string key;
  Json value;
};
Override parse_override(const std::string& text, const std::set<std::string>& owners = {});
/// Missing tables are made, a table is laid over a table. Error when a list has no such place.
void apply_override(TomlFile& below, const Override& one);

/// What opens an error sentence: "PLACE: SECTION: PATH.KEY ...".
struct SettingsOrigin {
  std::string file;                // stands for the place where that is unknown
  std::string section = {};        // "task vt"
  std::string path = {};           // dotted key of the table
  const Places* places = nullptr;  // outlives the reader
};

/// A table that is being read. The values outlive it. null counts as absent, everywhere.
class Settings {
 public:
  Settings(const Json& values, SettingsOrigin origin) : values_(&values), origin_(std::move(origin)) {}

  bool has(const std::string& key) const;
  /// Error that names the first of these keys that is absent.
  void require(const std::vector<std::string>& keys) const;

  /// Each leaves `out` as it is when the key is absent, and says whether it was there. Limits are included.
  bool read(const std::string& key, std::string& out);
  bool read(const std::string& key, bool& out);
  bool read(const std::string& key, int64_t& out, int64_t least, int64_t most = INT64_MAX);
  bool read(const std::string& key, double& out, double least = -HUGE_VAL, double most = HUGE_VAL);
  /// One of the names.
  bool read(const std::string& key, std::string& out, const std::vector<const char*>& names);
  /// A single value counts as a list of one.
  bool read(const std::string& key, std::vector<std::string>& out);
  bool read(const std::string& key, std::vector<int64_t>& out, int64_t least, int64_t most = INT64_MAX);
  bool read(const std::string& key, std::vector<double>& out, double least, double most);
  /// Relative paths start at `base`.
  bool read(const std::string& key, std::vector<std::filesystem::path>& out,
            const std::filesystem::path& base);

  /// The value itself, null when absent; `object`: a table, an empty one when absent.
  const Json& any(const std::string& key);
  const Json& object(const std::string& key);
  /// Reads a table, or each of a list of tables, and calls done(). `body` is not called when the key is
  /// absent.
  void table(const std::string& key, const std::function<void(Settings&)>& body);
  void tables(const std::string& key, const std::function<void(Settings&)>& body);
  /// Every key of this table with its number (a table whose keys are names of things).
  std::vector<std::pair<std::string, double>> numbers(double least);
  /// A reader for a table that stands under a dotted key of this one.
  Settings inside(const std::string& key, const Json& values) const;

  /// Error when a key was not asked for: names the nearest of those that were, and all of them. Called before
  /// values are weighed against each other, so that a misspelt key is named and not what its absence causes;
  /// `later`: keys that will be asked for after this call.
  void done(const std::vector<std::string>& later = {}) const;
  /// "PLACE: SECTION: PATH.KEY".
  std::string where(const std::string& key) const;
  /// That, and what is wrong.
  [[noreturn]] void refuse(const std::string& key, const std::string& what) const;

 private:
  const Json* find(const std::string& key);
  std::string dotted(const std::string& key) const;
  [[noreturn]] void must_be(const std::string& key, const std::string& wanted, const Json& value) const;
  int64_t whole_number(const std::string& key, const Json& value, int64_t least, int64_t most) const;
  double number(const std::string& key, const Json& value, double least, double most) const;
  /// The elements with their keys ("lengths.2"), or the single value with its own.
  std::vector<std::pair<std::string, const Json*>> elements(const std::string& key, const Json& value) const;

  const Json* values_;
  SettingsOrigin origin_;
  std::vector<std::string> asked_;
};

}  // namespace longspan
