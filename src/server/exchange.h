// One request while it is answered: waits for the scheduler's news and makes a response of them, whole or as
// server-sent events.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "generate/answers.h"

namespace longspan::server {

/// An answer as far as it has come.
struct Choice {
  std::string text;
  std::vector<int32_t> ids;
  std::vector<ScoredToken> tokens, prompt;
  AnswerNews last;  // its counts and times
  std::vector<float> attention;
  size_t shown = 0;  // of the text and the tokens, in chunks
  size_t shown_tokens = 0;
  bool begun = false;  // a chunk of it was sent
};

/// What is common to all chunks, and how answers become JSON.
struct Form {
  std::string id, object, chunk_object, model;
  int64_t created = 0;
  size_t choices_of_prompt = 1;  // n: its prompt counts once
  bool include_usage = false, progress = false;
  std::function<Json(const Choice&, size_t i)> whole;               // an entry of "choices"
  std::function<std::vector<Json>(Choice&, size_t i)> chunks = {};  // entries for what is new in it
  std::function<void(const Choice&, size_t i)> done = {};           // an answer has ended well
  std::function<Json(const Choice&)> attention = {};                // where the first one looked
  Json sources = {};                                                // of the passages in the prompt, or null
};

class Exchange {
 public:
  Exchange(std::shared_ptr<Answers> answers, Form form);
  /// Nobody waits for it any more.
  ~Exchange() { answers_->cancel(); }

  /// Waits for all of it. ApiError when an answer failed; null when `left` says that the client has gone.
  Json whole(const std::function<bool()>& left);
  /// Waits a while for news and writes them; false when nothing more will come, or the client has gone.
  bool stream(const std::function<bool(const std::string&)>& write, const std::function<bool()>& left);

 private:
  bool gather();
  Json frame(const std::string& object) const;
  Json usage() const;
  Json timings() const;
  Json attention() const;
  void add_progress(std::string& events);

  std::shared_ptr<Answers> answers_;
  Form form_;
  std::vector<Choice> choices_;
  std::vector<bool> told_;  // that it has ended
  int64_t told_place_ = 0, told_read_ = -1;
  std::chrono::steady_clock::time_point written_;
};

}  // namespace longspan::server
