// The vocabulary for AVX-512, and for AVX-512 with BF16: the latter differs in its products of many rows and
// in its attention, both of which are elsewhere. See kernels_avx2.cc for what may be used here.
#include <immintrin.h>

#include <cassert>
#include <cmath>

#include "kernels/cpu/attention.h"
#include "kernels/cpu/attention_backward.h"
#include "kernels/cpu/cpu.h"

namespace longspan {

namespace {
#include "kernels/cpu/vector_avx512.inc"
// (depend on the above)
#include "kernels/cpu/formats.inc"
// (depends on the above)
#include "kernels/cpu/elementwise.inc"
#include "kernels/cpu/skinny.inc"
// (depends on the above)
#include "kernels/cpu/backward.inc"
}  // namespace

constinit const Kernels kAvx512Kernels = {
    "avx512",
    "AVX-512, F32 products",
    has_avx512,
    embed,
    rmsnorm,
    linear<Compute::F32>,
    packed_bytes_f32,
    rope,
    store_kv,
    attention_avx512,
    attention_backward_avx512,
    swiglu,
    log_prob,
    embed_backward,
    rmsnorm_backward,
    linear_input_gradient<Compute::F32>,
    linear_weight_gradient<Compute::F32>,
    swiglu_backward,
    cross_entropy,
    divergence,
    adamw,
    sum_of_squares,
};

constinit const Kernels kAvx512Bf16Kernels = {
    "avx512_bf16",
    "AVX-512, BF16 products",
    has_avx512_bf16,
    embed,
    rmsnorm,
    linear<Compute::BF16>,
    packed_bytes_bf16,
    rope,
    store_kv,
    attention_avx512_bf16,
    attention_backward_avx512_bf16,
    swiglu,
    log_prob,
    embed_backward,
    rmsnorm_backward,
    linear_input_gradient<Compute::BF16>,
    linear_weight_gradient<Compute::BF16>,
    swiglu_backward,
    cross_entropy,
    divergence,
    adamw,
    sum_of_squares,
};

}  // namespace longspan
