// Eviction: an answer is written with the keys and values of only some of the prompt's tokens, which makes
// each of its tokens cheaper. SnapKV (Li et al. 2024, arXiv 2404.14469): the last queries of the prompt show,
// for each layer and each head of keys, what the answer will look at. The prompt itself is read whole, and
// the whole cache stays in memory for the next question about it (Sequence::restore).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/progress.h"
#include "model/config.h"

namespace longspan {

class Sequence;

struct Eviction {
  int64_t keep = 0;     // tokens of the prompt that a head keeps, the window among them; 0: all
  int64_t window = 32;  // last tokens of the prompt: their queries choose, and they stay
  int64_t pool = 7;     // neighbours, an odd number, that count as much as the best of them
  bool operator==(const Eviction&) const = default;
};

/// Reads --evict: "off", "snapkv" (keep=2048) or "snapkv:keep=4k,window=32,pool=7". Error says what was
/// expected.
Eviction parse_eviction(std::string_view text);

/// Tokens at the end of a prompt that stay whatever their scores: as many as the window, and all up to the
/// last distance at which a method with zones changes its rule. Before them a distance in the cache, which is
/// too short then, is in the zone of the true one.
int64_t tokens_that_stay(const PositionSpec& spec, int64_t window);

/// Why tokens cannot be taken out of the cache under these positions, or "": attention would have to know how
/// far apart two of them truly were, or more than `keep` tokens have to stay.
std::string eviction_obstacle(const ModelConfig& config, const PositionConfig& position,
                              const Eviction& eviction);

/// The tokens to keep, rising, of scores.size() + `stay` tokens: the last `stay`, and of the others the
/// eviction.keep - `stay` with the largest scores, each score being the largest of its neighbourhood of
/// eviction.pool. Of equal ones the first. All tokens when they are no more than eviction.keep.
std::vector<int32_t> tokens_to_keep(std::span<const float> scores, const Eviction& eviction, int64_t stay);

/// Tokens of a prompt of n tokens that may be taken from an earlier reading: the window is to be fed.
int64_t reusable_before_eviction(int64_t n, const Eviction& eviction);

/// Feeds the rest of a prompt like Sequence::feed, under the eviction of the engine's options. The last
/// tokens of `rest`, Eviction::window of them or all that there are, choose. A prompt of no more than
/// Eviction::keep tokens is fed only. Error with eviction_obstacle.
bool feed_and_evict(Sequence& sequence, std::span<const int32_t> rest, const Progress& progress = {});

}  // namespace longspan
