// The program: everything it can do is a row of the table in commands.cc.
#include "base/threads.h"
#include "cli/commands.h"

int main(int argc, char** argv) {
  longspan::sleep_while_waiting_if_busy(argv);
  return longspan::run_program(argc, argv);
}
