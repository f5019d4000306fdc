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

/// Ends the helpers of the calling thread, which come back when it next computes. Helpers belong to the
/// thread that started them; where those of two threads are more than there are cores, OpenMP has them sleep
/// between any two loops instead of waiting awake, and a token takes four times as long.
void release_helpers();

/// Calls body(i) for 0 <= i < n, each once, on all threads; tasks are handed out one at a time in order.
/// Exceptions from `body` are rethrown on the calling thread (the first one).
void parallel_for(int64_t n, const std::function<void(int64_t)>& body);

}  // namespace longspan
