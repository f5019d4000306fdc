#include "model/tensor_names.h"

namespace longspan {

constexpr TensorNames kHuggingFaceNames{.layer = "model.layers.{}.",
                                        .embedding = "model.embed_tokens",
                                        .final_norm = "model.norm",
                                        .head = "lm_head",
                                        .attn_norm = "input_layernorm",
                                        .q = "self_attn.q_proj",
                                        .k = "self_attn.k_proj",
                                        .v = "self_attn.v_proj",
                                        .o = "self_attn.o_proj",
                                        .q_norm = "self_attn.q_norm",
                                        .k_norm = "self_attn.k_norm",
                                        .attn_post_norm = nullptr,
                                        .mlp_norm = "post_attention_layernorm",
                                        .gate = "mlp.gate_proj",
                                        .up = "mlp.up_proj",
                                        .down = "mlp.down_proj",
                                        .mlp_post_norm = nullptr,
                                        .router = "mlp.gate",
                                        .expert_gate = "mlp.experts.{}.gate_proj",
                                        .expert_up = "mlp.experts.{}.up_proj",
                                        .expert_down = "mlp.experts.{}.down_proj",
                                        .shared_router = "mlp.shared_expert_gate",
                                        .shared_gate = "mlp.shared_expert.gate_proj",
                                        .shared_up = "mlp.shared_expert.up_proj",
                                        .shared_down = "mlp.shared_expert.down_proj"};

/// post_attention_layernorm is the norm before the MLP in the Llama family, and the one after attention in
/// Gemma.
static constexpr TensorNames gemma() {
  TensorNames names = kHuggingFaceNames;
  names.attn_post_norm = "post_attention_layernorm";
  names.mlp_norm = "pre_feedforward_layernorm";
  names.mlp_post_norm = "post_feedforward_layernorm";
  return names;
}
constexpr TensorNames kGemmaNames = gemma();

static constexpr TensorNames phi3() {
  TensorNames names = kHuggingFaceNames;
  names.q = names.k = names.v = names.gate = names.up = nullptr;
  names.q_k_v = "self_attn.qkv_proj", names.gate_up = "mlp.gate_up_proj";
  return names;
}
constexpr TensorNames kPhi3Names = phi3();

static constexpr TensorNames olmo2() {
  TensorNames names = kHuggingFaceNames;
  names.attn_norm = names.mlp_norm = nullptr;
  names.attn_post_norm = "post_attention_layernorm", names.mlp_post_norm = "post_feedforward_layernorm";
  return names;
}
constexpr TensorNames kOlmo2Names = olmo2();

static constexpr TensorNames glm4() {
  TensorNames names = kHuggingFaceNames;
  names.attn_post_norm = "post_self_attn_layernorm", names.mlp_post_norm = "post_mlp_layernorm";
  names.gate = names.up = nullptr;
  names.gate_up = "mlp.gate_up_proj";
  return names;
}
constexpr TensorNames kGlm4Names = glm4();

constexpr TensorNames kInternlm2Names{.layer = "model.layers.{}.",
                                      .embedding = "model.tok_embeddings",
                                      .final_norm = "model.norm",
                                      .head = "output",
                                      .attn_norm = "attention_norm",
                                      .q = nullptr,
                                      .k = nullptr,
                                      .v = nullptr,
                                      .o = "attention.wo",
                                      .q_norm = nullptr,
                                      .k_norm = nullptr,
                                      .attn_post_norm = nullptr,
                                      .mlp_norm = "ffn_norm",
                                      .gate = "feed_forward.w1",
                                      .up = "feed_forward.w3",
                                      .down = "feed_forward.w2",
                                      .mlp_post_norm = nullptr,
                                      .qkv = "attention.wqkv"};

constexpr TensorNames kGgufNames{.layer = "blk.{}.",
                                 .embedding = "token_embd",
                                 .final_norm = "output_norm",
                                 .head = "output",
                                 .attn_norm = "attn_norm",
                                 .q = "attn_q",
                                 .k = "attn_k",
                                 .v = "attn_v",
                                 .o = "attn_output",
                                 .q_norm = "attn_q_norm",
                                 .k_norm = "attn_k_norm",
                                 .attn_post_norm = "post_attention_norm",
                                 .mlp_norm = "ffn_norm",
                                 .gate = "ffn_gate",
                                 .up = "ffn_up",
                                 .down = "ffn_down",
                                 .mlp_post_norm = "post_ffw_norm",
                                 .router = "ffn_gate_inp",
                                 .expert_gate = "ffn_gate_exps",
                                 .expert_up = "ffn_up_exps",
                                 .expert_down = "ffn_down_exps",
                                 .shared_router = "ffn_gate_inp_shexp",
                                 .shared_gate = "ffn_gate_shexp",
                                 .shared_up = "ffn_up_shexp",
                                 .shared_down = "ffn_down_shexp"};

static constexpr TensorNames gguf_glm4() {
  TensorNames names = kGgufNames;
  names.gate = names.up = nullptr;
  names.gate_up = "ffn_up";
  return names;
}
constexpr TensorNames kGgufGlm4Names = gguf_glm4();

static constexpr TensorNames gguf_phi3() {
  TensorNames names = gguf_glm4();
  names.q = names.k = names.v = nullptr;
  names.q_k_v = "attn_qkv";
  return names;
}
constexpr TensorNames kGgufPhi3Names = gguf_phi3();

static constexpr TensorNames gguf_olmo2() {
  TensorNames names = kGgufNames;
  names.attn_norm = names.mlp_norm = nullptr;
  return names;
}
constexpr TensorNames kGgufOlmo2Names = gguf_olmo2();

}  // namespace longspan
