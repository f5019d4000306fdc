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
};

extern const TensorNames kHuggingFaceNames, kGemmaNames, kInternlm2Names, kGgufNames;

}  // namespace longspan
