// How long OpenMP's waiting threads spin.
#pragma once

namespace longspan::cli {

/// Call first in main. Threads that wait for each other spin for about a millisecond and then sleep, unless
/// the user chose otherwise with OMP_WAIT_POLICY or GOMP_SPINCOUNT. This was arranged while the program was
/// loaded (see spinning.cc); the call puts back the environment variable that had to make room for it.
void restore_environment();

}  // namespace longspan::cli
