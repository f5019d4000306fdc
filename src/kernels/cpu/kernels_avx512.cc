// The vocabulary for AVX-512, for AVX-512 with BF16 and for AMX: these differ in their products of many rows
// and in their attention, both of which are elsewhere. See kernels_avx2.cc for what may be used here.
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
#include "kernels/cpu/vector_avx512.inc"
#include "kernels/cpu/formats.inc"
#include "kernels/cpu/elementwise.inc"
#include "kernels/cpu/movement.inc"
#include "kernels/cpu/skinny.inc"
#include "kernels/cpu/backward.inc"
// clang-format on
}  // namespace

namespace {
constexpr Kernels kPlain = {
    .name = "avx512",
    .description = "AVX-512, F32 products",
    .on_host = true,
    .preferred = Compute::F32,
    .supported = has_avx512,
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
    .linear = linear<panel_linear_avx512, nullptr, eight_bit_linear_avx2>,
    .low_rank = low_rank<panel_linear_avx512, nullptr, eight_bit_linear_avx2>,
    .merge = merge,
    .packed_bytes = packed_bytes_f32,
    .rope_table = cpu_rope_table,
    .rope = rope,
    .hadamard = cpu_hadamard,
    .store_kv = store_kv,
    .attention = attention_avx512,
    .attention_weights = cpu_attention_weights,
    .log_prob = log_prob,
    .attention_backward = attention_backward_avx512,
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

constexpr Kernels kBf16Products = {
    .name = "avx512_bf16",
    .description = "AVX-512, BF16 products",
    .on_host = true,
    .preferred = Compute::BF16,
    .supported = has_avx512_bf16,
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
    .linear = linear<panel_linear_avx512, panel_linear_avx512_bf16, eight_bit_linear_avx512_vnni>,
    .low_rank = low_rank<panel_linear_avx512, panel_linear_avx512_bf16, eight_bit_linear_avx512_vnni>,
    .merge = merge,
    .packed_bytes = packed_bytes_bf16,
    .rope_table = cpu_rope_table,
    .rope = rope,
    .hadamard = cpu_hadamard,
    .store_kv = store_kv,
    .attention = attention_avx512_bf16,
    .attention_weights = cpu_attention_weights,
    .log_prob = log_prob,
    .attention_backward = attention_backward_avx512_bf16,
    .embed_backward = embed_backward,
    .rmsnorm_backward = rmsnorm_backward,
    .linear_input_gradient = linear_input_gradient<Compute::BF16>,
    .linear_weight_gradient = linear_weight_gradient<Compute::BF16>,
    .gate_backward = gate_backward,
    .cross_entropy = cross_entropy,
    .divergence = divergence,
    .adamw = adamw,
    .sum_of_squares = sum_of_squares,
};
}  // namespace

constinit const Kernels kAvx512Kernels = kPlain;

constinit const Kernels kAvx512VnniKernels = [] {
  Kernels k = kPlain;
  k.name = "avx512_vnni";
  k.description = "AVX-512, F32 products, VNNI for those of 8 bits";
  k.supported = has_avx512_vnni;
  k.linear = linear<panel_linear_avx512, nullptr, eight_bit_linear_avx512_vnni>;
  k.low_rank = low_rank<panel_linear_avx512, nullptr, eight_bit_linear_avx512_vnni>;
  return k;
}();

constinit const Kernels kAvx512Bf16Kernels = kBf16Products;

constinit const Kernels kAmxKernels = [] {
  Kernels k = kBf16Products;
  k.name = "amx";
  k.description = "AVX-512 and AMX, BF16 products on tiles";
  k.supported = has_amx;
  k.linear = linear<panel_linear_avx512, panel_linear_amx, eight_bit_linear_avx512_vnni>;
  k.low_rank = low_rank<panel_linear_avx512, panel_linear_amx, eight_bit_linear_avx512_vnni>;
  k.attention = attention_amx;
  return k;
}();

}  // namespace longspan
