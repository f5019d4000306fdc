// The gradient of each weight, arranged like Weights; null where nothing trains. training.cc makes them,
// backward.cc adds to them.
#pragma once

#include <vector>

#include "model/training.h"

namespace longspan {

struct LinearGradient {
  Tensor weight, bias;  // of the projection
  Tensor a, b;          // of its adapter
};

struct LayerGradients {
  Tensor attn_norm, q_norm, k_norm, attn_post_norm, mlp_norm, mlp_post_norm;
  LinearGradient q, k, v, o, gate, up, down;
};

struct Gradients {
  Tensor embedding, final_norm;
  LinearGradient head;  // its weight is the embedding's where the two are tied
  std::vector<LayerGradients> layers;
};

/// Called at the end of a pass. Parameters that the model uses in another form (UnitHead) get their own
/// gradients from those of that form.
void finish_gradients(TrainingModel& model);

}  // namespace longspan
