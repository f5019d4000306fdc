// The vocabulary for AVX2 + FMA + F16C. All but the table is local to this file, and nothing of the standard
// library that makes shared symbols may be used: they would carry AVX2 into code that must run without it.
#include <immintrin.h>

#include <cassert>
#include <cmath>

#include "kernels/cpu/attention.h"
#include "kernels/cpu/attention_backward.h"
#include "kernels/cpu/cpu.h"

namespace longspan {

namespace {
#include "kernels/cpu/vector_avx2.inc"
// (depend on the above)
#include "kernels/cpu/formats.inc"
// (depends on the above)
#include "kernels/cpu/elementwise.inc"
#include "kernels/cpu/skinny.inc"
// (depends on the above)
#include "kernels/cpu/backward.inc"
}  // namespace

constinit const Kernels kAvx2Kernels = {
    "avx2",
    "AVX2, F32 products",
    has_avx2,
    embed,
    rmsnorm,
    linear<Compute::F32>,
    packed_bytes_f32,
    rope,
    store_kv,
    attention_avx2,
    attention_backward_avx2,
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

}  // namespace longspan
