// Files: a read-only memory map, whole-file reads, atomic writes, and where the user's cache is. Everything
// that is read is opened here, so that a FIFO, a device or a socket under a file's name is an Error and never
// a hang.
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
  /// Device, inode, size, and times of modification and change of the mapped file: no other contents have the
  /// same, even under the same path.
  const std::string& stamp() const { return stamp_; }

 private:
  std::filesystem::path path_;
  std::string stamp_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

/// A file that is read once from its beginning to its end. Throws Error naming the file when it is missing or
/// unreadable, or neither a regular file nor, where allowed, a pipe.
class InputFile {
 public:
  enum class Pipes { Refused, Allowed };
  InputFile(const std::filesystem::path& path, Pipes pipes);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  /// Up to `size` bytes to `out`; 0 at the end. A pipe that nobody opens for writing within kWriterSeconds is
  /// an Error; for bytes of a program that has opened it this waits as long as it takes.
  size_t read(char* out, size_t size);
  bool is_pipe() const { return pipe_; }

 private:
  size_t read_pipe(char* out, size_t size);

  std::filesystem::path path_;
  int file_ = -1;
  bool pipe_ = false, had_writer_ = false;
};
constexpr int kWriterSeconds = 3;

/// The whole regular file as bytes. Throws Error naming the file.
std::string read_file(const std::filesystem::path& path);

/// A text that a user named: a regular file, or a pipe (mkfifo, <(command)); "-" is standard input. A pipe or
/// standard input that gives more than `most_piped` bytes is an Error: it might never end.
std::string read_text_file(const std::filesystem::path& path, size_t most_piped = size_t{1} << 30);

/// Writes a temporary file and renames it, so that readers see the old file or the new one, never a part.
void write_file_atomic(const std::filesystem::path& path, std::string_view bytes);

/// $LONGSPAN_CACHE, else $XDG_CACHE_HOME/longspan, else $HOME/.cache/longspan. Not created here.
std::filesystem::path cache_dir();

/// Size and modification time of a file, to notice that it changed (`chat --file`). Throws Error if it is
/// missing.
std::string file_stamp(const std::filesystem::path& path);

}  // namespace longspan
