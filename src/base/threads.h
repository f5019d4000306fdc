// Threads: one pool for everything, OpenMP's, because oneDNN computes on it too and two pools would fight for
// the cores.
#pragma once

#include <cstdint>
#include <functional>

namespace longspan {

/// Physical cores of this machine (hyper-threads counted once), at least 1, within the process's affinity.
int physical_cores();

/// Sets the number of threads for everything that follows. n >= 1.
void set_threads(int n);
int threads();

/// Call first in main. OpenMP's threads spin while they wait for each other, which is best on a free machine
/// and ruinous on a busy one: each wait lasts until the system gives the other thread its core back. If other
/// processes hold the cores now, starts the program again with OMP_WAIT_POLICY=passive (the library reads it
/// only at start). Does nothing when the user chose a policy.
void sleep_while_waiting_if_busy(char** argv);

/// Calls body(i) for 0 <= i < n, each once, on all threads; tasks are handed out one at a time in order.
/// Exceptions from `body` are rethrown on the calling thread (the first one).
void parallel_for(int64_t n, const std::function<void(int64_t)>& body);

}  // namespace longspan
