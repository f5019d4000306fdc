#include "base/file.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <utility>

#include "base/error.h"
#include "base/text.h"

namespace longspan {

namespace {

/// What stands under a name that should be a file's.
const char* kind_of(mode_t mode) {
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISFIFO(mode)) return "a pipe";
  if (S_ISSOCK(mode)) return "a socket";
  return "a device";
}

/// Opens without waiting for anything. Error unless it is a regular file, or a pipe where these are allowed.
int open_to_read(const std::filesystem::path& path, bool pipes, struct stat& status) {
  // Not ::open alone: a FIFO without a writer would block it, a device could act on being opened.
  if (::stat(path.c_str(), &status) != 0)
    fail("{}: cannot be opened: {}", path.string(), std::strerror(errno));
  auto check = [&] {
    if (!S_ISREG(status.st_mode) && !(pipes && S_ISFIFO(status.st_mode)))
      fail("{}: is not a regular file but {}", path.string(), kind_of(status.st_mode));
  };
  check();
  int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) fail("{}: cannot be opened: {}", path.string(), std::strerror(errno));
  try {
    if (::fstat(file, &status) != 0) fail("{}: cannot be read: {}", path.string(), std::strerror(errno));
    check();  // it may have been exchanged in between
  } catch (...) {
    ::close(file);
    throw;
  }
  return file;
}

/// Everything that `next` gives, up to its 0.
template <typename Next>
std::string read_all(size_t most, const std::string& name, const Next& next) {
  std::string text;
  constexpr size_t kChunk = size_t{1} << 16;
  for (size_t end = 0;;) {
    text.resize(end + kChunk);
    size_t got = next(text.data() + end, kChunk);
    end += got;
    text.resize(end);
    if (got == 0) return text;
    if (end > most)
      fail("{}: gives more than {}, the most that is read from a pipe; write it to a file", name,
           human_bytes(static_cast<double>(most)));
  }
}

}  // namespace

MappedFile::MappedFile(const std::filesystem::path& path) : path_(path) {
  struct stat status {};
  int fd = open_to_read(path, false, status);
  size_ = static_cast<size_t>(status.st_size);
  stamp_ =
      fmt::format("{}:{}:{}:{}.{:09}:{}.{:09}", status.st_dev, status.st_ino, size_, status.st_mtim.tv_sec,
                  status.st_mtim.tv_nsec, status.st_ctim.tv_sec, status.st_ctim.tv_nsec);
  if (size_ > 0) {
    void* p = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, fd, 0);
    int error = errno;
    ::close(fd);
    if (p == MAP_FAILED) fail("{}: cannot be mapped into memory: {}", path.string(), std::strerror(error));
    data_ = static_cast<const std::byte*>(p);
  } else {
    ::close(fd);
  }
}

MappedFile::~MappedFile() {
  if (data_) ::munmap(const_cast<std::byte*>(data_), size_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept { *this = std::move(other); }

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(stamp_, other.stamp_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

InputFile::InputFile(const std::filesystem::path& path, Pipes pipes) : path_(path) {
  struct stat status {};
  file_ = open_to_read(path, pipes == Pipes::Allowed, status);
  pipe_ = S_ISFIFO(status.st_mode);
}

InputFile::~InputFile() { ::close(file_); }

size_t InputFile::read(char* out, size_t size) {
  if (pipe_) return read_pipe(out, size);
  ssize_t got;
  do got = ::read(file_, out, size);
  while (got < 0 && errno == EINTR);
  if (got < 0) fail("{}: reading failed: {}", path_.string(), std::strerror(errno));
  return static_cast<size_t>(got);
}

/// 0 bytes mean that no program has the pipe open for writing: at its end, or because none has come yet. The
/// system reports the end (POLLHUP) only when there was one before.
size_t InputFile::read_pipe(char* out, size_t size) {
  for (bool waited = false;;) {
    ssize_t got = ::read(file_, out, size);
    if (got > 0) had_writer_ = true;
    if (got > 0 || (got == 0 && had_writer_)) return static_cast<size_t>(got);
    if (got < 0 && errno != EAGAIN && errno != EINTR)
      fail("{}: reading failed: {}", path_.string(), std::strerror(errno));
    bool writer = got < 0;
    had_writer_ |= writer && errno == EAGAIN;
    if (!writer && waited)
      fail("{}: is a pipe that no program writes to; {} seconds were waited for one", path_.string(),
           kWriterSeconds);
    pollfd poll{file_, POLLIN, 0};
    ::poll(&poll, 1, writer ? -1 : 1000 * kWriterSeconds);
    had_writer_ |= (poll.revents & POLLHUP) != 0;
    waited |= !writer;
  }
}

std::string read_file(const std::filesystem::path& path) {
  InputFile file(path, InputFile::Pipes::Refused);
  return read_all(SIZE_MAX, path.string(), [&](char* out, size_t size) { return file.read(out, size); });
}

std::string read_text_file(const std::filesystem::path& path, size_t most_piped) {
  if (path == "-")
    return read_all(most_piped, "standard input", [](char* out, size_t size) {
      ssize_t got;
      do got = ::read(STDIN_FILENO, out, size);
      while (got < 0 && errno == EINTR);
      if (got < 0) fail("standard input: reading failed: {}", std::strerror(errno));
      return static_cast<size_t>(got);
    });
  InputFile file(path, InputFile::Pipes::Allowed);
  return read_all(file.is_pipe() ? most_piped : SIZE_MAX, path.string(),
                  [&](char* out, size_t size) { return file.read(out, size); });
}

void write_file_atomic(const std::filesystem::path& path, std::string_view bytes) {
  std::filesystem::path part = path;
  part += fmt::format(".{}.part", ::getpid());  // several processes may write the same file
  {
    std::ofstream out(part, std::ios::binary | std::ios::trunc);
    out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    out.flush();
    if (!out) fail("{}: writing failed: {}", part.string(), std::strerror(errno));
  }
  std::error_code error;
  std::filesystem::rename(part, path, error);
  if (error) fail("{}: cannot be put in place: {}", path.string(), error.message());
}

std::filesystem::path cache_dir() {
  auto env = [](const char* name) {
    const char* v = std::getenv(name);
    return std::string(v ? v : "");
  };
  if (auto own = env("LONGSPAN_CACHE"); !own.empty()) return own;
  if (auto xdg = env("XDG_CACHE_HOME"); !xdg.empty()) return std::filesystem::path(xdg) / "longspan";
  if (auto home = env("HOME"); !home.empty()) return std::filesystem::path(home) / ".cache" / "longspan";
  fail("no cache directory: set HOME or LONGSPAN_CACHE");
}

std::string file_stamp(const std::filesystem::path& path) {
  struct stat st {};
  if (::stat(path.c_str(), &st) != 0) fail("{}: {}", path.string(), std::strerror(errno));
  return fmt::format("{}:{}.{:09}", st.st_size, st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
}

}  // namespace longspan
