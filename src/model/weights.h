// Weights: tensors by role, per layer. Views into the mapped checkpoint wherever the kernels can read it as
// stored; what had to be copied (norms to F32, permuted q/k rows, fused q, k and v) is in the arena, labelled
// and counted.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "kernels/kernels.h"
#include "model/config.h"
#include "tensor/arena.h"

namespace longspan {

/// The three products of a gated MLP of width F.
struct ExpertWeights {
  Linear gate, up;  // [F, C]
  Linear down;      // [C, F]
};

/// A tensor that the model lacks is null, and its operation is skipped.
struct LayerWeights {
  Tensor attn_norm;       // [C] F32
  Linear q, k, v;         // [H*D, C], [K*D, C], [K*D, C]
  Tensor q_norm, k_norm;  // [D] F32, of every head; [H*D] and [K*D] of a token's whole (qk_norm_whole)
  Linear o;               // [C, H*D]
  Tensor attn_post_norm;  // [C] F32, of o's output
  Tensor mlp_norm;        // [C] F32
  Linear gate, up;        // [F, C]
  Linear down;            // [C, F]
  // In the place of gate, up and down in a mixture of experts:
  Linear router;                       // [E, C]
  std::vector<ExpertWeights> experts;  // [E]
  Linear shared_router;                // [1, C], or null
  ExpertWeights shared;                // or null
  Tensor mlp_post_norm;                // [C] F32, of down's output
};

/// Every product of a layer, including null ones.
std::vector<Linear*> linears(LayerWeights& layer);

struct Weights {
  Tensor embedding;  // [V, C]
  std::vector<LayerWeights> layers;
  Tensor final_norm;  // [C] F32
  Linear head;        // [V, C]; shares the embedding's data when tied; rows of length 1 under NormHead
  Arena copies;
};

/// On the host. Error naming file and tensor when one is missing, of the wrong shape or holds NaN.
Weights load_weights(const Checkpoint& checkpoint, const ModelConfig& config);
/// On a device. Where that is not the host, everything is uploaded in the types that the checkpoint has, and
/// nothing views the files.
Weights load_weights(const Checkpoint& checkpoint, const ModelConfig& config, Device& device);

/// How products of many rows read the weights on the host: decoded, a panel at a time, from where they lie
/// (Lean), or from a packed copy in the precision of the products that is made at first use (Packed). Auto:
/// Lean for quantised weights with long rows, which is as fast, and Packed for the others where their copies
/// leave most of the memory free.
enum class WeightReading : uint8_t { Auto, Lean, Packed };
/// "auto", "lean", "packed"; nothing for another text.
std::optional<WeightReading> weight_reading(std::string_view name);

/// Sets Linear::as_stored of all products, and Linear::eight_bits where `compute` is Int8.
void set_reading(Weights& weights, WeightReading reading, Compute compute);

/// Bytes of the weights, computed from shapes alone: no tensor is read.
struct WeightsPlan {
  WeightReading reading = WeightReading::Packed;  // that they are planned for
  int64_t mapped = 0;                             // bytes of the files' tensors; load_weights reads each once
  int64_t copied = 0;                             // what load_weights copies into the arena
  int64_t uploaded =
      0;  // what lies on a device that is not the host: the tensors in use, copied ones as copies
  int64_t packed = 0;       // what the kernels will pack of the layers for products of many rows in `compute`
  int64_t packed_head = 0;  // the same for the head: only if logits of many rows are needed at once
};
WeightsPlan plan_weights(const Checkpoint& checkpoint, const ModelConfig& config, const Kernels& k,
                         Compute compute, WeightReading reading);

/// Lean in the place of Auto where packed copies would take more than a quarter of the free memory (null:
/// unknown).
WeightReading settled_reading(WeightReading reading, const Checkpoint& checkpoint, const ModelConfig& config,
                              const Kernels& k, Compute compute, std::optional<int64_t> free_memory);

}  // namespace longspan
