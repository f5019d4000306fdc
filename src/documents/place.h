// Where a part of a text stands: the file and the page or chapter whose marks come before it. The reader
// writes the marks, each a line of its own: "[file: NAME]" where there are several files, "[page N]" (PDF),
// "[chapter N]" (EPUB).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace longspan::documents {

struct Place {
  std::string file;     // "" without a mark
  int64_t page = 0;     // from 1; 0 without a mark
  int64_t chapter = 0;  // the same
  bool operator==(const Place&) const = default;
};

/// The marks of a text, for many questions.
class Places {
 public:
  explicit Places(std::string_view text);
  /// Of the byte at `offset`. The line of a mark belongs to what it announces.
  Place at(size_t offset) const;

 private:
  struct Mark {
    size_t offset;
    Place place;
  };
  std::vector<Mark> marks_;
};

}  // namespace longspan::documents
