// Weights: tensors by role, per layer. Views into the mapped checkpoint wherever the kernels can read it as it lies;
// what had to be copied (norms to F32, permuted q/k rows) is in the arena, labelled and counted.
#pragma once

#include <vector>

#include "kernels/kernels.h"
#include "model/config.h"
#include "tensor/arena.h"

namespace longspan {

struct LayerWeights {
  Tensor attn_norm;             // [C] F32
  Linear q, k, v;               // [H*D, C], [K*D, C], [K*D, C]
  Linear o;                     // [C, H*D]
  Tensor mlp_norm;              // [C] F32
  Linear gate, up;              // [F, C]
  Linear down;                  // [C, F]
};

struct Weights {
  Tensor embedding;             // [V, C]
  std::vector<LayerWeights> layers;
  Tensor final_norm;            // [C] F32
  Linear head;                  // [V, C]; shares the embedding's data when tied
  Arena copies;
};

/// Error naming file and tensor when one is missing, of the wrong shape or holds NaN.
Weights load_weights(const Checkpoint& checkpoint, const ModelConfig& config);

/// Bytes that load_weights copies and that the kernels will pack for `compute`, computed from shapes alone.
struct WeightsPlan {
  int64_t mapped = 0;  // bytes of the files read in place
  int64_t copied = 0;
  int64_t packed = 0;
};
WeightsPlan plan_weights(const Checkpoint& checkpoint, const ModelConfig& config, const Kernels& k, Compute compute);

}  // namespace longspan
