// Scheduler: answers to many requests on one engine. One thread owns the model. A step is one token of every
// answer that is being written, and then a part of one prompt: so a long prompt holds the others' tokens back
// for one part at most, whose size follows from --step-ms and from the time of those tokens. Passes hold
// either single tokens, few enough that each row is computed as it would be alone, or rows of one prompt: on
// the processor a text is the same bits in company as alone (tests/generate/scheduler_test.cc). Continuous
// batching: Orca (Yu 2022); chunked prefill: Sarathi (Agrawal 2023, arXiv 2308.16369).
#pragma once

#include <array>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "generate/answers.h"
#include "generate/engine.h"

namespace longspan {

struct SchedulerOptions {
  int64_t window = 0;                       // tokens that prompt and answer may fill
  int64_t streams = 4;                      // answers at once
  int64_t queue = 64;                       // requests that may wait
  int64_t pool_tokens = 0;                  // room for keys and values, in tokens
  int64_t step_tokens = 256;                // of a prompt in a step, while others write
  double step_seconds = 0.015;              // of that part, or half the time of the others' tokens
  bool reuse_answers = true;                // keys of what was written serve later prompts, too
  std::filesystem::path cache_folder = {};  // readings are kept there; empty: nowhere
  int64_t cache_limit = 0;                  // bytes of that folder
  std::function<void(const std::string&)> remark = {};  // what is wrong with kept readings; any thread
};

/// Why a request is not taken. The text is for whoever asked.
class Refused : public Error {
 public:
  enum class Reason { TooLong, TooLarge, QueueFull, Closing };
  Refused(Reason reason, std::string text, double retry_after_s = 0)
      : Error(std::move(text)), reason(reason), retry_after_s(retry_after_s) {}
  Reason reason;
  double retry_after_s;
};

/// Counts of values up to each of its limits, as Prometheus wants them.
struct Histogram {
  static constexpr std::array<double, 14> kLimits = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
                                                     1,     2.5,  5,     10,   30,  60,   300};
  std::array<int64_t, kLimits.size() + 1> counts{};  // the last one: beyond all limits
  double sum = 0;
  void add(double value);
  int64_t count() const;
};

struct SchedulerFigures {
  int64_t running = 0, waiting = 0;
  int64_t pages = 0, pages_used = 0, pages_cached = 0;  // used: held by running answers or about to be kept
  int64_t prompt_tokens = 0, reused_tokens = 0, stored_tokens = 0, written_tokens = 0;
  std::array<int64_t, 7> finished{};  // by Finish
  int64_t refused = 0;
  int64_t steps = 0;
  Histogram first_token, between_tokens, whole, step;  // seconds
};

class Scheduler {
 public:
  /// The engine must outlive it, and nobody else computes with it meanwhile.
  Scheduler(const Engine& engine, SchedulerOptions options);
  /// Cancels what runs.
  ~Scheduler();
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  /// Takes all of the requests or none. Error: Refused; or a token outside the vocabulary.
  std::shared_ptr<Answers> submit(std::vector<AnswerRequest> requests);
  /// Error as submit, without taking anything: what would be refused however empty the queue is.
  void check(const AnswerRequest& request) const;

  /// Takes no more requests, and waits until those that it has are answered, for so long; then cancels them.
  /// True when none had to be.
  bool drain(double seconds);

  SchedulerFigures figures() const;
  const SchedulerOptions& options() const { return options_; }

 private:
  friend class SchedulerWorker;
  /// One that waits for its turn.
  struct Waiting {
    AnswerRequest request;
    std::shared_ptr<Answers> answers;
    size_t index = 0;  // among them
    std::chrono::steady_clock::time_point asked;
    int64_t told_place = 0;
  };

  const Engine& engine_;
  SchedulerOptions options_;
  int64_t page_limit_;
  mutable std::mutex mutex_;
  std::condition_variable wake_, emptied_;
  std::deque<Waiting> waiting_;
  int64_t running_ = 0;
  bool closing_ = false, stop_ = false;
  double answer_seconds_ = 0;  // how long answers took lately
  SchedulerFigures figures_;
  std::thread thread_;
};

}  // namespace longspan
