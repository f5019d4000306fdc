// How long-running work reports its progress. Nothing here prints: the command line draws the bar.
#pragma once

#include <cstdint>
#include <functional>

namespace longspan {

/// Called with (done, total) units from time to time, on the thread that does the work. Returning false asks
/// it to stop after the current step (Ctrl-C).
using Progress = std::function<bool(int64_t done, int64_t total)>;

}  // namespace longspan
