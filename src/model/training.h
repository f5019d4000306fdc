// Training of a model: parameters with gradients, low-rank adapters, and the gradient of one row. Forward is
// the layer of block.cc; backward is the same layer reversed. The plan decides what is kept: everything of
// every layer, or (recompute) the residual stream between layers and, unless it says otherwise, what
// attention gave; backward then runs the rest of the layer again: the same code on the same numbers, so all
// plans give the same bits. The head and the loss run in chunks of tokens; logits are never stored whole.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "data/row.h"
#include "model/forward.h"

namespace longspan {

/// What trains: all weights, or adapters on some projections (LoRA, Hu 2021, arXiv 2106.09685), together with
/// norms and embeddings as LongLoRA found necessary (Chen 2023, arXiv 2309.12307).
struct Trained {
  bool all = false;                           // every weight; embeddings only if `embeddings`
  int64_t lora_rank = 0;                      // 0: no adapters
  double lora_alpha = 0;                      // the product is multiplied by alpha / rank
  std::vector<std::string> projections = {};  // "q_proj" ... "down_proj"; for adapters
  bool norms = false;                         // with adapters: norms train too
  bool embeddings = false;                    // embedding and, where untied, head train too
  double norm_lr = 1;                         // factor of the learning rate for norms
  double lora_start = 1;                      // A begins in U(-s/sqrt(C), s/sqrt(C)); 1: as PEFT draws it
};

/// One trained tensor. Names are those of Hugging Face's state dict (adapters: PEFT's).
struct Parameter {
  std::string name;
  Tensor value;         // F32 [rows, cols] or [cols]
  Tensor gradient;      // F32, of the same shape; passes add to it
  bool decays = false;  // weight decay applies: matrices, except embeddings and heads
  float offset = 0;     // files hold the value minus this
  double rate = 1;      // factor of the learning rate
};

/// The head of a model with NormHead while it trains: logits are products with its rows divided by their L2
/// norm.
struct UnitHead {
  Tensor raw, raw_gradient;    // of the parameter, [V, C] F32
  Tensor unit, unit_gradient;  // of the rows of length 1 that the model multiplies with
  Tensor scale;                // [C] F32: 1 / sqrt(C), which makes rmsnorm a division by the L2 norm

  explicit operator bool() const { return static_cast<bool>(raw); }
};

struct TrainingModel {
  Model model;  // trained weights and adapters are F32 in `memory`; frozen ones stay as loaded
  std::vector<Parameter> parameters;  // in a fixed order
  Arena memory;
  // What backward adds to; the tensors are those of `parameters`.
  std::shared_ptr<struct Gradients> gradients;
  UnitHead unit_head;  // null unless the head of a model with NormHead trains
};

/// Error when nothing trains or a projection is unknown. The checkpoint must outlive the result. `seed` of A.
TrainingModel make_training_model(const Checkpoint& checkpoint, const ModelConfig& config,
                                  std::shared_ptr<Device> device, Compute compute, const Trained& trained,
                                  uint64_t seed);
/// To be called after parameters changed: drops packed copies and renews derived weights (UnitHead).
void parameters_changed(TrainingModel& model);
/// The parameter as files hold it, in host memory: a view of its own memory where nothing needs to change,
/// else in `memory`.
Tensor as_filed(const TrainingModel& model, const Parameter& parameter, Arena& memory);

struct TrainingPlan {
  bool recompute = true;
  bool keep_attention = true;  // with recompute: attention, which costs most at length, runs once
  bool deterministic = false;  // the same bits every time on a GPU too: make_deterministic
  int64_t head_chunk = 256;    // tokens whose logits exist at once
};

/// Buffers for rows of at most `tokens` tokens, behind frozen contexts of at most `context` tokens.
class TrainingBuffers;
std::shared_ptr<TrainingBuffers> make_training_buffers(const TrainingModel& model, const PositionSpec& spec,
                                                       int64_t tokens, const TrainingPlan& plan,
                                                       int64_t context = 0);
int64_t training_buffer_bytes(const TrainingBuffers& buffers);
/// The same from shapes alone, without what frozen contexts need (FrozenContext::bytes). `dtype`: of what
/// feeds products (Kernels::product_dtype); `adapter_rank`: 0 without adapters.
int64_t training_buffer_bytes(const ModelConfig& config, DType dtype, const PositionSpec& spec,
                              int64_t tokens, const TrainingPlan& plan, int64_t adapter_rank);

/// The part of a row that counts in the loss.
struct RowCount {
  double weight = 0;    // sum of weights
  int64_t targets = 0;  // targets of weight > 0
};

/// Adds to every parameter's gradient that of  scale * sum_t weights[t] * -ln p(targets[t]), and to `loss`
/// [1] F64 the sum itself (natural log), on the device: the host does not wait.  scale 0: loss only. The
/// context of a row that has one is read first, and its keys and values count as constants; its documents may
/// need several passes.
RowCount add_row_gradient(TrainingModel& model, const PositionSpec& spec, const TrainingRow& row,
                          double scale, TrainingBuffers& buffers, Tensor loss);

/// Adds the gradient of  scale * sum_t weights[t] KL(p_original(t) || p(t)), where p_original is `original`
/// (null: this model without its adapters) under its own positions, of one zone (Hinton 2015, arXiv
/// 1503.02531); logits of both exist in chunks only. `loss` grows by the sum of the divergences.
RowCount add_row_divergence(TrainingModel& model, const PositionSpec& spec, const Model* original,
                            const PositionSpec& original_spec, const TrainingRow& row, double scale,
                            TrainingBuffers& buffers, Tensor loss);

struct RowLoss {
  double loss = 0;  // of one row
  double weight = 0;
  int64_t targets = 0;
};
/// The same for a single row; waits for its loss.
RowLoss row_gradient(TrainingModel& model, const PositionSpec& spec, const TrainingRow& row, double scale,
                     TrainingBuffers& buffers);
RowLoss row_divergence(TrainingModel& model, const PositionSpec& spec, const Model* original,
                       const PositionSpec& original_spec, const TrainingRow& row, double scale,
                       TrainingBuffers& buffers);

}  // namespace longspan
