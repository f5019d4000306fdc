// Held-out loss by length: the same last tokens after contexts of each length.
#pragma once

#include <functional>
#include <utility>
#include <vector>

#include "model/forward.h"

namespace longspan {

constexpr int64_t kValidatedTokens = 512;
constexpr int64_t kValidationChunk = 512;  // tokens of a forward pass

/// Mean -ln p of the last min(512, length - 1) tokens of each text, given the `length` tokens that end with
/// them, over all texts (each of at least the longest length). Runs in chunks with a cache, not in the
/// buffers of training: lengths beyond those of the rows take little memory. `stop` may be null; when it
/// returns true, the result is an empty list.
std::vector<std::pair<int64_t, double>> validation_loss(const Model& model, const PositionConfig& position,
                                                        const std::vector<std::vector<int32_t>>& texts,
                                                        const std::vector<int64_t>& lengths,
                                                        const std::function<bool()>& stop);

}  // namespace longspan
