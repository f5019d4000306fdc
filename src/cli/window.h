// Does a text fit? If not, it is refused with the numbers, or cut where the user asked; nothing is cut
// silently.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/options.h"

namespace longspan::cli {

/// Tokens that prompt and answer may fill: --context if given, otherwise what the position method reaches;
/// unlimited for a model that states no window.
int64_t window_tokens(const ModelConfig& config, const Options& o);

/// The ids that remain when `keep` of n may stay: "left" and "right" name the side that is cut; "middle"
/// keeps the first and the last half of `keep`.
std::vector<int32_t> cut_ids(const std::vector<int32_t>& ids, int64_t keep, const std::string& side);

/// Throws the Error for a text that needs `tokens`, `answer` of them for the answer: tokens, window, bytes,
/// ways out.
[[noreturn]] void refuse_length(const Engine& engine, const Options& o, int64_t tokens, int64_t answer);

/// Makes ids plus an answer of `answer` tokens fit, by cutting with a remark if --truncate was given. Error
/// otherwise.
void fit_ids(const Engine& engine, const Options& o, std::vector<int32_t>& ids, int64_t answer);

}  // namespace longspan::cli
