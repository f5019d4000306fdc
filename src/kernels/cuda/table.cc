// The table of operations on NVIDIA GPUs.
#include "kernels/cuda/attention.h"
#include "kernels/cuda/cuda.h"
#include "kernels/cuda/operations.h"

namespace longspan {

namespace {

bool supported() {
  std::string why;
  return count_gpus(why) > 0;
}

/// Weights are read as stored, or converted for one product at a time.
int64_t packed_bytes(const Linear&, Compute) { return 0; }

}  // namespace

const Kernels kCudaKernels = {
    .name = "cuda",
    .description = "NVIDIA GPUs from compute capability 8.0 on",
    .on_host = false,
    .preferred = Compute::BF16,
    .supported = supported,
    .product_dtype = cuda_product_dtype,
    .convert = cuda_convert,
    .split = cuda_split,
    .gather = cuda_gather,
    .scatter = cuda_scatter,
    .fill = cuda_fill,
    .add = cuda_add,
    .scale = cuda_scale,
    .axpby = cuda_axpby,
    .soft_cap = cuda_soft_cap,
    .gate = cuda_gate,
    .gelu = cuda_gelu,
    .embed = cuda_embed,
    .rmsnorm = cuda_rmsnorm,
    .layernorm = cuda_layernorm,
    .linear = cuda_linear,
    .low_rank = cuda_low_rank,
    .merge = cuda_merge,
    .packed_bytes = packed_bytes,
    .rope_table = cuda_rope_table,
    .rope = cuda_rope,
    .hadamard = cuda_hadamard,
    .store_kv = cuda_store_kv,
    .attention = cuda_attention,
    .attention_weights = cuda_attention_weights,
    .log_prob = cuda_log_prob,
    .attention_backward = cuda_attention_backward,
    .embed_backward = cuda_embed_backward,
    .rmsnorm_backward = cuda_rmsnorm_backward,
    .linear_input_gradient = cuda_linear_input_gradient,
    .linear_weight_gradient = cuda_linear_weight_gradient,
    .gate_backward = cuda_gate_backward,
    .cross_entropy = cuda_cross_entropy,
    .divergence = cuda_divergence,
    .adamw = cuda_adamw,
    .sum_of_squares = cuda_sum_of_squares,
    .fused_rows = kFewRows,
    .norm_linear = cuda_norm_linear,
    .norm_gate = cuda_norm_gate,
    .rope_store = cuda_rope_store,
};

}  // namespace longspan
