// How long work reports to whoever started it. Nothing here prints: the command line draws the bar.
#pragma once

#include <cstdint>
#include <functional>

namespace longspan {

/// Called with (done, total) units now and then on the thread that does the work. Returning false asks it to
/// stop after the current step (Ctrl-C).
using Progress = std::function<bool(int64_t done, int64_t total)>;

}  // namespace longspan
