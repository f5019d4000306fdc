#include "cli/output.h"

#include <fcntl.h>
#include <stdio_ext.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <iostream>

#include "base/error.h"
#include "base/text.h"
#include "report/page_parts.h"

namespace longspan::cli {

void print_json(const Json& value) { print_now(dump_json(value) + "\n"); }

void print_now(std::string_view text) {
  errno = 0;
  if (std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0) return;
  int reason = errno;
  if (reason == EPIPE) {  // SIGPIPE was ignored when we were started
    std::signal(SIGPIPE, SIG_DFL);
    std::raise(SIGPIPE);
  }
  ::__fpurge(stdout);  // or exit() would try again
  std::clearerr(stdout);
  fail("stdout: {}; the output is not complete", std::strerror(reason));
}

void finish_output() {
  std::cout.flush();
  bool whole = std::cout.good();
  std::cout.clear();
  print_now("");
  if (!whole) fail("stdout: cannot be written; the output is not complete");
}

void hold_standard_streams() {
  for (int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (::fcntl(fd, F_GETFD) < 0 && errno == EBADF)
      // open() takes the lowest free number, which is this one. Output that can only be read fails.
      if (::open("/dev/null", fd == STDOUT_FILENO ? O_RDONLY : O_RDWR) < 0) return;
}

void print_fault(std::string sentence) {
  constexpr size_t kMostCharacters = 2000;
  for (char& c : sentence)
    if (c == '\n' || c == '\r') c = ' ';
  fmt::print(stderr, "longspan: {}\n", excerpt(sentence, kMostCharacters));
}

int64_t peak_bytes() {
  struct rusage usage {};
  ::getrusage(RUSAGE_SELF, &usage);
  return int64_t{usage.ru_maxrss} * 1024;
}

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::string page_remark(const std::filesystem::path& page) {
  if (!page_lacks_charts(page)) return page.string();
  return fmt::format("{} (with its tables, but without charts: {})", page.string(), gnuplot_missing());
}

std::string shell_word(const std::string& word) {
  const char* plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./,:=+";
  if (!word.empty() && word.find_first_not_of(plain) == word.npos) return word;
  std::string out = "'";
  for (char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

}  // namespace longspan::cli
