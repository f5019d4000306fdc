// Ctrl-C: the first one asks the current work to stop and keeps its results; the second one kills the
// program.
#pragma once

namespace longspan::cli {

/// Watches for Ctrl-C from now on; an earlier one is forgotten.
void arm_interrupt();
/// Whether Ctrl-C was pressed since.
bool interrupted();

}  // namespace longspan::cli
