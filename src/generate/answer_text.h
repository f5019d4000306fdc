// The text of an answer while it grows: what may already be shown of it, and whether a stop string ended it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace longspan {

/// Holds back what may become a stop string, and incomplete characters.
class AnswerText {
 public:
  explicit AnswerText(std::vector<std::string> stops) : stops_(std::move(stops)) {}

  /// Adds the bytes of a token; returns what may be shown now, valid UTF-8.
  std::string add(std::string_view bytes);
  /// Whether a stop string was found: the text ends before it.
  bool stopped() const { return stop_at_ != std::string::npos; }
  /// What was held back and not shown yet.
  std::string finish() { return show(text_.size()); }
  std::string text() const;

 private:
  size_t held() const;
  std::string show(size_t end);

  std::vector<std::string> stops_;
  std::string text_;
  size_t shown_ = 0, stop_at_ = std::string::npos;
};

/// Stop strings that are special tokens: these add nothing to the text, so they are found by id.
std::vector<int32_t> stop_tokens(const Tokenizer& tokenizer, const std::vector<std::string>& stops);

}  // namespace longspan
