// The table of plain loops (reference.cc).
#pragma once

#include "kernels/kernels.h"

namespace longspan {
extern const Kernels kReferenceKernels;

void reference_attention_backward(const AttentionGradients& gradients, Tensor dout, Tensor out,
                                  Tensor log_sum, std::span<const AttentionZone> zones, const KvPages& values,
                                  const AttentionShape& shape);
}  // namespace longspan
