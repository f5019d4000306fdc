// The program: everything it can do is a row of the table in commands.cc.
#include "cli/commands.h"
#include "cli/spinning.h"

int main(int argc, char** argv) {
  longspan::cli::restore_environment();
  return longspan::cli::run_program(argc, argv);
}
