// Training of a model: parameters with gradients, low-rank adapters, and the gradient of one row. Forward is
// the block of forward.cc; backward is the same block reversed. The plan decides what is kept: everything of
// every layer, or (recompute) only the residual stream between layers, in which case backward runs the block
// again: the same code on the same numbers, so both plans give the same bits. The head and the loss run in
// chunks of tokens; logits are never stored whole.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "data/row.h"
#include "model/forward.h"

namespace longspan {

/// What trains. All weights, or adapters on some projections (LoRA, Hu 2021, arXiv 2106.09685) with norms and
/// embeddings beside them as LongLoRA found necessary (Chen 2023, arXiv 2309.12307).
struct Trained {
  bool all = false;                           // every weight; embeddings only if `embeddings`
  int64_t lora_rank = 0;                      // 0: no adapters
  double lora_alpha = 0;                      // the product is multiplied by alpha / rank
  std::vector<std::string> projections = {};  // "q_proj" ... "down_proj"; for adapters
  bool norms = false;                         // with adapters: norms train too
  bool embeddings = false;                    // embedding and, where untied, head train too
};

/// One trained tensor. Names are those of Hugging Face's state dict (adapters: PEFT's).
struct Parameter {
  std::string name;
  Tensor value;         // F32 [rows, cols] or [cols]
  Tensor gradient;      // F32, of the same shape; passes add to it
  bool decays = false;  // weight decay applies: matrices, but no embedding and no norm
};

struct TrainingModel {
  Model model;  // trained weights and adapters are F32 in `memory`; frozen ones lie as they were loaded
  std::vector<Parameter> parameters;  // in a fixed order
  Arena memory;
  std::shared_ptr<struct Gradients>
      gradients;  // what backward adds to; the tensors are those of `parameters`
};

/// Error when nothing trains or a projection is unknown. The checkpoint must outlive the result. `seed` of A.
TrainingModel make_training_model(const Checkpoint& checkpoint, const ModelConfig& config, const Kernels& k,
                                  Compute compute, const Trained& trained, uint64_t seed);
/// Tells the kernels that values of parameters changed: packed copies are made anew.
void parameters_changed(TrainingModel& model);

struct TrainingPlan {
  bool recompute = true;
  int64_t head_chunk = 256;  // tokens whose logits exist at once
};

/// Buffers for rows of at most `tokens` tokens.
class TrainingBuffers;
std::shared_ptr<TrainingBuffers> make_training_buffers(const TrainingModel& model, const PositionSpec& spec,
                                                       int64_t tokens, const TrainingPlan& plan);
/// Bytes of those buffers, from shapes alone.
int64_t training_buffer_bytes(const ModelConfig& config, Compute compute, const PositionSpec& spec,
                              int64_t tokens, const TrainingPlan& plan);

struct RowLoss {
  double loss = 0;      // sum of weight * -ln p(target), natural log
  double weight = 0;    // sum of weights
  int64_t targets = 0;  // targets of weight > 0
};

/// Adds to every parameter's gradient that of  scale * sum_t weights[t] * -ln p(targets[t]).  scale 0: loss
/// only.
RowLoss row_gradient(TrainingModel& model, const PositionSpec& spec, const TrainingRow& row, double scale,
                     TrainingBuffers& buffers);

/// Adds the gradient of  scale * sum_t weights[t] KL(p_original(t) || p(t)), where p_original is `original`
/// (null: this model without its adapters) under its own positions, of one zone (Hinton 2015, arXiv
/// 1503.02531); logits of both exist in chunks only. loss is the sum of the divergences.
RowLoss row_divergence(TrainingModel& model, const PositionSpec& spec, const Model* original,
                       const PositionSpec& original_spec, const TrainingRow& row, double scale,
                       TrainingBuffers& buffers);

}  // namespace longspan
