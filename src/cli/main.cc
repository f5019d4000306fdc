// The program: everything it can do is a row of the table in commands.cc.
#include <exception>

#include "cli/commands.h"
#include "cli/output.h"
#include "cli/spinning.h"

int main(int argc, char** argv) {
  using namespace longspan::cli;
  restore_environment();
  hold_standard_streams();
  int status = run_program(argc, argv);
  try {
    finish_output();
  } catch (const std::exception& e) {
    print_fault(e.what());
    if (status == kExitDone) status = kExitFault;
  }
  return status;
}
