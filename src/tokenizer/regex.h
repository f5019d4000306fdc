// Regular expressions of tokenizer files. They are written for Oniguruma (Ruby's syntax); PCRE2 runs them
// after a translation of the few places where the two differ: \s \w \d \h and \b, ^ and $ at every line,
// Unicode 16. What the translation does not cover is an Error, never a silent change of meaning.
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace longspan {

class Regex {
 public:
  /// `source` opens the error sentence.
  Regex(const std::string& oniguruma_pattern, const std::string& source);
  /// The leftmost match in well-formed UTF-8 at or after `from`; false when there is none.
  /// Error when the pattern backtracks beyond a fixed limit on this text.
  bool search(std::string_view text, size_t from, size_t& begin, size_t& end) const;

 private:
  struct Compiled;
  std::shared_ptr<const Compiled> compiled_;
};

/// The PCRE2 form of an Oniguruma pattern; for tests.
std::string translate_regex(const std::string& oniguruma_pattern, const std::string& source);

}  // namespace longspan
