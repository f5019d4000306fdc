// Where an answer looked: the attention that its first tokens paid to each token of the prompt.
#pragma once

#include <span>
#include <vector>

#include "generate/sequence.h"

namespace longspan {

/// Most tokens of an answer that are looked at: a pass of so few rows holds nobody back for long.
constexpr int64_t kAttentionRows = 24;

/// Feeds ids, at most kAttentionRows, and returns for each token before them the weight that they gave it:
/// the mean over rows, layers and heads. The first token of the text gets 0, since many heads put there what
/// they have no use for (Xiao 2023, arXiv 2309.17453). Weights say where a model looked, not what decided.
std::vector<float> attention_mass(Sequence& sequence, const Engine& engine, std::span<const int32_t> ids);

}  // namespace longspan
