// The vocabulary for AVX2 + FMA + F16C. Everything but the table is local to this file, and nothing of the
// standard library that emits shared symbols may be used: they would carry AVX2 into code that must run
// without it.
#include <immintrin.h>

#include <cassert>
#include <cmath>

#include "kernels/cache_codes.h"
#include "kernels/cpu/attention.h"
#include "kernels/cpu/attention_backward.h"
#include "kernels/cpu/cpu.h"

namespace longspan {

namespace {
// In this order: each uses those before it.
// clang-format off
#include "kernels/cpu/vector_avx2.inc"
#include "kernels/cpu/formats.inc"
#include "kernels/cpu/elementwise.inc"
#include "kernels/cpu/movement.inc"
#include "kernels/cpu/skinny.inc"
#include "kernels/cpu/backward.inc"
// clang-format on
}  // namespace

namespace {
constexpr Kernels kPlain = {
    .name = "avx2",
    .description = "AVX2, F32 products",
    .on_host = true,
    .preferred = Compute::F32,
    .supported = has_avx2,
    .product_dtype = cpu_product_dtype,
    .convert = convert,
    .split = split,
    .gather = gather,
    .scatter = scatter,
    .fill = fill,
    .add = add,
    .scale = scale,
    .axpby = axpby,
    .soft_cap = soft_cap,
    .gate = gate,
    .gelu = gelu,
    .embed = embed,
    .rmsnorm = rmsnorm,
    .layernorm = layernorm,
    .linear = linear<panel_linear_avx2, nullptr, eight_bit_linear_avx2>,
    .low_rank = low_rank<panel_linear_avx2, nullptr, eight_bit_linear_avx2>,
    .merge = merge,
    .packed_bytes = packed_bytes_f32,
    .rope_table = cpu_rope_table,
    .rope = rope,
    .hadamard = cpu_hadamard,
    .store_kv = store_kv,
    .attention = attention_avx2,
    .attention_weights = cpu_attention_weights,
    .log_prob = log_prob,
    .attention_backward = attention_backward_avx2,
    .embed_backward = embed_backward,
    .rmsnorm_backward = rmsnorm_backward,
    .linear_input_gradient = linear_input_gradient<Compute::F32>,
    .linear_weight_gradient = linear_weight_gradient<Compute::F32>,
    .gate_backward = gate_backward,
    .cross_entropy = cross_entropy,
    .divergence = divergence,
    .adamw = adamw,
    .sum_of_squares = sum_of_squares,
};
}  // namespace

constinit const Kernels kAvx2Kernels = kPlain;

constinit const Kernels kAvx2VnniKernels = [] {
  Kernels k = kPlain;
  k.name = "avx2_vnni";
  k.description = "AVX2, F32 products, VNNI for those of 8 bits";
  k.supported = has_avx2_vnni;
  k.linear = linear<panel_linear_avx2, nullptr, eight_bit_linear_avx_vnni>;
  k.low_rank = low_rank<panel_linear_avx2, nullptr, eight_bit_linear_avx_vnni>;
  return k;
}();

}  // namespace longspan
