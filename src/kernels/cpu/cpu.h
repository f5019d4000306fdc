// The implementations for x86-64 processors with AVX2 or AVX-512, and what they share. Only files named
// *_avx2.cc, *_avx_vnni.cc, *_avx512.cc and so on are compiled for those instruction sets; everything
// declared here runs anywhere.
#pragma once

#include "kernels/kernels.h"

namespace longspan {

extern const Kernels kAvx2Kernels, kAvx2VnniKernels, kAvx512Kernels, kAvx512VnniKernels, kAvx512Bf16Kernels,
    kAmxKernels;

bool has_avx2();
bool has_avx2_vnni();
bool has_avx512();
bool has_avx512_vnni();
bool has_avx512_bf16();
/// With the kernel's permission for this process to use the tiles, which is asked for here.
bool has_amx();

/// Restricts oneDNN to the instructions of `k`. Has an effect only before oneDNN's first use in the process.
void limit_onednn(const Kernels& k);

/// At least `bytes` of memory of the calling thread, 64-byte aligned, valid until its next call.
void* scratch(int64_t bytes);

/// Writes rows first .. first + count - 1 of a weight to `out`, contiguous, as F32 or BF16.
using DecodeRows = void (*)(void* out, DType out_dtype, const Tensor& weight, int64_t first, int64_t count);
/// One of those for processors with BF16 and C % 32 == 0; out_dtype is BF16. Runs on one thread.
void decode_rows_bf16(void* out, DType out_dtype, const Tensor& weight, int64_t first, int64_t count);

/// Kernels::linear by oneDNN on a weight packed in its blocked format; `compute` is the precision of the
/// product.
void blocked_linear(Tensor out, Tensor x, const Linear& w, bool accumulate, Compute compute,
                    DecodeRows decode);

/// Kernels::linear for C % 32 == 0, the weight decoded a panel at a time and no copy of it kept. x F32 or
/// BF16 in the first two, products in F32; BF16 in the others.
void panel_linear_avx2(Tensor out, Tensor x, const Linear& w, bool accumulate, DecodeRows decode);
void panel_linear_avx512(Tensor out, Tensor x, const Linear& w, bool accumulate, DecodeRows decode);
void panel_linear_avx512_bf16(Tensor out, Tensor x, const Linear& w, bool accumulate, DecodeRows decode);
void panel_linear_amx(Tensor out, Tensor x, const Linear& w, bool accumulate, DecodeRows decode);

/// Kernels::linear in 8 bits (Linear::eight_bits): x F32, the weight quantised. The three give the same bits.
void eight_bit_linear_avx2(Tensor out, Tensor x, const Linear& w, bool accumulate);
void eight_bit_linear_avx_vnni(Tensor out, Tensor x, const Linear& w, bool accumulate);
void eight_bit_linear_avx512_vnni(Tensor out, Tensor x, const Linear& w, bool accumulate);

/// Kernels::linear_input_gradient on a weight packed for it, and Kernels::linear_weight_gradient without
/// dbias (dweight contiguous).
void blocked_input_gradient(Tensor dx, Tensor dout, const Linear& w, bool accumulate, Compute compute,
                            DecodeRows decode);
void blocked_weight_gradient(Tensor dweight, Tensor dout, Tensor x, Compute compute);

/// Whether `linear` reads w in panels: Linear::as_stored, and C % 32 == 0.
bool reads_as_stored(const Linear& w);

/// Whether `linear` rounds rows of x to 8 bits for w.
bool rounds_to_eight_bits(const Linear& w);

/// Rows of x from which `linear` is a blocked product on packed weights; below, it streams W as stored.
constexpr int64_t kGemmRows = 8;
/// Kernels::product_dtype: products of few rows are bound by reading the weight, so BF16 gains nothing there.
DType cpu_product_dtype(Compute compute, int64_t rows);

/// Kernels::rope_table and attention_weights, the same for every instruction set.
void cpu_hadamard(Tensor x, int64_t heads, int64_t head_dim);
void cpu_rope_table(const RopeTable& table, Tensor positions, const Rotation& rotation, double scale);
void cpu_attention_weights(Tensor out, std::span<const AttentionZone> zones, const AttentionShape& shape,
                           Tensor rows);

/// Kernels::packed_bytes of an implementation with BF16 products, and of one with F32 products only.
int64_t packed_bytes_bf16(const Linear& w, Compute compute);
int64_t packed_bytes_f32(const Linear& w, Compute compute);

}  // namespace longspan
