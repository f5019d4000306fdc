// EncoderConfig: the shape of a BERT encoder (Devlin 2018, arXiv 1810.04805), fields named as in Hugging
// Face's config.json. One architecture: absolute positions, a layer norm behind each half of a layer, exact
// gelu.
#pragma once

#include <cstdint>

#include "checkpoint/checkpoint.h"

namespace longspan {

struct EncoderConfig {
  int64_t hidden_size = 0;              // C
  int64_t intermediate_size = 0;        // F
  int64_t num_hidden_layers = 0;        // L
  int64_t num_attention_heads = 0;      // H
  int64_t vocab_size = 0;               // V
  int64_t max_position_embeddings = 0;  // tokens of a text at most
  int64_t type_vocab_size = 0;
  float layer_norm_eps = 1e-12f;

  int64_t head_dim() const { return hidden_size / num_attention_heads; }
};

/// Whether the checkpoint says that it is such an encoder: model_type or general.architecture "bert".
bool is_encoder(const Checkpoint& checkpoint);

/// Error naming file and field when something is missing, out of range, or would change the arithmetic.
EncoderConfig read_encoder_config(const Checkpoint& checkpoint);

}  // namespace longspan
