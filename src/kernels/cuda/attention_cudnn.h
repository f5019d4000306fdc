// Attention and its gradients through cuDNN where its kernels are the fastest there are: one sequence,
// causal, many rows, BF16 results; sliding windows, zones and packed documents included, gradients of whole
// sequences only. Everything else is the work of our own kernels.
//
// Zones: zone z covers the distances from_z <= r < from_{z+1}. It is a causal attention of its own, of the
// rows that have keys so far away over the keys without the last from_z, with distances below from_{z+1} -
// from_z: a slice of the same tensors. Forward merges the zones' softmaxes by their log-sums in F32, from
// outputs in BF16. Backward gives each zone the merged output and log-sum, so that its probabilities are
// those of the whole softmax (as ring attention does, Liu 2023, arXiv 2310.01889), and adds up the gradients
// of the values. A window cuts the bands short.
//
// Documents that the host knows are attentions of their own, each with these zones. Those of nearly equal
// length make a batch; they are padded, not ragged, because the padding mask that cuDNN wants for ragged
// documents halves the speed of backward. Padding rows are behind all real rows, so causality hides them, and
// in backward they are zeros, so they give nothing to any gradient.
#pragma once

#include <span>

#include "kernels/kernels.h"

namespace longspan {

class CudaDevice;
/// From now on the gradients of this device have the same bits every time; cuDNN's own order of sums has not.
void make_attention_deterministic(CudaDevice& device);

/// Kernels::attention for the cases above; false, with nothing written, for all others and where cuDNN is
/// missing or refuses. Positions are accepted only where nothing depends on distances. Reads queries, keys
/// and values in BF16. Takes at most about 2 GiB of scratch memory (heads go in groups), unless a single head
/// of keys needs more. Error in one sentence when a run fails.
bool cudnn_attention(Tensor out, Tensor log_sum, std::span<const AttentionZone> zones, const KvPages& values,
                     const AttentionShape& shape);

/// Kernels::attention_backward likewise; out must be BF16. Gradients pass through BF16, and those of queries
/// depend in their last bits on the order in which blocks finish.
bool cudnn_attention_backward(const AttentionGradients& gradients, Tensor dout, Tensor out, Tensor log_sum,
                              std::span<const AttentionZone> zones, const KvPages& values,
                              const AttentionShape& shape);

}  // namespace longspan
