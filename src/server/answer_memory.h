// The ids of answers, kept with the text of their conversations. A client sends back what was written as
// text, which may tokenise differently from what the model wrote; the keys and values of the answer, and of
// all that follows, would then have to be computed again. Thread-safe.
#pragma once

#include <cstdint>
#include <list>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace longspan::server {

class AnswerMemory {
 public:
  /// Ids of a rendered conversation: those of the longest text known that it begins with, where what follows
  /// begins with a special token, and behind them the ids of the rest.
  std::vector<int32_t> encode(const Tokenizer& tokenizer, const std::string& rendered);
  /// `text`, a rendered conversation with its answer, is known to be these ids.
  void remember(std::string text, std::vector<int32_t> ids);
  int64_t bytes() const;

 private:
  struct Known {
    std::string text;
    std::vector<int32_t> ids;
    int64_t bytes() const { return static_cast<int64_t>(text.size() + ids.size() * sizeof(int32_t)); }
  };
  mutable std::mutex mutex_;
  std::list<Known> known_;  // the one used last comes first
  int64_t bytes_ = 0;
};

}  // namespace longspan::server
