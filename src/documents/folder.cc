#include "documents/folder.h"

#include <algorithm>

#include "base/compressed.h"
#include "base/error.h"
#include "base/text.h"
#include "documents/kind.h"

namespace longspan::documents {

namespace {

namespace fs = std::filesystem;

/// The first bytes of what a file holds, unpacked; "" when it cannot be read.
std::string beginning(const fs::path& file) {
  constexpr size_t kBytes = size_t{64} << 10;
  std::string bytes;
  try {
    read_bytes(file, [&](std::string_view more, int64_t) {
      bytes += more.substr(0, kBytes - bytes.size());
      return bytes.size() < kBytes;
    });
  } catch (const Error&) {
  }
  return bytes;
}

bool holds_lines(const fs::path& file) {
  std::string ending = lower_extension(content_name(file));
  if (ending == ".json") {
    std::string begin = beginning(file);
    return json_form(begin, begin.find('\n') == begin.npos, file) == JsonForm::kLines;
  }
  return ending == ".jsonl" || ending == ".ndjson" || ending == ".jsonlines";
}

std::string some_names(const std::vector<fs::path>& files, const fs::path& folder) {
  constexpr size_t kMost = 6;
  std::string out;
  for (size_t i = 0; i < std::min(files.size(), kMost); ++i)
    out += (i > 0 ? ", " : "") + excerpt(files[i].lexically_relative(folder).string());
  if (files.size() > kMost)
    out += fmt::format(" and {} more", grouped(static_cast<int64_t>(files.size() - kMost)));
  return out;
}

std::string count_of_files(const std::vector<fs::path>& files, const char* verb_of_one, const char* verb) {
  if (files.size() == 1) return fmt::format("1 file {}", verb_of_one);
  return fmt::format("{} files {}", grouped(std::ssize(files)), verb);
}

std::string remark_of(const fs::path& path, const Folder& folder) {
  std::string out = path.string() + ": " + count_of_files(folder.files, "is read", "are read");
  if (!folder.files.empty()) out += " (" + some_names(folder.files, path) + ")";
  if (!folder.left.empty())
    out += fmt::format(", {}: {}; name a file to have it read",
                       count_of_files(folder.left, "is left", "are left"), some_names(folder.left, path));
  return out;
}

}  // namespace

Folder list_folder(const fs::path& path) {
  std::vector<fs::path> all;
  std::error_code error;
  fs::recursive_directory_iterator at(path, error), end;
  for (; !error && at != end; at.increment(error)) {
    bool hidden = at->path().filename().string().starts_with('.');
    if (hidden && at->is_directory()) at.disable_recursion_pending();
    if (!hidden && at->is_regular_file()) all.push_back(at->path());
  }
  if (error) fail("{}: the folder cannot be read: {}", path.string(), error.message());
  std::sort(all.begin(), all.end());
  std::vector<fs::path> lines;
  std::copy_if(all.begin(), all.end(), std::back_inserter(lines), holds_lines);
  Folder folder;
  for (const fs::path& file : all) {
    bool is_document =
        lines.empty() ? is_document_name(file) : std::binary_search(lines.begin(), lines.end(), file);
    (is_document ? folder.files : folder.left).push_back(file);
  }
  folder.remark = remark_of(path, folder);
  return folder;
}

}  // namespace longspan::documents
