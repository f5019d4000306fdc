// How to describe a method to another program that has no name for it.
#pragma once

#include <optional>
#include <vector>

#include "position/position.h"

namespace longspan {

/// True when a spec consists of frequencies and a scale only, the same at every length.
bool is_table(const PositionSpec& spec);

/// The base that gives exactly these frequencies under plain RoPE (each to a relative 1e-12), as for ntk and
/// abf; nothing if there is none.
std::optional<double> base_of(const PositionSpec& spec, const HeadShape& shape);

/// [r/2] base^(-2i/r) / inv_freq[i]: the divisors of GGUF's rope_freqs and of longrope's lists; nothing if a
/// frequency is 0.
std::optional<std::vector<double>> factors_of(const PositionSpec& spec, double base, const HeadShape& shape);

}  // namespace longspan
