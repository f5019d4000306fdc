// Data files of suites: where the user keeps them, and their records, which are read again when needed
// instead of being kept in memory: some suites have gigabytes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace longspan {

/// The file `name` ("trec.jsonl", "lines/200_lines.jsonl") of --data, plain or compressed (.gz, .xz, .zst,
/// .bz2 appended): `data` itself, else directly below it, else in its subfolders (except hidden ones).
/// MissingData if there is none; Error listing them if there are several.
std::filesystem::path find_data(const std::filesystem::path& data, const std::string& name);

/// A file with a JSON object on every line, or (`list`) with one JSON list of objects.
class RecordFile {
 public:
  RecordFile(std::filesystem::path file, bool list) : file_(std::move(file)), list_(list) {}

  /// Calls body for the records in order with their number (line, or position in the list, from 1) until it
  /// returns false. Error with file and line when the file is unreadable, not JSON, or a record is not an
  /// object.
  void each(const std::function<bool(Json&& record, int64_t number)>& body);
  /// One of the records that each() has visited. Thread-safe.
  Json at(int64_t number);
  /// "FILE:LINE", in a list "FILE: record N".
  std::string where(int64_t number) const;

 private:
  Json parse(std::string_view text, int64_t number) const;
  void load_list();
  std::string line_of_plain(int64_t number) const;
  const std::string& line_of_packed(int64_t number);

  std::filesystem::path file_;
  bool list_;
  std::mutex mutex_;
  Json records_;                   // of a list
  bool plain_ = true;              // lines lie in the file as they are read
  std::vector<int64_t> begins_;    // bytes at which they begin there
  std::vector<std::string> held_;  // of other files: lines held_from_, ...
  int64_t held_from_ = 0;
};

/// Returns false to stop reading. `where`: "FILE:LINE".
using OnRecord = std::function<bool(Json&& record, const std::string& where)>;

/// Records of the user's file, which may be compressed. Blank lines are skipped. Error when a line is not a
/// JSON object.
void read_records(const std::filesystem::path& file, const OnRecord& body);
/// Records of a built-in file: "short/questions.jsonl.zst".
void read_resource_records(const std::string& name, const OnRecord& body);

/// A text field of a record. Error with `where` and the key when it is missing, empty or not a string.
std::string text_field(const Json& record, const char* key, const std::string& where);

}  // namespace longspan
