// ModelConfig: one flat description of an architecture instance, fields named as in Hugging Face's
// config.json, and the table of architectures: rows, not classes. A weight that a model lacks is a null
// tensor and switches its feature off.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "checkpoint/checkpoint.h"
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
  bool tie_word_embeddings = false;
  bool attention_bias = false;  // q, k and v carry biases (o may)
  bool mlp_bias = false;        // gate, up and down carry biases
  PositionConfig position;      // the model's own method

  HeadShape head_shape() const { return {head_dim, rotary_dim, num_attention_heads}; }
};

/// One family as one format names it. All share the tensor roles of weights.cc. GGUF stores q/k rows
/// interleaved for some families (gguf_permuted): undone at load so that one rotary layout, rotate-half,
/// remains.
struct Architecture {
  const char* name;            // GGUF general.architecture; ModelConfig::architecture
  const char* hf_type;         // config.json model_type
  bool gguf_permuted = false;  // q/k rows of its GGUF files are permuted
  bool qkv_bias = false;       // q, k and v always carry biases, o never
  int64_t sliding_window = 0;  // what an HF config that is silent about it means; 0: the family has none
};
std::span<const Architecture> architectures();

/// Reads and validates the config of a checkpoint: Error naming file and field when something is missing, out
/// of range or contradictory.
ModelConfig read_config(const Checkpoint& checkpoint);

}  // namespace longspan
