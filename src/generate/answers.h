// What somebody asked for, and what has come of it so far: the place where the thread that computes leaves
// news and those that wait for answers take them. Thread-safe.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "generate/token_choice.h"

namespace longspan {

struct AnswerRequest {
  std::vector<int32_t> prompt;  // at least one token
  int64_t max_tokens = 0;       // of the answer; 0: the prompt is read only
  ChoiceOptions choice = {};    // its stop strings end the answer
  bool attention = false;       // how much of it the answer's first tokens paid to the prompt is wanted
  bool score_prompt = false;    // log-probabilities of the prompt's tokens are wanted (choice.logprobs)
  int64_t declared_length = 0;  // for methods that depend on the length; 0: prompt and answer
  int priority = 0;             // lower ones begin first
  std::string user = {};        // of two users with equal priority, the one with fewer running answers
  double timeout_s = 0;         // from when it was asked; 0: none
};

enum class Finish { None, Length, End, Stop, Cancelled, TimedOut, Failed };

/// What is new since it was asked last; counts are totals.
struct AnswerNews {
  int64_t place = 0;              // in the queue, from 1; 0: it has begun
  int64_t read = 0, reused = 0;   // tokens of the prompt that are in the cache; of them those it did not read
  int64_t stored = 0;             // of these from the disk
  int64_t written = 0;            // tokens of the answer
  std::string text = {};          // valid UTF-8
  std::vector<int32_t> ids = {};  // whose text that is, and those that have none
  std::vector<ScoredToken> tokens = {};  // the same with logprobs, where these were asked for
  std::vector<ScoredToken> prompt = {};  // once, where the prompt's were: the first has no value
  // Once, with the end, where it was asked for: of each token of the prompt (attention_mass.h).
  std::vector<float> attention = {};
  Finish finish = Finish::None;
  std::string error = {};  // of Failed
  double waited_s = 0, prefill_s = 0, decode_s = 0;
};

class Answers {
 public:
  explicit Answers(size_t count) : news_(count) {}

  size_t size() const { return news_.size(); }
  /// The news of answer i: text, tokens and prompt are taken out.
  AnswerNews take(size_t i);
  /// Waits for news; false when there were none for so long.
  bool wait(std::chrono::milliseconds at_most);
  /// Nobody waits for them any more.
  void cancel() { cancelled_ = true; }
  bool cancelled() const { return cancelled_; }

  /// For whoever answers.
  void tell(size_t i, const std::function<void(AnswerNews&)>& change);

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  uint64_t told_ = 0, seen_ = 0;
  std::vector<AnswerNews> news_;
  std::atomic<bool> cancelled_ = false;
};

}  // namespace longspan
