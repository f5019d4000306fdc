// Does a text fit? If not, it is refused with the numbers, or cut where the user asked; nothing is cut
// silently.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "cli/options.h"

namespace longspan::cli {

/// Tokens that prompt and answer may fill: --context if given, otherwise what the position method reaches;
/// unlimited for a model that states no window.
int64_t window_tokens(const ModelConfig& config, const Options& o);

/// What a tokenizer puts around a text: the first and the last ids, which are no part of it.
struct Around {
  int64_t prefix = 0, suffix = 0;
};
Around around(const Tokenizer& tokenizer);

/// The ids that remain when `keep` of n may stay: "left" and "right" name the side that is cut; "middle"
/// keeps the first and the last half of `keep`. What is around the text stays; only the text is cut.
std::vector<int32_t> cut_ids(std::span<const int32_t> ids, int64_t keep, const std::string& side,
                             Around around = {});

/// Where --position left its factor to the length: makes the engine ready for texts of `tokens` tokens, or of
/// --context if that is less, and says which factor that is.
void stretch(Engine& engine, const Options& o, int64_t tokens);

/// Error unless `use` fits into the memory: needs, has, the most tokens that fit, and the ways out that
/// `ways` makes of that number.
void check_memory(const Engine& engine, const MemoryUse& use,
                  const std::function<std::string(int64_t)>& ways);
/// The same for a text that the user may have cut: --truncate, --context, --cache-type.
void check_memory(const Engine& engine, const MemoryUse& use);

/// Throws the Error for a text that needs `tokens`, `answer` of them for the answer: tokens, window, bytes,
/// ways out.
[[noreturn]] void refuse_length(const Engine& engine, const Options& o, int64_t tokens, int64_t answer);

/// Makes ids (a text with what the tokenizer puts around it) plus an answer of `answer` tokens fit the
/// window, by cutting with a remark if --truncate was given, and the memory. Error otherwise. Without an
/// answer the text is scored.
void fit_ids(Engine& engine, const Options& o, std::vector<int32_t>& ids, int64_t answer);

}  // namespace longspan::cli
