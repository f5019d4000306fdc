// The attention weights of the rows of a pass, as an AttentionObserver meets them, in parts that fit into
// memory.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "kernels/kernels.h"

namespace longspan {

/// The attention weights of some rows of a pass over one sequence, on the host: [rows * heads, most_keys], as
/// Kernels::attention_weights.
std::vector<float> attention_weights(Device& device, std::span<const AttentionZone> zones,
                                     const AttentionShape& shape, std::span<const int32_t> rows);

/// Calls `take` with the weights [keys] that each head of each row gives to the keys: they sum to 1, and are
/// 0 where the row does not see a key. Of one sequence.
void for_attention_weights(
    Device& device, std::span<const AttentionZone> zones, const AttentionShape& shape,
    const std::function<void(int64_t row, int64_t head, std::span<const float> weights)>& take);

}  // namespace longspan
