// Between the vocabulary's tensors (F32 activations, keys and values in pages) and what cuDNN reads and
// writes (contiguous BF16, log-sums head by head): small kernels that are bound by memory. Sizes of heads are
// multiples of 8 and rows are aligned to 16 bytes; everything happens on the stream of the device.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/kernels.h"

namespace longspan {

class CudaDevice;

/// to[t] = from[t] as BF16, and zeros in rows from.rows() .. padded - 1.  from [T, C] F32 or BF16, rows may
/// be strided; to [padded, C] contiguous.
void pack_rows(CudaDevice& device, uint16_t* to, Tensor from, int64_t padded);

/// to[n, h] = key n of head first_head + h of the first sequence as BF16 for n < keys, and zeros up to
/// padded. to [padded, heads, D] contiguous.
void pack_pages(CudaDevice& device, uint16_t* to, const KvPages& pages, int64_t first_head, int64_t heads,
                int64_t keys, int64_t padded);

/// to[h, t] = log_sum[t, h], and zeros in t = log_sum.rows() .. padded - 1.  log_sum [T, H] F32, rows may be
/// strided; to [H, padded].
void pack_log_sum(CudaDevice& device, float* to, Tensor log_sum, int64_t padded);

/// to[0] = rows, to[kCountStride] = keys.
constexpr int64_t kCountStride = 64;  // 256 bytes apart
void write_counts(CudaDevice& device, int32_t* to, int64_t rows, int64_t keys);

/// What one band contributes to rows first .. T - 1 of attention: row t is row t - first of `out` [padded, H,
/// D] and column t - first of `log_sum` [H, padded], which is -inf where the band shows the row nothing.
struct BandPart {
  const void* out = nullptr;
  const float* log_sum = nullptr;
  int64_t first = 0, padded = 0;
};
/// The softmax over all bands from those within them: L = ln sum_z exp(L_z), out = sum_z exp(L_z - L) out_z.
/// out [T, H * D] BF16, or null: only log_sum; log_sum [T, H] F32 or null; parts of dtype F32 or BF16, at
/// most kMaxAttentionZones. Rows may be strided. Rows that see nothing become 0 and -inf.
void merge_bands(CudaDevice& device, Tensor out, Tensor log_sum, std::span<const BandPart> parts, DType dtype,
                 int64_t rows, int64_t heads, int64_t head_dim);

/// Rows first .. first + count - 1 of `to` become those of `from`, the others 0; or, adding, to += from in
/// these rows.  to [T, C] F32, rows may be strided; from [count, C] BF16 contiguous.
void unpack_gradient(CudaDevice& device, Tensor to, const uint16_t* from, int64_t first, int64_t count,
                     bool add);

}  // namespace longspan
