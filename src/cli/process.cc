#include "cli/process.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "base/error.h"

extern char** environ;

namespace longspan::cli {

bool program_exists(const std::string& program) {
  auto runs = [](const std::filesystem::path& path) {
    std::error_code ignored;
    return std::filesystem::is_regular_file(path, ignored) && ::access(path.c_str(), X_OK) == 0;
  };
  if (program.find('/') != program.npos) return runs(program);
  const char* path = std::getenv("PATH");
  const std::string folders = path ? path : "";
  for (size_t begin = 0, end; begin <= folders.size(); begin = end + 1) {
    end = std::min(folders.find(':', begin), folders.size());
    std::string folder = folders.substr(begin, end - begin);
    if (!program.empty() && runs(std::filesystem::path(folder.empty() ? "." : folder) / program)) return true;
  }
  return false;
}

ProcessResult run_process(const std::vector<std::string>& argv, bool apart) {
  std::vector<char*> arguments;
  for (const std::string& a : argv) arguments.push_back(const_cast<char*>(a.c_str()));
  arguments.push_back(nullptr);
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) fail("cannot start {}: {}", argv[0], std::strerror(errno));
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  int errors = apart ? ::memfd_create("stderr", MFD_CLOEXEC) : -1;
  ::posix_spawn_file_actions_adddup2(&actions, errors >= 0 ? errors : ends[1], STDERR_FILENO);
  pid_t child = 0;
  int error = ::posix_spawnp(&child, arguments[0], &actions, nullptr, arguments.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  ::close(ends[1]);
  ProcessResult result;
  char buffer[4096];
  for (ssize_t n; (n = ::read(ends[0], buffer, sizeof buffer)) > 0 || (n < 0 && errno == EINTR);) {
    if (n < 0) continue;
    result.output.append(buffer, static_cast<size_t>(n));
  }
  ::close(ends[0]);
  if (errors >= 0) {
    ::lseek(errors, 0, SEEK_SET);
    for (ssize_t n; (n = ::read(errors, buffer, sizeof buffer)) > 0;)
      result.errors.append(buffer, static_cast<size_t>(n));
    ::close(errors);
  }
  if (error == ENOENT) return {127, {}, {}};
  if (error != 0) fail("cannot start {}: {}", argv[0], std::strerror(error));
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  result.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

}  // namespace longspan::cli
