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
                                        .mlp_post_norm = nullptr};

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
                                 .mlp_post_norm = "post_ffw_norm"};

}  // namespace longspan
