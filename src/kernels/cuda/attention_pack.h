// Between the vocabulary's tensors (F32 activations, keys and values in pages) and what cuDNN reads and
// writes (contiguous BF16, log-sums head by head): small kernels that are bound by memory. Sizes of heads are
// multiples of 8 and rows are aligned to 16 bytes; everything happens on the stream of the device.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/kernels.h"

namespace longspan {

class CudaDevice;
class Scratch;

/// Rows of a tensor of T rows that one run of cuDNN sees as [count, length] packed rows: row i of segment b
/// is row first[b] + i, and there is none where i >= rows[b]. Packed rows without a source are zeros.
struct Segments {
  static constexpr int64_t kMost = 64;  // they are arguments of kernels

  int32_t length = 0, count = 0;
  int32_t first[kMost] = {}, rows[kMost] = {};

  int64_t packed_rows() const { return int64_t{length} * count; }
};

/// to[p] = the source of p as BF16.  from [T, C] F32 or BF16, rows may be strided; to [packed rows, C].
void pack_rows(CudaDevice& device, uint16_t* to, Tensor from, const Segments& segments);

/// to_keys[p, h] = the key of head first_head + h of the first sequence at p's source as BF16, and values
/// likewise, which must be of the same type. to_keys, to_values [packed rows, heads, D].
void pack_pages(CudaDevice& device, uint16_t* to_keys, uint16_t* to_values, const KvPages& keys,
                const KvPages& values, int64_t first_head, int64_t heads, const Segments& segments);

/// to[b, h, i] = log_sum at the source of row i of segment b.  log_sum [T, H] F32, rows may be strided; to
/// [count, H, length].
void pack_log_sum(CudaDevice& device, float* to, Tensor log_sum, const Segments& segments);

/// The ways back: rows of `to` that are a source are overwritten (or, adding, grow), others are kept.
void unpack_rows(CudaDevice& device, Tensor to, const uint16_t* from, const Segments& segments, bool add);
void unpack_log_sum(CudaDevice& device, Tensor log_sum, const float* from, const Segments& segments);

/// to[0] = rows, to[kCountStride] = keys.
constexpr int64_t kCountStride = 64;  // 256 bytes apart
void write_counts(CudaDevice& device, int32_t* to, int64_t rows, int64_t keys);

/// What one zone contributes to rows first .. T - 1 of attention: row t is row t - first of `out` [.., H * D]
/// BF16, and row t of log_sum [T, H] is its log-sum: -inf where the zone shows the row nothing, and then out
/// is not read.
struct ZonePart {
  const uint16_t* out = nullptr;
  Tensor log_sum{};
  int64_t first = 0;
};
/// The softmax over all zones from those within them: L = ln sum_z exp(L_z), out = sum_z exp(L_z - L) out_z.
/// out [T, H * D] BF16; log_sum [T, H] F32 or null; at most kMaxAttentionZones parts. Rows may be strided.
/// Rows that see nothing become 0 and -inf.
void merge_zones(CudaDevice& device, Tensor out, Tensor log_sum, std::span<const ZonePart> parts,
                 int64_t heads);

/// Zones and values whose quantised pages are copied to pages of F32 in scratch memory, for kernels that read
/// no codes; the others are as they were. `values` may be null.
struct OpenAttention {
  std::vector<AttentionZone> zones;
  KvPages values;
};
OpenAttention opened(Scratch& scratch, CudaDevice& device, std::span<const AttentionZone> zones,
                     const KvPages& values, const Sequences& sequences);

/// Every element becomes -inf: the log-sums of rows that see nothing.  log_sum F32, contiguous.
void hide_rows(CudaDevice& device, Tensor log_sum);

/// Zeros in rows first .. first + count - 1.  x of any dtype, rows may be strided.
void clear_rows(CudaDevice& device, Tensor x, int64_t first, int64_t count);

}  // namespace longspan
