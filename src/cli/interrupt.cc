#include "cli/interrupt.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

namespace longspan::cli {

namespace {

volatile std::sig_atomic_t came = 0;

/// A pipe into which the handler writes: the signal may reach any thread at any moment, so neither its flag
/// nor an interrupted system call wakes one that is about to wait.
struct Wakeup {
  int ends[2] = {-1, -1};
  Wakeup() {
    if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) ends[0] = ends[1] = -1;
  }
};
Wakeup& wakeup() {
  static Wakeup pipe;
  return pipe;
}
int wakeup_end = -1;

void note_interrupt(int) {
  int error = errno;
  came = 1;
  [[maybe_unused]] ssize_t written = ::write(wakeup_end, "", 1);
  errno = error;
}

}  // namespace

void arm_interrupt() {
  wakeup_end = wakeup().ends[1];
  for (char byte; ::read(wakeup().ends[0], &byte, 1) == 1;) {
  }
  came = 0;
  struct sigaction action {};
  action.sa_handler = note_interrupt;
  // RESETHAND: the second one meets the default handler. No RESTART: a read from the terminal ends, too.
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  ::sigaction(SIGINT, &action, nullptr);
}

bool interrupted() { return came != 0; }

bool wait_readable(int file) {
  pollfd files[2] = {{file, POLLIN, 0}, {wakeup().ends[0], POLLIN, 0}};
  while (!interrupted())
    if (::poll(files, 2, -1) > 0 && files[0].revents != 0) return true;
  return false;
}

}  // namespace longspan::cli
