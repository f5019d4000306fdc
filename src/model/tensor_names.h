// How the formats and families name their tensors: one row each, by role. A stem of a layer follows `layer`
// with the number of the layer for {}; ".weight" or ".bias" follows the stem. Null: the files have no such
// tensor.
#pragma once

namespace longspan {

struct TensorNames {
  const char* layer;
  const char *embedding, *final_norm, *head;
  const char *attn_norm, *q, *k, *v, *o, *q_norm, *k_norm, *attn_post_norm;
  const char *mlp_norm, *gate, *up, *down, *mlp_post_norm;
  // q, k and v in one tensor instead of three: for each key/value head the rows of its query heads, of the
  // key head and of the value head (InternLM2).
  const char* qkv = nullptr;
  // q, k and v in one tensor, one below the other (Phi 3); gate above up (Phi 3, GLM 4).
  const char* q_k_v = nullptr;
  const char* gate_up = nullptr;
  // A mixture of experts. Each expert has its own tensors, with its number for {}; or all of a layer's are
  // one tensor [E, rows, cols], where the names have no {}.
  const char* router = nullptr;
  const char *expert_gate = nullptr, *expert_up = nullptr, *expert_down = nullptr;
  const char* shared_router = nullptr;  // [C]: how much of the shared expert is taken
  const char *shared_gate = nullptr, *shared_up = nullptr, *shared_down = nullptr;
};

extern const TensorNames kHuggingFaceNames, kGemmaNames, kInternlm2Names, kPhi3Names, kOlmo2Names, kGlm4Names,
    kGgufNames, kGgufPhi3Names, kGgufGlm4Names, kGgufOlmo2Names;

}  // namespace longspan
