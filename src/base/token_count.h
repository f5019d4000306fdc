// Numbers of tokens as people write them: 32768, or 32k and 1M, where k is 1,024 and M is 1,024 k.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace longspan {

/// Digits, and then one of k, K, m, M or nothing. Nothing for any other text, or beyond 2^62.
std::optional<int64_t> parse_token_count(std::string_view text);

}  // namespace longspan
