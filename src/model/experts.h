// The mixture of experts (Shazeer 2017, arXiv 1701.06538; as in Qwen 2 and 3): every token is given to the
// few experts that a router chooses for it. The choice is made on the host, which waits for the router once a
// layer; everything else is operations of the vocabulary, so that it runs on every device.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/block.h"

namespace longspan {

/// The buffers of a layer's experts, for passes of at most T rows.
struct ExpertBuffers {
  Tensor routes;   // [T, E] F32: logits of the router
  Tensor share;    // [T, 1] F32: logit of the shared expert's gate
  Tensor mlp;      // [T, F], in the type that feeds products
  Tensor input;    // [T, C]: rows of one expert, in the type that feeds products
  Tensor output;   // [T, C] F32: what it makes of them
  Tensor part;     // [T, C] F32: rows of the sum
  Tensor sum;      // [T, C] F32
  Tensor rows;     // [T k] I32: the rows of each expert, one after the other
  Tensor factors;  // [T k] F32: their weights
};

/// Which rows each expert gets, and with what weight; experts one after the other, rows rising.
struct Routing {
  std::vector<int64_t> first;  // [E + 1]: where each expert's rows begin
  std::vector<int32_t> rows;
  std::vector<float> factors;
};
/// logits [T, E] of the router. The weight is softmax over all experts, divided by its sum over the chosen
/// ones when `normalise`; of equal logits the expert of the lower number is chosen.
Routing route(std::span<const float> logits, int64_t experts, int64_t used, bool normalise);

/// The second half of a layer: residual += experts(norm(residual)).
void add_experts(const Model& model, int64_t layer, const LayerBuffers& b, const ExpertBuffers& e);

}  // namespace longspan
