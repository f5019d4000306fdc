// What stands for cuDNN in a build without the headers of its front end: our own kernels take every case.
#include "kernels/cuda/attention_cudnn.h"

namespace longspan {

void make_attention_deterministic(CudaDevice&) {}

bool cudnn_attention(Tensor, Tensor, std::span<const AttentionZone>, const KvPages&, const AttentionShape&) {
  return false;
}

bool cudnn_attention_backward(const AttentionGradients&, Tensor, Tensor, Tensor,
                              std::span<const AttentionZone>, const KvPages&, const AttentionShape&) {
  return false;
}

}  // namespace longspan
