// The program: everything it can do is a row of the table in commands.cc.
#include "cli/commands.h"

int main(int argc, char** argv) { return longspan::run_program(argc, argv); }
