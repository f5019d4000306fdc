// The operations of the vocabulary on NVIDIA GPUs, as kernels.h describes them, except attention
// (kernels/cuda/attention.h). For files of this folder only.
#pragma once

#include "kernels/kernels.h"

namespace longspan {

extern const Kernels kCudaKernels;

/// The architecture for which this program's code on the current GPU was compiled, 90 for compute capability
/// 9.0; 0 when it holds no code for it.
int code_architecture();

// movement.cu
void cuda_convert(Tensor out, Tensor x);
void cuda_split(Tensor high, Tensor low, Tensor x);
void cuda_gather(Tensor out, Tensor x, Tensor rows);
void cuda_scatter(Tensor out, Tensor x, Tensor rows);
void cuda_fill(Tensor x, float value);
void cuda_embed(Tensor out, Tensor table, Tensor ids);

// elementwise.cu
void cuda_add(Tensor to, Tensor x);
void cuda_scale(Tensor x, float factor, Tensor factors);
void cuda_soft_cap(Tensor x, float cap);
void cuda_axpby(Tensor x, float a, Tensor y, float b);
void cuda_gelu(Tensor out, Tensor x);
void cuda_gate(Tensor out, Tensor gate, Tensor up, Activation activation);
void cuda_gate_backward(Tensor dgate, Tensor dup, Tensor dout, Tensor gate, Tensor up, Activation activation);

// rope.cu
void cuda_rope_table(const RopeTable& table, Tensor positions, const Rotation& rotation, double scale);
void cuda_hadamard(Tensor x, int64_t heads, int64_t head_dim);
void cuda_rope(Tensor x, const RopeTable& table, int64_t heads, int64_t head_dim, Turn turn);

// norm.cu
void cuda_rmsnorm(Tensor out, Tensor x, Tensor weight, float eps);
void cuda_layernorm(Tensor out, Tensor x, Tensor weight, Tensor bias, float eps);
void cuda_rmsnorm_backward(Tensor dx, Tensor dweight, Tensor dout, Tensor x, Tensor weight, float eps);

// products.cc
void cuda_linear(Tensor out, Tensor x, const Linear& w, bool accumulate);
void cuda_low_rank(Tensor out, Tensor low, Tensor x, const Adapter& adapter);
void cuda_merge(Tensor w, const Adapter& adapter);
void cuda_linear_input_gradient(Tensor dx, Tensor dout, const Linear& w, bool accumulate);
void cuda_linear_weight_gradient(Tensor dweight, Tensor dbias, Tensor dout, Tensor x);
DType cuda_product_dtype(Compute compute, int64_t rows);

// few_rows.cu: products of at most kFewRows rows, which read the weight as it lies.
constexpr int64_t kFewRows = 8;
/// out = x W^T + b, or out += when accumulate.  x [T, C] F32 or BF16, T <= kFewRows; W of any dtype.
void cuda_few_rows(Tensor out, Tensor x, const Linear& w, bool accumulate);
void cuda_norm_linear(std::span<const Projection> projections, Tensor x, Tensor norm, float eps);
void cuda_norm_gate(Tensor out, Tensor x, Tensor norm, float eps, const Linear& gate, const Linear& up,
                    Activation activation);

// rope_store.cu
void cuda_rope_store(Tensor q, Tensor k, Tensor v, const RopeTable& queries, const RopeTable& keys,
                     const KvPages& key_pages, const KvPages& value_pages, const Sequences& sequences);

// sums.cu
/// out[t] = bias for every row, or out[t] += bias.  out [T, N], bias [N], all F32.
void cuda_add_bias(Tensor out, Tensor bias, bool accumulate);
/// sums[i] += sum_p partial[p, i], in the order of the parts.  sums [N] F32; partial [parts, N] on the
/// device.
void cuda_add_parts(Tensor sums, const float* partial, int64_t parts);
/// sums[i] += sum_t x[t, i] in a fixed order.  x [T, N] F32 or BF16; sums [N] F32.
void cuda_add_column_sums(Tensor sums, Tensor x);
void cuda_embed_backward(Tensor dtable, Tensor dout, Tensor ids);

// loss.cu
void cuda_log_prob(Tensor out, Tensor x, Tensor targets);
void cuda_cross_entropy(Tensor loss, Tensor logits, Tensor targets, Tensor weights, double scale);
void cuda_divergence(Tensor loss, Tensor logits, Tensor original, Tensor weights, double scale);

// optimizer.cu
void cuda_adamw(std::span<const AdamWTensor> tensors, const AdamW& settings);
void cuda_sum_of_squares(Tensor sum, std::span<const Tensor> x);

}  // namespace longspan
