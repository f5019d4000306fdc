// The projections and norms of a layer by name: what trains, what adapters stand beside, what files of
// adapters call them. Names are those of Hugging Face and PEFT.
#pragma once

#include "model/gradients.h"

namespace longspan {

struct Role {
  const char* name;  // of the projection, as recipes and PEFT's target_modules say it
  const char* path;  // below model.layers.N.
  Linear LayerWeights::*linear;
  Adapter LayerAdapters::*adapter;
  LinearGradient LayerGradients::*gradient;
};
inline constexpr Role kRoles[] = {
    {"q_proj", "self_attn.q_proj", &LayerWeights::q, &LayerAdapters::q, &LayerGradients::q},
    {"k_proj", "self_attn.k_proj", &LayerWeights::k, &LayerAdapters::k, &LayerGradients::k},
    {"v_proj", "self_attn.v_proj", &LayerWeights::v, &LayerAdapters::v, &LayerGradients::v},
    {"o_proj", "self_attn.o_proj", &LayerWeights::o, &LayerAdapters::o, &LayerGradients::o},
    {"gate_proj", "mlp.gate_proj", &LayerWeights::gate, &LayerAdapters::gate, &LayerGradients::gate},
    {"up_proj", "mlp.up_proj", &LayerWeights::up, &LayerAdapters::up, &LayerGradients::up},
    {"down_proj", "mlp.down_proj", &LayerWeights::down, &LayerAdapters::down, &LayerGradients::down},
};

struct Norm {
  const char* path;
  Tensor LayerWeights::*weight;
  Tensor LayerGradients::*gradient;
};
inline constexpr Norm kNorms[] = {
    {"input_layernorm", &LayerWeights::attn_norm, &LayerGradients::attn_norm},
    {"self_attn.q_norm", &LayerWeights::q_norm, &LayerGradients::q_norm},
    {"self_attn.k_norm", &LayerWeights::k_norm, &LayerGradients::k_norm},
    {"post_attention_layernorm", &LayerWeights::mlp_norm, &LayerGradients::mlp_norm},
};

}  // namespace longspan
