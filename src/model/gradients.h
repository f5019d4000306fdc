// Where the gradient of each weight lies: the shape of Weights again, null where nothing trains. Between
// training.cc, which makes them, and backward.cc, which adds to them.
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

/// At the end of a pass: what it added on behalf of parameters that the model multiplies with in another form
/// goes on to their own gradients.
void finish_gradients(TrainingModel& model);

}  // namespace longspan
