// Pre-tokenizers split text into the pieces that the model encodes one by one. Every kind in tokenizer.json
// is a short sequence of the four primitive steps here. A step treats each piece as if it were the whole
// text, so a lookahead never sees past its piece.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/regex.h"
#include "tokenizer/scanners.h"

namespace longspan {

struct Span {
  size_t begin, end;
  bool match;
};

/// What a Split or Replace searches for: exactly one member is set.
struct Pattern {
  std::string literal;
  bool (*predicate)(char32_t) = nullptr;  // each such character is a match of its own
  Scanner scanner = nullptr;
  std::shared_ptr<const Regex> regex;

  /// Divides text into matches and what lies between them, in order and without gaps; empty matches are kept.
  void find_all(std::string_view text, std::vector<Span>& out) const;
};

Pattern literal_pattern(std::string text);
Pattern regex_pattern(const std::string& oniguruma_pattern, const std::string& source);

enum class SplitBehavior { Removed, Isolated, MergedWithPrevious, MergedWithNext, Contiguous };

struct PreTokenizerStep {
  enum class Kind {
    Split,    // by pattern and behavior
    Replace,  // pattern.literal by text in each piece
    Prefix,   // puts text before each piece that does not begin with it; at_start_only: only at the start of
              // the whole input
    ByteMap,  // each byte becomes its printable character (GPT-2)
  };
  Kind kind = Kind::Split;
  Pattern pattern;
  SplitBehavior behavior = SplitBehavior::Isolated;
  bool invert = false;
  std::string text;
  bool at_start_only = false;
};

/// Text split into pieces. `text` views the input until a step rewrites it, then `owned`.
struct Pieces {
  std::string_view text;
  std::string owned;
  std::vector<std::pair<size_t, size_t>> ranges;  // begin, end in text
  bool at_start = false;                          // the first piece begins at the start of the input
};

/// Splits one text by pattern and behavior; empty pieces are dropped.
void split_text(const PreTokenizerStep& step, std::string_view text, size_t offset,
                std::vector<Span>& scratch, std::vector<std::pair<size_t, size_t>>& out);

void run_pre_tokenizer(const std::vector<PreTokenizerStep>& steps, Pieces& pieces);

/// The printable character of a byte in GPT-2's alphabet, and back (-1: not one of the 256).
char32_t byte_to_char(unsigned char byte);
int char_to_byte(char32_t c);

}  // namespace longspan
