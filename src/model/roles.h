// The projections and norms of a layer by name: what can train, what can have adapters, and their names in
// files of adapters. Names are those of Hugging Face and PEFT.
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
  const char* TensorNames::*path;  // of parameter_names
  Tensor LayerWeights::*weight;
  Tensor LayerGradients::*gradient;
};
inline constexpr Norm kNorms[] = {
    {&TensorNames::attn_norm, &LayerWeights::attn_norm, &LayerGradients::attn_norm},
    {&TensorNames::q_norm, &LayerWeights::q_norm, &LayerGradients::q_norm},
    {&TensorNames::k_norm, &LayerWeights::k_norm, &LayerGradients::k_norm},
    {&TensorNames::attn_post_norm, &LayerWeights::attn_post_norm, &LayerGradients::attn_post_norm},
    {&TensorNames::mlp_norm, &LayerWeights::mlp_norm, &LayerGradients::mlp_norm},
    {&TensorNames::mlp_post_norm, &LayerWeights::mlp_post_norm, &LayerGradients::mlp_post_norm},
};

/// Hugging Face's names in this family; none for norms that it lacks.
inline const TensorNames& parameter_names(const ModelConfig& config) {
  return config.norm_offset ? kGemmaNames : kHuggingFaceNames;
}

/// Hugging Face's files hold the weight of a norm minus this (Gemma).
inline float norm_offset(const ModelConfig& config) { return config.norm_offset ? 1.0f : 0.0f; }

}  // namespace longspan
