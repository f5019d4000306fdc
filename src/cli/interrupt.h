// Ctrl-C: the first one asks the current work to stop and keeps its results; the second one kills the
// program.
#pragma once

namespace longspan::cli {

/// Watches for Ctrl-C from now on; an earlier one is forgotten.
void arm_interrupt();
/// Whether Ctrl-C was pressed since.
bool interrupted();
/// Waits until `file`, a descriptor, has something to read or has ended: true; or until Ctrl-C is pressed,
/// which may have happened before: false. A plain read() misses a Ctrl-C that comes just before it.
bool wait_readable(int file);

}  // namespace longspan::cli
