// Hand-written matchers for the regular expressions that nearly all byte-level tokenizers use. Each takes
// well-formed UTF-8 and returns the next match at or after `from` exactly as the regex would; the tests
// compare them with PCRE2. They exist for speed and, for \s+$, because backtracking over a long run of spaces
// is quadratic.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace longspan {

using Scanner = bool (*)(std::string_view text, size_t from, size_t& begin, size_t& end);

/// The pattern of GPT-2, which is built into the ByteLevel pre-tokenizer.
extern const char kGpt2Pattern[];

/// Null when there is no scanner for this regex.
Scanner scanner_for(const std::string& oniguruma_pattern);

}  // namespace longspan
