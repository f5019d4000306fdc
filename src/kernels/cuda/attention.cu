// Which kernel computes which sequence: see attention.h.
#include "kernels/cuda/attention.h"
#include "kernels/cuda/attention_cudnn.h"
#include "kernels/cuda/attention_internal.h"
#include "kernels/cuda/attention_pack.h"

namespace longspan {

void cuda_attention(Tensor out, Tensor log_sum, std::span<const AttentionZone> zones, const KvPages& values,
                    const AttentionShape& shape) {
  const Sequences& sequences = shape.sequences;
  if (out.rows() == 0 || sequences.most_rows == 0) return;
  if (out.dtype == DType::BF16 && cudnn_attention(out, log_sum, zones, values, shape)) return;
  CudaDevice& device = device_of(out);
  Scratch scratch(device);
  // Sequences of few rows in a batch with longer ones are computed as they are alone.
  bool plain = shape.decay || shape.soft_cap > 0;
  bool decodes = !plain && (sequences.count > 1 || sequences.most_rows <= kDecodeRows);
  int above = plain ? 0 : kDecodeRows;
  bool as_they_are = decodes && decode_reads(zones, values);
  OpenAttention open{{zones.begin(), zones.end()}, values};
  if (!as_they_are || sequences.most_rows > above) open = opened(scratch, device, zones, values, sequences);
  AttentionView view = view_of(open.zones, open.values, shape);
  AttentionResult result{view_of(out), static_cast<float*>(log_sum.data),
                         log_sum.row_stride / static_cast<int64_t>(sizeof(float))};
  if (decodes)
    decode_attention(device, result, as_they_are ? view_of(zones, values, shape) : view, sequences,
                     out.rows());
  if (sequences.most_rows <= above) return;
  if (out.dtype == DType::BF16 && tiled_attention(device, result, view, sequences, above)) return;
  plain_attention(device, result, view, sequences, above);
}

void cuda_attention_backward(const AttentionGradients& gradients, Tensor dout, Tensor out, Tensor log_sum,
                             std::span<const AttentionZone> zones, const KvPages& values,
                             const AttentionShape& shape) {
  const Sequences& sequences = shape.sequences;
  assert(dout.dtype == DType::F32 && log_sum.dtype == DType::F32 && shape.soft_cap == 0);
  if (out.rows() == 0 || sequences.most_rows == 0) return;
  bool bf16 = out.dtype == DType::BF16;
  if (bf16 && cudnn_attention_backward(gradients, dout, out, log_sum, zones, values, shape)) return;
  CudaDevice& device = device_of(dout);
  Scratch scratch(device);
  BackwardView b{.view = view_of(zones, values, shape),
                 .dout = static_cast<const float*>(dout.data),
                 .dout_stride = dout.row_stride / static_cast<int64_t>(sizeof(float)),
                 .log_sum = static_cast<const float*>(log_sum.data),
                 .log_sum_stride = log_sum.row_stride / static_cast<int64_t>(sizeof(float)),
                 .delta = scratch.take<double>(out.rows() * shape.heads),
                 .dvalues = view_of(gradients.values)};
  for (size_t z = 0; z < zones.size(); ++z)
    b.dq[z] = view_of(gradients.q[z]), b.dkeys[z] = view_of(gradients.keys[z]);
  // Rows before the first key have none of their own.
  if (gradients.values && sequences.most_keys < sequences.most_rows) {
    for (size_t z = 0; z < zones.size(); ++z) clear_rows(device, gradients.keys[z], 0, out.rows());
    clear_rows(device, gradients.values, 0, out.rows());
  }
  attention_delta(device, b, view_of(out), out.rows());
  if (bf16 && tiled_attention_backward(device, b, sequences)) return;
  plain_attention_backward(device, b, sequences);
}

}  // namespace longspan
