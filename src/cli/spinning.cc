// Bounded spinning. libgomp's waiting threads spin 300,000 times (about 10 ms) before they sleep: harmless on
// an idle machine, ruinous when another program wants the cores, because each wait then lasts until the
// system takes the core away from the thread that spins and gives it to the one that works. 30,000
// times share fairly and cost nothing that can be measured alone; with 10,000 decoding was 3 to 5 % slower.
//
// libgomp reads GOMP_SPINCOUNT once, in its constructor, which runs before main and before any constructor of
// this program. Only functions in .preinit_array of the executable run earlier. setenv has no effect there
// (libc sets `environ` after them), but the array of variables on the stack is already the one that libgomp
// will search. It cannot grow, so GOMP_SPINCOUNT takes the place of one variable that no library reads while
// it is loaded, until main puts that one back. With none of these in the environment, libgomp's own default
// stays.
#include "cli/spinning.h"

#include <cstring>

namespace longspan::cli {

namespace {

char kBounded[] = "GOMP_SPINCOUNT=30000";
constexpr const char* kChosenByUser[] = {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"};
constexpr const char* kMayMakeRoom[] = {"_",    "SHLVL", "OLDPWD", "PWD",  "HOSTNAME", "LOGNAME",
                                        "MAIL", "SHELL", "USER",   "TERM", "HOME",     "PATH"};

char** place = nullptr;
char* displaced = nullptr;

char** find(char** environment, const char* name) {
  size_t length = std::strlen(name);
  for (char** entry = environment; *entry; ++entry)
    if (std::strncmp(*entry, name, length) == 0 && (*entry)[length] == '=') return entry;
  return nullptr;
}

void bound_spinning(int, char**, char** environment) {
  for (const char* name : kChosenByUser)
    if (find(environment, name)) return;
  for (const char* name : kMayMakeRoom) {
    place = find(environment, name);
    if (!place) continue;
    displaced = *place;
    *place = kBounded;
    return;
  }
}

__attribute__((section(".preinit_array"), used)) void (*const at_load)(int, char**, char**) = bound_spinning;

}  // namespace

void restore_environment() {
  if (place) *place = displaced;
  place = nullptr;
}

}  // namespace longspan::cli
