// A loaded model in Hugging Face's terms: names of tensors, config.json, generation_config.json. Only for
// families whose weights are not changed at load.
#pragma once

#include <vector>

#include "checkpoint/write_safetensors.h"
#include "model/config.h"
#include "model/weights.h"
#include "tokenizer/tokenizer.h"

namespace longspan {

/// The tensor in `dtype` (F32, F16, BF16), dequantised and rounded to the nearest where it is not. `tensor`
/// is read while the result is written; Error then when a value is too large for F16.
TensorSource converted(const NamedTensor& tensor, DType dtype);

/// Weights by Hugging Face's names, without a head that is tied to the embedding. Views into `weights`. Error
/// for a family whose weights are changed at load (NormHead, fused q, k and v, Gemma's norms).
std::vector<NamedTensor> named_weights(const Weights& weights, const ModelConfig& config);

/// config.json without the rotary fields, which position_to_hf adds. Error as named_weights.
Json config_to_hf(const ModelConfig& config, const Weights& weights, const Tokenizer& tokenizer, DType dtype);

/// Begin and end tokens, including all that end a turn.
Json generation_config(const Tokenizer& tokenizer);

}  // namespace longspan
