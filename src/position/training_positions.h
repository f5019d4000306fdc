// Positions given to the tokens of a training text so that the model sees distances longer than the text.
// Pure functions of a Random: the same seed gives the same positions on every machine.
#pragma once

#include <cstdint>
#include <vector>

#include "base/random.h"

namespace longspan {

/// Giraffe's randomised positions (Pal 2023, arXiv 2308.10882, after Ruoss 2023, arXiv 2305.16843): the sum
/// of t + 1 draws from U(0, 2), times tokens / max(last, tokens), so that none exceeds `tokens`. Fractional,
/// non-decreasing, [tokens]. Used for all layers of a step; the next step draws again.
std::vector<double> randomised_positions(int64_t tokens, Random& random);

/// PoSE (Zhu 2023, arXiv 2309.10400): the text is cut at chunks - 1 random places, and each chunk after the
/// first is shifted by a random skip: whole numbers within 0..target - 1, increasing by 1 inside a chunk, the
/// first chunk at 0. Skips are sorted uniform draws, so that no part of the window is preferred (with two
/// chunks this is PoSE's own draw). Needs 0 < tokens <= target; more chunks than tokens count as tokens.
/// [tokens]
std::vector<double> pose_positions(int64_t tokens, int64_t target, int64_t chunks, Random& random);

}  // namespace longspan
