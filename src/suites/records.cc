#include "suites/records.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <fstream>

#include "base/compressed.h"
#include "base/error.h"
#include "base/resource.h"
#include "base/text.h"
#include "documents/document.h"
#include "documents/records.h"
#include "suites/cases.h"

namespace longspan {

namespace fs = std::filesystem;

namespace {

constexpr size_t kHeldBytes = size_t{32} << 20;  // of a compressed file: decompressed at once

bool is_blank(std::string_view line) { return line.find_first_not_of(" \t\r") == line.npos; }

bool ends_with_path(const fs::path& whole, const fs::path& end) {
  auto a = whole.end();
  for (auto b = end.end(); b != end.begin();)
    if (a == whole.begin() || *--a != *--b) return false;
  return true;
}

std::vector<fs::path> found_below(const fs::path& folder, const std::vector<fs::path>& names) {
  std::vector<fs::path> found;
  auto skip = fs::directory_options::skip_permission_denied;
  for (auto at = fs::recursive_directory_iterator(folder, skip); at != fs::recursive_directory_iterator();
       ++at) {
    if (at->is_directory() && at->path().filename().string().starts_with('.')) at.disable_recursion_pending();
    bool is_meant = std::any_of(names.begin(), names.end(),
                                [&](const fs::path& name) { return ends_with_path(at->path(), name); });
    if (is_meant && at->is_regular_file()) found.push_back(at->path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

fs::path only_one(const std::vector<fs::path>& found, const std::string& name) {
  std::vector<std::string> all;
  for (const fs::path& file : found) all.push_back(file.string());
  if (all.size() > 1)
    fail("{} is there {} times: {}; name the folder of one with --data", name, all.size(),
         fmt::join(all, ", "));
  return found.front();
}

bool read_record(std::string_view line, const std::string& where, const OnRecord& body) {
  if (line.find_first_not_of(" \t\r") == line.npos) return true;
  Json record = parse_json(line, where);
  if (!record.is_object()) fail("{}: is no JSON object", where);
  return body(std::move(record), where);
}

}  // namespace

fs::path find_data(const fs::path& data, const std::string& name) {
  if (data.empty()) throw MissingData{"", "give the data with --data FILE or FOLDER"};
  if (!fs::exists(data)) fail("--data {}: there is no such file or folder", data.string());
  std::vector<fs::path> names = {name}, direct;
  for (const std::string& ending : packed_endings()) names.push_back(name + ending);
  if (!fs::is_directory(data)) {
    if (!fs::is_regular_file(data)) fail("--data {}: is neither a folder nor a regular file", data.string());
    for (const fs::path& one : names)
      if (data.filename() == one.filename()) return data;
    throw MissingData{name, "not " + data.string()};
  }
  for (const fs::path& one : names)
    if (fs::is_regular_file(data / one)) direct.push_back(data / one);
  if (!direct.empty()) return only_one(direct, name);
  std::vector<fs::path> below = found_below(data, names);
  if (below.empty()) throw MissingData{name, "not below " + data.string()};
  return only_one(below, name);
}

std::string RecordFile::where(int64_t number) const {
  return list_ ? fmt::format("{}: record {}", file_.string(), number)
               : fmt::format("{}:{}", file_.string(), number);
}

Json RecordFile::parse(std::string_view text, int64_t number) const {
  Json record;
  try {
    record = parse_json(text, "");
  } catch (const Error& error) {
    fail("{}{}", where(number), error.what());
  }
  if (!record.is_object()) fail("{}: is no JSON object", where(number));
  return record;
}

void RecordFile::load_list() {
  if (!records_.is_null()) return;
  Json records = parse_json(documents::read_document(file_, "").text, file_.string());
  if (!records.is_array()) fail("{}: a JSON list of records was expected", file_.string());
  for (size_t i = 0; i < records.size(); ++i)
    if (!records[i].is_object()) fail("{}: is no JSON object", where(static_cast<int64_t>(i) + 1));
  records_ = std::move(records);
}

void RecordFile::each(const std::function<bool(Json&&, int64_t)>& body) {
  if (list_) {
    load_list();
    for (size_t i = 0; i < records_.size(); ++i)
      if (!body(Json(records_[i]), static_cast<int64_t>(i) + 1)) return;
    return;
  }
  int64_t begin = 0;
  begins_.clear();
  plain_ = documents::lies_plain(file_);
  documents::read_lines(file_, [&](std::string_view line, int64_t number) {
    begins_.push_back(begin);
    begin += static_cast<int64_t>(line.size()) + 1;
    return is_blank(line) || body(parse(line, number), number);
  });
}

Json RecordFile::at(int64_t number) {
  std::lock_guard lock(mutex_);
  if (list_) return records_.at(static_cast<size_t>(number - 1));
  return plain_ ? parse(line_of_plain(number), number) : parse(line_of_packed(number), number);
}

std::string RecordFile::line_of_plain(int64_t number) const {
  std::ifstream in(file_, std::ios::binary);
  in.seekg(begins_.at(static_cast<size_t>(number - 1)));
  std::string line;
  if (!std::getline(in, line)) fail("{}: cannot be read any more", where(number));
  return line;
}

/// A compressed or recoded file can be read only from its beginning, so a stretch of lines is kept each time.
const std::string& RecordFile::line_of_packed(int64_t number) {
  bool held = number >= held_from_ && number < held_from_ + std::ssize(held_);
  if (!held) {
    held_.clear();
    held_from_ = number;
    size_t bytes = 0;
    documents::read_lines(file_, [&](std::string_view line, int64_t n) {
      if (n < number) return true;
      held_.emplace_back(line);
      return (bytes += line.size()) < kHeldBytes;
    });
    if (held_.empty()) fail("{}: cannot be read any more", where(number));
  }
  return held_[static_cast<size_t>(number - held_from_)];
}

void read_records(const std::filesystem::path& file, const OnRecord& body) {
  documents::read_lines(file, [&](std::string_view line, int64_t number) {
    return read_record(line, fmt::format("{}:{}", file.string(), number), body);
  });
}

void read_resource_records(const std::string& name, const OnRecord& body) {
  const std::string text = unpack(resource(name), name);
  std::string_view rest = text;
  for (int64_t number = 1; !rest.empty(); ++number) {
    size_t end = std::min(rest.find('\n'), rest.size());
    if (!read_record(rest.substr(0, end), fmt::format("{}:{}", name, number), body)) return;
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
}

std::string text_field(const Json& record, const char* key, const std::string& where) {
  auto at = record.find(key);
  if (at == record.end() || !at->is_string() || at->get_ref<const std::string&>().empty())
    fail("{}: needs a text \"{}\"", where, key);
  return at->get<std::string>();
}

}  // namespace longspan
