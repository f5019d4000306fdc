#include "agent/child.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <thread>
#include <utility>

#include "base/error.h"
#include "base/text.h"

extern char** environ;

namespace longspan::agent {

namespace {

constexpr size_t kKeptErrors = 4096;
constexpr int kPollMilliseconds = 100;

struct Pipe {
  int ends[2] = {-1, -1};
  Pipe() {
    if (::pipe2(ends, O_CLOEXEC) != 0) fail("a pipe to a tool cannot be made: {}", std::strerror(errno));
  }
  ~Pipe() {
    for (int end : ends)
      if (end >= 0) ::close(end);
  }
  int take(int which) { return std::exchange(ends[which], -1); }
};

void close_file(int& file) {
  if (file >= 0) ::close(file);
  file = -1;
}

std::chrono::steady_clock::time_point deadline(const ChildLimits& limits) {
  using Clock = std::chrono::steady_clock;
  return Clock::now() +
         std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(limits.seconds));
}

/// write() without the signal that a reader's end would send to us.
ssize_t write_quietly(int file, const char* bytes, size_t size) {
  sigset_t pipe_signal, before, pending;
  ::sigemptyset(&pipe_signal);
  ::sigaddset(&pipe_signal, SIGPIPE);
  ::sigpending(&pending);
  bool was_pending = ::sigismember(&pending, SIGPIPE) == 1;
  ::pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
  ssize_t written = ::write(file, bytes, size);
  int error = errno;
  if (written < 0 && error == EPIPE && !was_pending) {
    timespec none{};
    ::sigtimedwait(&pipe_signal, nullptr, &none);
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  errno = error;
  return written;
}

}  // namespace

Child::Child(const std::vector<std::string>& argv) {
  std::vector<char*> arguments;
  for (const std::string& a : argv) arguments.push_back(const_cast<char*>(a.c_str()));
  arguments.push_back(nullptr);
  Pipe in, out, err;
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, in.ends[0], STDIN_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, out.ends[1], STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, err.ends[1], STDERR_FILENO);
  // A group of its own: Ctrl-C on the terminal is for us, and ending it ends what it started.
  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  int error = ::posix_spawnp(&process_, arguments[0], &actions, &attributes, arguments.data(), environ);
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) fail("{} cannot be started: {}", in_quotes(argv[0]), std::strerror(error));
  in_ = in.take(1), out_ = out.take(0), err_ = err.take(0);
  for (int file : {in_, out_, err_}) ::fcntl(file, F_SETFL, ::fcntl(file, F_GETFL) | O_NONBLOCK);
}

Child::~Child() {
  close_file(in_);
  if (!gone(1)) {
    ::kill(-process_, SIGTERM);
    if (!gone(1)) {
      ::kill(-process_, SIGKILL);
      gone(5);
    }
  }
  close_file(out_);
  close_file(err_);
}

bool Child::gone(double seconds) {
  auto end = Clock::now() + std::chrono::duration<double>(seconds);
  while (status_ < 0) {
    siginfo_t info{};
    int found = ::waitid(P_PID, static_cast<id_t>(process_), &info, WEXITED | WNOHANG | WNOWAIT);
    if (found < 0 && errno != EINTR) status_ = 127;
    if (found == 0 && info.si_pid == process_) {
      // What it left behind ends, while its number is still that of its group.
      ::kill(-process_, SIGKILL);
      int status = 0;
      ::waitpid(process_, &status, 0);
      status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    if (status_ >= 0) break;
    if (Clock::now() >= end) return false;
    // One that still writes would never end.
    std::string left;
    read_some(out_, left, 65536);
    read_some(err_, errors_, 65536);
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

int Child::wait_status() { return gone(1) ? status_ : -1; }

void Child::read_some(int& file, std::string& into, size_t most) {
  char buffer[65536];
  if (file < 0) return;
  ssize_t n = ::read(file, buffer, std::min(most, sizeof buffer));
  if (n > 0) into.append(buffer, static_cast<size_t>(n));
  if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) close_file(file);
  if (&into == &errors_ && errors_.size() > kKeptErrors) errors_.erase(0, errors_.size() - kKeptErrors);
}

ChildFault Child::wait(Clock::time_point end, const ChildLimits& limits, bool writing) {
  for (;;) {
    if (limits.go_on && !limits.go_on()) return ChildFault::Interrupted;
    auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now()).count();
    if (left <= 0) return ChildFault::Late;
    pollfd files[3] = {{out_, POLLIN, 0}, {err_, POLLIN, 0}, {writing ? in_ : -1, POLLOUT, 0}};
    int found = ::poll(files, 3, static_cast<int>(std::min<int64_t>(left, kPollMilliseconds)));
    if (found <= 0) continue;
    if (files[1].revents != 0) read_some(err_, errors_, 65536);
    if (files[0].revents != 0 || files[2].revents != 0) return ChildFault::None;
  }
}

ChildFault Child::write(std::string_view text, const ChildLimits& limits) {
  auto end = deadline(limits);
  while (!text.empty()) {
    if (in_ < 0) return ChildFault::Ended;
    ssize_t n = write_quietly(in_, text.data(), text.size());
    if (n > 0) text.remove_prefix(static_cast<size_t>(n));
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
      close_file(in_);
      return ChildFault::Ended;
    }
    if (text.empty()) break;
    // A program that answers before it has read everything must not wait for us.
    if (output_.size() > limits.most_bytes) return ChildFault::TooLarge;
    read_some(out_, output_, 65536);
    if (ChildFault fault = wait(end, limits, true); fault != ChildFault::None) return fault;
  }
  return ChildFault::None;
}

void Child::close_input() { close_file(in_); }

ChildFault Child::read_line(std::string& line, const ChildLimits& limits) {
  auto end = deadline(limits);
  for (size_t searched = 0;;) {
    size_t at = output_.find('\n', searched);
    if (at != output_.npos && at <= limits.most_bytes) {
      line = output_.substr(0, at);
      output_.erase(0, at + 1);
      return ChildFault::None;
    }
    if (output_.size() > limits.most_bytes) return ChildFault::TooLarge;
    searched = output_.size();
    if (out_ < 0) return ChildFault::Ended;
    if (ChildFault fault = wait(end, limits, false); fault != ChildFault::None) return fault;
    read_some(out_, output_, 65536);
  }
}

ChildFault Child::read_all(std::string& text, const ChildLimits& limits) {
  auto end = deadline(limits);
  ChildFault fault = ChildFault::None;
  while (out_ >= 0 && fault == ChildFault::None) {
    fault = wait(end, limits, false);
    if (fault == ChildFault::None) read_some(out_, output_, 65536);
    if (output_.size() > limits.most_bytes) fault = ChildFault::TooLarge;
  }
  text = output_.substr(0, limits.most_bytes);
  return fault;
}

std::string Child::last_words() const {
  std::string text = errors_;
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  return text.substr(text.rfind('\n') + 1);
}

std::string fault_text(ChildFault fault, const ChildLimits& limits) {
  switch (fault) {
    case ChildFault::None:
      return "nothing was wrong";
    case ChildFault::Ended:
      return "it ended";
    case ChildFault::Late:
      return fmt::format("it did not answer within {} s", limits.seconds);
    case ChildFault::TooLarge:
      return fmt::format("its answer has more than {}", human_bytes(static_cast<double>(limits.most_bytes)));
    case ChildFault::Interrupted:
      return "interrupted";
  }
  return "";
}

}  // namespace longspan::agent
