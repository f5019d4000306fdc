#include "generate/answer_text.h"

#include <algorithm>

#include "base/text.h"

namespace longspan {

std::string AnswerText::add(std::string_view bytes) {
  text_ += bytes;
  for (const std::string& stop : stops_) {
    size_t from = shown_ > stop.size() ? shown_ - stop.size() : 0,
           at = stop.empty() ? std::string::npos : text_.find(stop, from);
    if (at != std::string::npos && at < stop_at_) stop_at_ = at;
  }
  if (stopped()) text_.resize(stop_at_);
  return show(stopped() ? text_.size() : text_.size() - held());
}

std::string AnswerText::text() const { return valid_utf8(text_); }

/// Bytes at the end that may be the beginning of a stop string or of a character.
size_t AnswerText::held() const {
  size_t held = text_.size() - complete_utf8_prefix(text_);
  for (const std::string& stop : stops_)
    for (size_t n = std::min(stop.size() - (stop.empty() ? 0 : 1), text_.size()); n > held; --n)
      if (text_.compare(text_.size() - n, n, stop, 0, n) == 0) held = n;
  return held;
}

std::string AnswerText::show(size_t end) {
  if (end <= shown_) return {};
  std::string part = valid_utf8(std::string_view(text_).substr(shown_, end - shown_));
  shown_ = end;
  return part;
}

std::vector<int32_t> stop_tokens(const Tokenizer& tokenizer, const std::vector<std::string>& stops) {
  std::vector<int32_t> ids;
  for (const std::string& stop : stops)
    if (int32_t id = tokenizer.token_id(stop); id >= 0 && tokenizer.is_special(id)) ids.push_back(id);
  return ids;
}

}  // namespace longspan
