// A loaded model as Hugging Face's files have it: names of tensors, config.json, generation_config.json. Only
// for families whose weights are kept as their files hold them.
#pragma once

#include <vector>

#include "checkpoint/write_safetensors.h"
#include "model/config.h"
#include "model/weights.h"
#include "tokenizer/tokenizer.h"

namespace longspan {

/// The tensor in `dtype` (F32, F16, BF16), dequantised and rounded to the nearest where it is not. While it
/// is written: Error when a value is too large for F16. Reads `tensor`'s memory then.
TensorSource converted(const NamedTensor& tensor, DType dtype);

/// Weights by Hugging Face's names; a head that is tied to the embedding is left out. Views into `weights`.
/// Error for a family whose weights are changed at load (NormHead, fused q, k and v, Gemma's norms).
std::vector<NamedTensor> named_weights(const Weights& weights, const ModelConfig& config);

/// config.json but for the rotary fields, which position_to_hf adds. Error as named_weights.
Json config_to_hf(const ModelConfig& config, const Weights& weights, const Tokenizer& tokenizer, DType dtype);

/// Begin and end tokens: all that end a turn.
Json generation_config(const Tokenizer& tokenizer);

}  // namespace longspan
