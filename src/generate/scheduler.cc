// The front of the scheduler: what is taken and what is refused. scheduler_worker.cc computes.
#include "generate/scheduler.h"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "base/text.h"
#include "base/threads.h"
#include "generate/scheduler_worker.h"

namespace longspan {

void Histogram::add(double value) {
  auto at = std::lower_bound(kLimits.begin(), kLimits.end(), value);
  ++counts[static_cast<size_t>(at - kLimits.begin())];
  sum += value;
}

int64_t Histogram::count() const {
  int64_t n = 0;
  for (int64_t c : counts) n += c;
  return n;
}

Scheduler::Scheduler(const Engine& engine, SchedulerOptions options)
    : engine_(engine), options_(std::move(options)), page_limit_(pages_for(options_.pool_tokens)) {
  figures_.pages = page_limit_;
  release_helpers();  // from now on another thread computes
  thread_ = std::thread([this, n = threads()] {
    set_threads(n);
    SchedulerWorker(*this).run();
  });
}

Scheduler::~Scheduler() {
  {
    std::lock_guard lock(mutex_);
    closing_ = stop_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void Scheduler::check(const AnswerRequest& request) const {
  for (int32_t id : request.prompt)
    if (id < 0 || id >= engine_.config().vocab_size)
      fail("the prompt has the token {}: the model has tokens 0 to {}", id, engine_.config().vocab_size - 1);
  if (request.prompt.empty()) fail("the prompt is empty: it must have at least one token");
  int64_t prompt = std::ssize(request.prompt), whole = prompt + request.max_tokens;
  int64_t bytes =
      kv_bytes(engine_.config(), engine_.options().cache_types, whole, key_copies(engine_.config(), whole));
  auto needs = [&] {
    return fmt::format(
        "the prompt has {} tokens and the answer may have {}: {} in all, whose keys and values take {}",
        grouped(prompt), grouped(request.max_tokens), grouped(whole),
        human_bytes(static_cast<double>(bytes)));
  };
  if (options_.window > 0 && whole > options_.window)
    throw Refused(
        Refused::Reason::TooLong,
        fmt::format("{}; the window is {} tokens. Shorten the prompt or max_tokens, or have the server "
                    "started with a longer window (--position yarn:factor=N, or --context {})",
                    needs(), grouped(options_.window), whole));
  // One page more than it holds: its last one may be another text's until it is written.
  if (pages_for(whole) + 1 > page_limit_)
    throw Refused(
        Refused::Reason::TooLarge,
        fmt::format("{}; the server has room for {} tokens. Shorten the prompt or max_tokens, or have the "
                    "server started with more room (--pool-tokens) or smaller ones (--cache-type q8_0)",
                    needs(), grouped((page_limit_ - 1) * kPageTokens)));
}

std::shared_ptr<Answers> Scheduler::submit(std::vector<AnswerRequest> requests) {
  assert(!requests.empty());
  auto refuse = [&](Refused refusal) {
    std::lock_guard lock(mutex_);
    ++figures_.refused;
    throw refusal;
  };
  for (const AnswerRequest& request : requests) try {
      check(request);
    } catch (const Refused& refusal) {
      refuse(refusal);
    }
  auto answers = std::make_shared<Answers>(requests.size());
  {
    std::lock_guard lock(mutex_);
    if (closing_) {
      ++figures_.refused;
      throw Refused(Refused::Reason::Closing, "the server is closing and takes no more requests", 5);
    }
    auto count = std::ssize(requests), waiting = std::ssize(waiting_);
    // What can begin at once does not wait.
    int64_t room = options_.queue + std::max<int64_t>(0, options_.streams - running_);
    if (waiting + count > room) {
      ++figures_.refused;
      double wait = std::ceil(std::max(
          1.0, answer_seconds_ * static_cast<double>(waiting + 1) / static_cast<double>(options_.streams)));
      throw Refused(
          Refused::Reason::QueueFull,
          fmt::format("{} requests are being answered and {} are waiting, as many as may; try again in "
                      "about {:.0f} seconds",
                      running_, waiting, wait),
          wait);
    }
    auto now = std::chrono::steady_clock::now();
    for (size_t i = 0; i < requests.size(); ++i)
      waiting_.push_back({std::move(requests[i]), answers, i, now});
  }
  wake_.notify_all();
  return answers;
}

bool Scheduler::drain(double seconds) {
  std::unique_lock lock(mutex_);
  closing_ = true;
  bool done = emptied_.wait_for(lock, std::chrono::duration<double>(seconds),
                                [&] { return waiting_.empty() && running_ == 0; });
  stop_ = true;
  lock.unlock();
  wake_.notify_all();
  return done;
}

SchedulerFigures Scheduler::figures() const {
  std::lock_guard lock(mutex_);
  SchedulerFigures figures = figures_;
  figures.running = running_;
  figures.waiting = std::ssize(waiting_);
  return figures;
}

}  // namespace longspan
