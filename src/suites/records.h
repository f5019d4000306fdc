// Data files of suites: where the user keeps them, and their records, which are read again when their turn
// comes instead of being held: some suites have gigabytes.
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

/// The file `name` ("trec.jsonl", "lines/200_lines.jsonl") of --data, as it is or with .xz or .zst behind it:
/// `data` itself, else directly below it, else in its sub-folders (hidden ones are left out). MissingData if
/// there is none; Error that lists them if there are several.
std::filesystem::path find_data(const std::filesystem::path& data, const std::string& name);

/// A file with a JSON object on every line, or (`list`) with one JSON list of objects.
class RecordFile {
 public:
  RecordFile(std::filesystem::path file, bool list) : file_(std::move(file)), list_(list) {}

  /// Calls body for the records in order with their number: line, or place in the list, from 1. False ends.
  /// Error: unreadable, no JSON, a record that is no object, with file and line.
  void each(const std::function<bool(Json&& record, int64_t number)>& body);
  /// One of those that each() met. Safe from several threads.
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
  std::vector<int64_t> begins_;    // bytes at which the lines of a plain file begin
  std::vector<std::string> held_;  // of a packed file: lines held_from_, ...
  int64_t held_from_ = 0;
};

/// False ends the reading. `where`: "FILE:LINE".
using OnRecord = std::function<bool(Json&& record, const std::string& where)>;

/// Of a file of the user's, which may lie compressed. Blank lines are passed over. Error when a line is no
/// JSON object.
void read_records(const std::filesystem::path& file, const OnRecord& body);
/// Of one built into the program: "short/questions.jsonl.zst".
void read_resource_records(const std::string& name, const OnRecord& body);

/// A text of a record. Error when it is missing, empty or no text: where and key.
std::string text_field(const Json& record, const char* key, const std::string& where);

}  // namespace longspan
