// Hand-written matchers for the regular expressions that nearly all byte-level tokenizers use. Each takes
// well-formed UTF-8 and gives the next match at or after `from` exactly as the regex would; the tests hold
// them equal to PCRE2. They exist for speed and, with \s+$, because backtracking over a long run of spaces is
// quadratic.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace longspan {

using Scanner = bool (*)(std::string_view text, size_t from, size_t& begin, size_t& end);

/// The pattern of GPT-2, which the ByteLevel pre-tokenizer has built in.
extern const char kGpt2Pattern[];

/// Null when there is no scanner for this regex.
Scanner scanner_for(const std::string& oniguruma_pattern);

}  // namespace longspan
