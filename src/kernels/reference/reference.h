// The table of plain loops (reference.cc).
#pragma once

#include "kernels/kernels.h"

namespace longspan {
extern const Kernels kReferenceKernels;

// elementwise.cc
void reference_convert(Tensor out, Tensor x);
void reference_split(Tensor high, Tensor low, Tensor x);
void reference_gather(Tensor out, Tensor x, Tensor rows);
void reference_scatter(Tensor out, Tensor x, Tensor rows);
void reference_fill(Tensor x, float value);
void reference_add(Tensor to, Tensor x);
void reference_scale(Tensor x, float factor, Tensor factors);
void reference_axpby(Tensor x, float a, Tensor y, float b);
void reference_soft_cap(Tensor x, float cap);
void reference_gate(Tensor out, Tensor gate, Tensor up, Activation activation);
void reference_gelu(Tensor out, Tensor x);
void reference_gate_backward(Tensor dgate, Tensor dup, Tensor dout, Tensor gate, Tensor up,
                             Activation activation);
void reference_low_rank(Tensor out, Tensor low, Tensor x, const Adapter& adapter);
void reference_merge(Tensor w, const Adapter& adapter);
void reference_rope_table(const RopeTable& table, Tensor positions, const Rotation& rotation, double scale);
// backward.cc
void reference_embed_backward(Tensor dtable, Tensor dout, Tensor ids);
void reference_rmsnorm_backward(Tensor dx, Tensor dweight, Tensor dout, Tensor x, Tensor weight, float eps);
void reference_linear_input_gradient(Tensor dx, Tensor dout, const Linear& w, bool accumulate);
void reference_linear_weight_gradient(Tensor dweight, Tensor dbias, Tensor dout, Tensor x);
void reference_cross_entropy(Tensor loss, Tensor logits, Tensor targets, Tensor weights, double scale);
void reference_divergence(Tensor loss, Tensor logits, Tensor original, Tensor weights, double scale);
void reference_adamw(std::span<const AdamWTensor> tensors, const AdamW& settings);
void reference_sum_of_squares(Tensor sum, std::span<const Tensor> x);

}  // namespace longspan
