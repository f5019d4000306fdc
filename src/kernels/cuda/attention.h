// The attention part of the vocabulary on NVIDIA GPUs, by kernels of our own; contracts as in kernels.h.
// Which kernel takes which case:
//   few rows a sequence (at most kDecodeRows)  attention_decode.cu: split over the keys, F32 accuracy
//   out BF16, head sizes of whole 16s          attention_tiles.cu: tensor cores, q, k, p and v in BF16
//   everything else                            attention_plain.cu: F32, every feature; the check of the
//   others
// A sequence's numbers do not depend on the other sequences of its batch: the choice is made for each one by
// its own row count, on the device.
#pragma once

#include <span>

#include "kernels/kernels.h"

namespace longspan {

void cuda_store_kv(const KvPages& pages, Tensor x, const Sequences& sequences);

void cuda_attention(Tensor out, Tensor log_sum, std::span<const AttentionZone> zones, const KvPages& values,
                    const AttentionShape& shape);

void cuda_attention_weights(Tensor out, std::span<const AttentionZone> zones, const AttentionShape& shape,
                            Tensor rows);

void cuda_attention_backward(const AttentionGradients& gradients, Tensor dout, Tensor out, Tensor log_sum,
                             std::span<const AttentionZone> zones, const KvPages& values,
                             const AttentionShape& shape);

}  // namespace longspan
