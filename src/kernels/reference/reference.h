// The table of plain loops (reference.cc).
#pragma once

#include "kernels/kernels.h"

namespace longspan {
extern const Kernels kReferenceKernels;
}  // namespace longspan
