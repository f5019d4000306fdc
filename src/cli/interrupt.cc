#include "cli/interrupt.h"

#include <csignal>

namespace longspan::cli {

namespace {
volatile std::sig_atomic_t came = 0;
}

void arm_interrupt() {
  came = 0;
  struct sigaction action {};
  action.sa_handler = [](int) { came = 1; };
  // RESETHAND: the second one meets the default handler. No RESTART: a read from the terminal ends, too.
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  ::sigaction(SIGINT, &action, nullptr);
}

bool interrupted() { return came != 0; }

}  // namespace longspan::cli
