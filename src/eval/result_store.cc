#include "eval/result_store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/error.h"
#include "base/file.h"

namespace longspan {

ResultStore::ResultStore(const std::filesystem::path& file) : path_(file) {
  file_ = ::open(file.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (file_ < 0) fail("{}: cannot be written: {}", file.string(), std::strerror(errno));
  try {
    if (::flock(file_, LOCK_EX | LOCK_NB) != 0)
      fail("{}: another process is at work on it; wait for it or give another folder", file.string());
    read(file);
  } catch (...) {
    ::close(file_);
    throw;
  }
}

ResultStore::~ResultStore() {
  if (file_ >= 0) ::close(file_);
}

void ResultStore::read(const std::filesystem::path& file) {
  std::string text = read_file(file);
  size_t whole = text.rfind('\n') + 1;  // npos + 1 is 0
  if (whole < text.size() && ::ftruncate(file_, static_cast<off_t>(whole)) != 0)
    fail("{}: cannot drop its unfinished last line: {}", file.string(), std::strerror(errno));
  int number = 1;
  for (size_t at = 0; at < whole; ++number) {
    size_t end = text.find('\n', at);
    CaseResult result = read_result_line(std::string_view(text).substr(at, end - at),
                                         fmt::format("{}:{}", file.string(), number));
    results_.insert_or_assign(result.id, std::move(result));
    at = end + 1;
  }
}

const CaseResult* ResultStore::find(const std::string& id) const {
  auto at = results_.find(id);
  return at == results_.end() ? nullptr : &at->second;
}

void ResultStore::add(CaseResult result) {
  if (file_ >= 0) {
    std::string line = result_line(result);
    for (size_t at = 0; at < line.size();) {
      ssize_t n = ::write(file_, line.data() + at, line.size() - at);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) fail("{}: cannot be written: {}", path_.string(), std::strerror(errno));
      at += static_cast<size_t>(n);
    }
    ::fsync(file_);
  }
  results_.insert_or_assign(result.id, std::move(result));
}

}  // namespace longspan
