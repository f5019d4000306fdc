// The files inside of a ZIP archive (EPUB, DOCX, ODT) in memory, through libzip. (checkpoint/zip.h reads what
// torch.save writes, in place.)
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace longspan::documents {

class ZipFile {
 public:
  /// `bytes` must outlive this. Error naming `source` when they are damaged.
  ZipFile(std::string_view bytes, std::string source);
  ~ZipFile();
  ZipFile(const ZipFile&) = delete;
  ZipFile& operator=(const ZipFile&) = delete;

  bool has(const std::string& name) const;
  /// Unpacked. Error naming the source and the entry when it is missing, damaged, encrypted or too large
  /// (limits.h); all that is read from one archive is bounded as well.
  std::string read(const std::string& name);
  /// The first names, `most` at most, in the order of the archive.
  std::vector<std::string> names(size_t most) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace longspan::documents
