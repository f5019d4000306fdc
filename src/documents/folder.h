// Which files of a folder are documents. Nothing is left in silence: what is not read is named.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace longspan::documents {

struct Folder {
  std::vector<std::filesystem::path> files;  // in the order of names
  std::vector<std::filesystem::path> left;
  /// "DIR: 3 files are read (a.jsonl, b.jsonl, c.jsonl); 2 are left: README.md, notes.txt; name a file to
  /// ..."
  std::string remark;
};

/// Walks the folder without what is hidden. In a folder with JSON lines only these are documents: it is a
/// data set, and its other files are about it. Otherwise those are that is_document_name() accepts. Error
/// when the folder cannot be read.
Folder list_folder(const std::filesystem::path& folder);

}  // namespace longspan::documents
