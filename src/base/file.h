// Files: a read-only memory map, whole-file reads, atomic writes, and where the user's cache is.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace longspan {

/// A file mapped read-only for its lifetime. Movable, not copyable. Opening reads nothing.
class MappedFile {
 public:
  MappedFile() = default;
  /// Throws Error when the file is missing, unreadable or not a regular file.
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

/// The whole file as bytes. Throws Error naming the file.
std::string read_file(const std::filesystem::path& path);

/// Writes a temporary file and renames it, so that readers see the old file or the new one, never a part.
void write_file_atomic(const std::filesystem::path& path, std::string_view bytes);

/// $LONGSPAN_CACHE, else $XDG_CACHE_HOME/longspan, else $HOME/.cache/longspan. Not created here.
std::filesystem::path cache_dir();

/// Size and modification time of a file, to notice that it changed (`chat --file`). Throws Error if it is
/// missing.
std::string file_stamp(const std::filesystem::path& path);

}  // namespace longspan
