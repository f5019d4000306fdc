// ModelConfig: one flat description of an architecture instance, fields named as in Hugging Face's
// config.json, and the table of architectures: rows, not classes. A weight that a model lacks is a null
// tensor and switches its feature off.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>

#include "checkpoint/checkpoint.h"
#include "kernels/kernels.h"
#include "model/tensor_names.h"
#include "position/position.h"

namespace longspan {

struct ModelConfig {
  std::string architecture;         // row of the table: "llama", "qwen2", ...
  int64_t hidden_size = 0;          // C
  int64_t intermediate_size = 0;    // F
  int64_t num_hidden_layers = 0;    // L
  int64_t num_attention_heads = 0;  // H
  int64_t num_key_value_heads = 0;  // K
  int64_t head_dim = 0;             // D
  int64_t rotary_dim = 0;           // r <= D
  int64_t vocab_size = 0;           // V
  float rms_norm_eps = 1e-5f;
  int64_t sliding_window = 0;  // 0: none
  // n > 0: only layers n - 1, 2n - 1, ... see everything and follow `position`; the others are local: they
  // see the window and turn by plain RoPE with the base rope_local_base_freq (0: as the others do). 0: all
  // layers are alike.
  int64_t sliding_window_pattern = 0;
  double rope_local_base_freq = 0;
  // n > 0: layers n - 1, 2n - 1, ... do not rotate queries and keys.
  int64_t no_rope_layer_interval = 0;
  double query_pre_attn_scalar = 0;  // scores are divided by its square root; 0: of head_dim's
  // c > 0: scores of attention and logits become c tanh(x / c) (Gemma 2).
  double attn_logit_softcapping = 0, final_logit_softcapping = 0;
  double embedding_scale = 1;      // multiplies the embedding's output
  double residual_multiplier = 1;  // multiplies what attention and MLP add
  double logits_scaling = 1;       // divides the logits
  Activation activation = Activation::Silu;
  bool tie_word_embeddings = false;
  bool attention_bias = false;  // q, k and v carry biases
  bool o_bias = false;          // and so does o
  bool mlp_bias = false;        // gate, up and down carry biases
  bool qk_norm = false;         // each head of q and k is normalised (RMSNorm) before rotation
  bool qk_norm_whole = false;   // all heads of a token as one vector
  bool pre_norms = true;        // inputs of attention and MLP are normalised
  bool post_norms = false;      // outputs of attention and MLP are normalised before they are added
  bool norm_offset = false;     // Hugging Face's files hold the weights of norms minus 1
  bool norm_head = false;       // logits are hidden . rows of the head divided by their L2 norm (NormHead)
  // Mixture of experts in the place of the MLP, in every layer: the num_experts_per_tok experts of the
  // largest softmax(router) each give gate, up and down of moe_intermediate_size, weighted by that softmax
  // (norm_topk_prob: divided by its sum over the chosen); beside them one shared expert, times the sigmoid of
  // a gate of its own. 0 experts: a plain MLP.
  int64_t num_experts = 0;  // E
  int64_t num_experts_per_tok = 0;
  int64_t moe_intermediate_size = 0;
  int64_t shared_expert_intermediate_size = 0;  // 0: none
  bool norm_topk_prob = false;
  PositionConfig position;  // the model's own method

  HeadShape head_shape() const { return {head_dim, rotary_dim, num_attention_heads}; }
  /// The widest gate of a layer.
  int64_t mlp_width() const {
    if (num_experts == 0) return intermediate_size;
    return std::max(moe_intermediate_size, shared_expert_intermediate_size);
  }
  bool unrotated_layer(int64_t layer) const {
    return no_rope_layer_interval > 0 && (layer + 1) % no_rope_layer_interval == 0;
  }
  bool local_layer(int64_t layer) const {
    return sliding_window_pattern > 0 && (layer + 1) % sliding_window_pattern != 0;
  }
};

/// Parameters of a model of these sizes, without reading a tensor: V C of them belong to the embedding, and V
/// C to a head that is not tied to it.
int64_t parameter_count(const ModelConfig& config);
/// Of these, the ones that a token meets: of the experts only those that it is given to.
int64_t active_parameter_count(const ModelConfig& config);

/// One family. GGUF stores q/k rows interleaved for some (gguf_permuted): undone at load so that one rotary
/// layout, rotate-half, remains.
struct Architecture {
  const char* name;     // GGUF general.architecture; ModelConfig::architecture
  const char* hf_type;  // config.json model_type
  const TensorNames* hf_names = &kHuggingFaceNames;
  const TensorNames* gguf_names = &kGgufNames;
  const char* chat_template = nullptr;  // built-in format of its models that carry none, where it has but one
  bool gguf_permuted = false;           // q/k rows of its GGUF files are permuted
  bool hf_permuted = false;             // and so are those of its Hugging Face files
  bool qkv_bias = false;                // q, k and v always carry biases, o never
  bool qk_norm = false;
  bool qk_norm_whole = false;
  bool pre_norms = true;
  bool post_norms = false;
  bool experts = false;  // a mixture of experts; norm_topk_prob is what its GGUF files mean
  bool norm_topk_prob = false;
  bool multipliers = false;  // Granite's: of embedding, attention, residual, logits
  bool o_unbiased = false;   // o never carries a bias
  bool trains = true;        // training and adapters are supported
  bool norm_head = false;    // config.json may ask for NormHead
  bool gemma = false;        // scaled embedding, norms after both halves, local layers, GELU; HF norms - 1
  bool soft_caps = false;    // of scores and logits, 50 and 30 where the file does not say; local layers turn
                             // as the others
  bool max_window_layers = false;  // HF counts layers that keep full attention, and asks use_sliding_window
  const char* bias = "attention_bias";  // config.json's name for biases of q, k, v and o
  // Values of fields that an HF config omits.
  bool tied = false;
  int64_t head_dim = 0;                // 0: hidden / heads
  int64_t sliding_window_pattern = 0;  // of gemma
  int64_t wide_layers = 0;             // the model of so many layers scales queries by hidden / heads (GGUF)
  int64_t sliding_window = 0;          // 0: the family has none; -1: none unless the file says one
  double base = 0;                     // 0: the position room's own
  double eps = 1e-6;                   // of RMSNorm
  double rotary_fraction = 1;          // of each head's dimensions
  int64_t no_rope_layer_interval = 0;  // GGUF files cannot say it
};
std::span<const Architecture> architectures();
/// The row of a model: of several families with one GGUF name the first.
const Architecture& row_of(const ModelConfig& config);
/// The row of a checkpoint, or null when its architecture is not supported.
const Architecture* architecture_of(const Checkpoint& checkpoint);

/// Reads and validates the config of a checkpoint: Error naming file and field when something is missing, out
/// of range or contradictory.
ModelConfig read_config(const Checkpoint& checkpoint);

}  // namespace longspan
