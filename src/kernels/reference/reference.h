// The table of plain loops (reference.cc).
#pragma once

#include "kernels/kernels.h"

namespace longspan {
extern const Kernels kReferenceKernels;
void attention_reference(Tensor out, Tensor q, const KvPages& keys, const KvPages& values,
                         const AttentionShape& shape);
}  // namespace longspan
