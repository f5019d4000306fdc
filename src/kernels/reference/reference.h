// The table of plain loops (reference.cc).
#pragma once

#include "kernels/kernels.h"

namespace longspan {
extern const Kernels kReferenceKernels;

void reference_attention_backward(const AttentionGradients& gradients, Tensor dout, Tensor out,
                                  Tensor log_sum, std::span<const AttentionZone> zones, const KvPages& values,
                                  const AttentionShape& shape);
// backward.cc
void reference_embed_backward(Tensor dtable, Tensor dout, std::span<const int32_t> ids);
void reference_rmsnorm_backward(Tensor dx, Tensor dweight, Tensor dout, Tensor x, Tensor weight, float eps);
void reference_linear_input_gradient(Tensor dx, Tensor dout, const Linear& w, bool accumulate);
void reference_linear_weight_gradient(Tensor dweight, Tensor dbias, Tensor dout, Tensor x);
void reference_swiglu_backward(Tensor dgate, Tensor dup, Tensor dout, Tensor gate, Tensor up);
double reference_cross_entropy(Tensor logits, std::span<const int32_t> targets,
                               std::span<const float> weights, double scale);
double reference_divergence(Tensor logits, Tensor original, std::span<const float> weights, double scale);
void reference_adamw(Tensor value, Tensor gradient, Tensor m, Tensor v, const AdamW& settings);
double reference_sum_of_squares(Tensor x);

}  // namespace longspan
