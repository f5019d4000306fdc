#include "server/answer_memory.h"

#include "tokenizer/chat_format.h"

namespace longspan::server {

namespace {

constexpr size_t kMostKnown = 256;
constexpr int64_t kMostBytes = int64_t{64} << 20;

}  // namespace

std::vector<int32_t> AnswerMemory::encode(const Tokenizer& tokenizer, const std::string& rendered) {
  std::vector<int32_t> ids;
  size_t length = 0;
  {
    std::lock_guard lock(mutex_);
    auto best = known_.end();
    for (auto at = known_.begin(); at != known_.end(); ++at)
      if (at->text.size() < rendered.size() && rendered.starts_with(at->text) &&
          (best == known_.end() || at->text.size() > best->text.size()))
        best = at;
    if (best != known_.end()) {
      ids = best->ids, length = best->text.size();
      known_.splice(known_.begin(), known_, best);
    }
  }
  std::vector<int32_t> rest = encode_chat(tokenizer, std::string_view(rendered).substr(length));
  if (length == 0) return rest;
  // Elsewhere a tokeniser may join across the seam, or begin the rest as it begins a text.
  if (rest.empty() || !tokenizer.is_added(rest[0])) return encode_chat(tokenizer, rendered);
  ids.insert(ids.end(), rest.begin(), rest.end());
  return ids;
}

void AnswerMemory::remember(std::string text, std::vector<int32_t> ids) {
  Known one{std::move(text), std::move(ids)};
  std::lock_guard lock(mutex_);
  for (auto at = known_.begin(); at != known_.end(); ++at)
    if (at->text == one.text) {
      bytes_ -= at->bytes();
      known_.erase(at);
      break;
    }
  if (one.bytes() > kMostBytes / 2) return;
  bytes_ += one.bytes();
  known_.push_front(std::move(one));
  while (known_.size() > kMostKnown || bytes_ > kMostBytes) {
    bytes_ -= known_.back().bytes();
    known_.pop_back();
  }
}

int64_t AnswerMemory::bytes() const {
  std::lock_guard lock(mutex_);
  return bytes_;
}

}  // namespace longspan::server
