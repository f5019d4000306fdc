// The kernels behind attention.h. Those of the forward pass compute the sequences that have more than `above`
// rows and leave the rows of others as they are.
#pragma once

#include "kernels/cuda/attention_view.h"
#include "kernels/cuda/device.h"

namespace longspan {

/// Where the forward pass writes.
struct AttentionResult {
  RowsView out;
  float* log_sum = nullptr;  // or null
  int64_t log_sum_stride = 0;
};

/// attention_plain.cu: F32, every feature, head sizes up to 256.
void plain_attention(CudaDevice& device, const AttentionResult& result, const AttentionView& view,
                     const Sequences& sequences, int above);

/// attention_decode.cu: sequences of at most kDecodeRows rows, `total_rows` in all; no decay, no soft cap.
void decode_attention(CudaDevice& device, const AttentionResult& result, const AttentionView& view,
                      const Sequences& sequences, int64_t total_rows);

/// Whether decode_attention reads these pages as they are; else quantised ones must be opened.
bool decode_reads(std::span<const AttentionZone> zones, const KvPages& values);

/// attention_tiles.cu: tensor cores, BF16; false where it does not apply (decay, soft caps, odd head sizes).
bool tiled_attention(CudaDevice& device, const AttentionResult& result, const AttentionView& view,
                     const Sequences& sequences, int above);

/// What the backward passes read and write. `delta` is dout . out of each row and head.
struct BackwardView {
  AttentionView view;
  const float* dout;
  int64_t dout_stride;
  const float* log_sum;
  int64_t log_sum_stride;
  double* delta;  // [T, H]: what is left of dout . v - delta is small beside both
  RowsView dq[kMaxAttentionZones], dkeys[kMaxAttentionZones], dvalues;
};

/// attention_plain_backward.cu: makes delta.
void attention_delta(CudaDevice& device, const BackwardView& view, const RowsView& out, int64_t rows);
/// F32, every feature.
void plain_attention_backward(CudaDevice& device, const BackwardView& view, const Sequences& sequences);

/// attention_tiles_backward.cu: tensor cores, BF16; false where it does not apply.
bool tiled_attention_backward(CudaDevice& device, const BackwardView& view, const Sequences& sequences);

}  // namespace longspan
