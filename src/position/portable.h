// What another program can be told of a method that it has no name for.
#pragma once

#include <optional>
#include <vector>

#include "position/position.h"

namespace longspan {

/// True when a spec is nothing but frequencies and a scale, the same at every length.
bool is_table(const PositionSpec& spec);

/// The base whose plain rotary frequencies these are (to 1e-12 of each): ntk and abf come down to it.
std::optional<double> base_of(const PositionSpec& spec, const HeadShape& shape);

/// [r/2] base^(-2i/r) / inv_freq[i]: what GGUF's rope_freqs and the lists of longrope divide by; nothing
/// where a frequency is 0.
std::optional<std::vector<double>> factors_of(const PositionSpec& spec, double base, const HeadShape& shape);

}  // namespace longspan
