// Ctrl-C: the first one asks the work in hand to stop and keeps what it has made; the second one kills.
#pragma once

namespace longspan {

/// Listens for Ctrl-C from now on, and forgets an earlier one.
void arm_interrupt();
/// Has Ctrl-C come since?
bool interrupted();

}  // namespace longspan
