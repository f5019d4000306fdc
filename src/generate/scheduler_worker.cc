#include "generate/scheduler_worker.h"

#include <algorithm>
#include <cassert>

#include "base/error.h"
#include "generate/attention_mass.h"

namespace longspan {

namespace {

using Clock = std::chrono::steady_clock;

/// Where frequencies depend on the length, texts are declared for a multiple of so many tokens: else hardly
/// two of them could share what was read.
constexpr int64_t kLengthClass = 2048;

/// Single tokens of so many sequences in a pass are computed row by row as each would be alone: products of
/// eight rows take another way through the processor (kernels/cpu/cpu.h), and passes of at most eight rows
/// are the fused ones of a GPU.
constexpr size_t kRowsAsAlone = 7;

std::vector<std::string> stop_strings(const AnswerRequest& request) { return request.choice.sampling.stop; }

bool timed_out(const AnswerRequest& request, Clock::time_point asked) {
  return request.timeout_s > 0 && seconds(Clock::now() - asked) > request.timeout_s;
}

}  // namespace

SchedulerWorker::SchedulerWorker(Scheduler& front)
    : front_(front),
      engine_(front.engine_),
      options_(front.options_),
      pool_(engine_.make_pool(key_copies(engine_.config(), options_.window), options_.pool_tokens)),
      cache_(pool_) {
  auto spec = [&](int64_t length) {
    return position_spec(engine_.config().position, engine_.config().head_shape(), length);
  };
  by_length_ = spec(1) != spec(options_.window > 0 ? options_.window : int64_t{1} << 20);
  if (options_.cache_folder.empty() || keys_depend_on_history(engine_.config().position)) return;
  try {
    store_.emplace(engine_, options_.cache_folder, options_.cache_limit);
  } catch (const Error& e) {
    if (options_.remark) options_.remark(e.what());
  }
}

void SchedulerWorker::run() {
  while (wait_for_work()) {
    auto start = Clock::now();
    drop_waiting();
    drop_running();
    begin_waiting();
    write_tokens();
    bool busy = read_prompt() || !streams_.empty();
    remove_done();
    tell_places();
    int64_t kept = cache_.pages(), used = pool_->taken() - cache_.evictable();
    figures([&](SchedulerFigures& f) {
      f.pages_used = used, f.pages_cached = kept;
      if (!busy) return;
      ++f.steps;
      f.step.add(seconds(Clock::now() - start));
    });
  }
  for (Stream& stream : streams_) finish(stream, Finish::Cancelled);
  remove_done();
  drop_waiting();
  while (keep_one()) {
  }
}

/// False: stop. With nothing else to do it keeps readings.
bool SchedulerWorker::wait_for_work() {
  std::unique_lock lock(front_.mutex_);
  auto work = [&] { return front_.stop_ || !front_.waiting_.empty() || !streams_.empty(); };
  while (!work()) {
    lock.unlock();
    bool kept = keep_one();
    lock.lock();
    if (!kept) front_.wake_.wait(lock, work);
  }
  return !front_.stop_;
}

/// Requests nobody waits for any more, or whose time is over; all of them when the front stops.
void SchedulerWorker::drop_waiting() {
  std::deque<Scheduler::Waiting> dropped;
  {
    std::lock_guard lock(front_.mutex_);
    for (auto at = front_.waiting_.begin(); at != front_.waiting_.end();) {
      if (front_.stop_ || at->answers->cancelled() || timed_out(at->request, at->asked)) {
        dropped.push_back(std::move(*at));
        at = front_.waiting_.erase(at);
      } else {
        ++at;
      }
    }
    for (const auto& waiting : dropped) {
      bool late = !waiting.answers->cancelled() && !front_.stop_;
      ++front_.figures_.finished[static_cast<size_t>(late ? Finish::TimedOut : Finish::Cancelled)];
    }
    if (front_.waiting_.empty() && front_.running_ == 0) front_.emptied_.notify_all();
  }
  for (auto& waiting : dropped)
    waiting.answers->tell(waiting.index, [&](AnswerNews& news) {
      news.place = 0;
      news.finish = timed_out(waiting.request, waiting.asked) ? Finish::TimedOut : Finish::Cancelled;
    });
}

/// The front's lock is held.
std::optional<size_t> SchedulerWorker::next_waiting() const {
  std::map<std::string, int> running;
  for (const Stream& stream : streams_) ++running[stream.request().user];
  std::optional<size_t> best;
  auto rank = [&](size_t i) {
    const AnswerRequest& r = front_.waiting_[i].request;
    auto count = running.find(r.user);
    return std::pair(r.priority, count == running.end() ? 0 : count->second);
  };
  for (size_t i = 0; i < front_.waiting_.size(); ++i)
    if (!best || rank(i) < rank(*best)) best = i;
  return best;
}

void SchedulerWorker::begin_waiting() {
  while (std::ssize(streams_) < options_.streams) {
    std::optional<size_t> next;
    {
      std::lock_guard lock(front_.mutex_);
      next = next_waiting();
    }
    // Whoever does not fit yet is not overtaken: a large request would wait for ever.
    if (!next || !begin(*next)) return;
  }
}

int64_t SchedulerWorker::declared(const AnswerRequest& request) const {
  int64_t whole = std::max(std::ssize(request.prompt) + request.max_tokens, request.declared_length);
  if (!by_length_) return whole;
  int64_t rounded = (whole + kLengthClass - 1) / kLengthClass * kLengthClass;
  return options_.window > 0 ? std::max(whole, std::min(rounded, options_.window)) : rounded;
}

int64_t SchedulerWorker::class_of(const PositionSpec& spec) {
  auto found = std::find(classes_.begin(), classes_.end(), spec);
  if (found == classes_.end()) found = classes_.insert(found, spec);
  return found - classes_.begin();
}

int64_t SchedulerWorker::promised() const {
  int64_t pages = 0;
  for (const Stream& stream : streams_) pages += stream.pages - std::ssize(stream.sequence->cache().pages());
  return pages;
}

/// Free pages for what comes next: what was promised can always be given.
void SchedulerWorker::make_room(int64_t pages) {
  if (int64_t lacking = pages - pool_->free_pages(); lacking > 0) cache_.evict(lacking);
}

/// False when there is no room for it yet.
bool SchedulerWorker::begin(size_t at) {
  int64_t pages;
  {
    std::lock_guard lock(front_.mutex_);
    const AnswerRequest& r = front_.waiting_[at].request;
    pages = pages_for(std::ssize(r.prompt) + r.max_tokens) + 1;
  }
  auto fits = [&] { return promised() + pages <= pool_->free_pages() + cache_.evictable(); };
  while (!fits() && !to_keep_.empty()) to_keep_.pop_front();
  if (!fits()) return false;
  std::unique_lock lock(front_.mutex_);
  Scheduler::Waiting waiting = std::move(front_.waiting_[at]);
  front_.waiting_.erase(front_.waiting_.begin() + static_cast<ptrdiff_t>(at));
  ++front_.running_;
  lock.unlock();
  auto answers = waiting.answers;
  size_t index = waiting.index;
  try {
    start(std::move(waiting), pages);
  } catch (const std::exception& e) {
    {
      std::lock_guard relock(front_.mutex_);
      --front_.running_;
      ++front_.figures_.finished[static_cast<size_t>(Finish::Failed)];
      front_.emptied_.notify_all();
    }
    answers->tell(index, [&](AnswerNews& news) {
      news.place = 0;
      news.error = e.what();
      news.finish = Finish::Failed;
    });
  }
  return true;
}

void SchedulerWorker::start(Scheduler::Waiting&& waiting, int64_t pages) {
  auto sequence =
      std::make_unique<Sequence>(engine_, declared(waiting.request), engine_.config().position, pool_);
  int64_t of_class = class_of(sequence->spec());
  TokenChooser chooser(waiting.request.choice, engine_.tokenizer());
  AnswerText text(stop_strings(waiting.request));
  std::vector<int32_t> stops = stop_tokens(engine_.tokenizer(), stop_strings(waiting.request));
  streams_.push_back({.from = std::move(waiting),
                      .sequence = std::move(sequence),
                      .chooser = std::move(chooser),
                      .text = std::move(text),
                      .stops = std::move(stops),
                      .of_class = of_class,
                      .pages = pages,
                      .row_seconds = row_seconds_,
                      .begun = Clock::now()});
  Stream& stream = streams_.back();
  stream.from.answers->tell(stream.from.index, [&](AnswerNews& news) {
    news.place = 0;
    news.waited_s = seconds(stream.begun - stream.from.asked);
  });
}

void SchedulerWorker::drop_running() {
  for (Stream& stream : streams_) {
    if (stream.from.answers->cancelled())
      finish(stream, Finish::Cancelled);
    else if (timed_out(stream.request(), stream.from.asked))
      finish(stream, Finish::TimedOut);
  }
  remove_done();
}

/// What is wrong with a pass is wrong with all that were in it.
void SchedulerWorker::guarded(std::span<Stream* const> streams, const std::function<void()>& body) {
  try {
    body();
  } catch (const std::exception& e) {
    for (Stream* stream : streams)
      if (!stream->done) finish(*stream, Finish::Failed, e.what());
  }
}

/// A token of each answer that is being written.
void SchedulerWorker::write_tokens() {
  auto start = Clock::now();
  std::vector<Stream*> writers;
  for (Stream& stream : streams_)
    if (stream.writes && !stream.done) writers.push_back(&stream);
  for (size_t first = 0; first < writers.size(); first += kRowsAsAlone) {
    auto group = std::span(writers).subspan(first, std::min(kRowsAsAlone, writers.size() - first));
    guarded(group, [&] {
      std::vector<Sequence*> members;
      std::vector<std::span<const int32_t>> ids;
      for (Stream* stream : group) {
        members.push_back(stream->sequence.get());
        ids.emplace_back(&stream->next, 1);
      }
      make_room(2 * std::ssize(members));
      feed_together(members, ids);
    });
    for (Stream* stream : group)
      if (!stream->done) guarded({&stream, 1}, [&] { choose(*stream); });
  }
  writing_seconds_ = seconds(Clock::now() - start);
}

/// The next token of an answer, from the logits of what it has.
void SchedulerWorker::choose(Stream& stream) {
  const Tokenizer& tokenizer = engine_.tokenizer();
  ScoredToken token = stream.chooser.choose(stream.sequence->logits(), stream.sequence->ids());
  auto now = Clock::now();
  bool first = stream.written == 0;
  figures([&](SchedulerFigures& f) {
    first ? f.first_token.add(seconds(now - stream.from.asked))
          : f.between_tokens.add(seconds(now - stream.told));
  });
  stream.told = now;
  int32_t id = token.id;
  const std::vector<int32_t> ends = tokenizer.stop_ids();
  if (std::find(ends.begin(), ends.end(), id) != ends.end()) return finish(stream, Finish::End);
  if (std::find(stream.stops.begin(), stream.stops.end(), id) != stream.stops.end())
    return finish(stream, Finish::Stop);
  stream.chooser.accept(id);
  ++stream.written;
  figures([&](SchedulerFigures& f) { ++f.written_tokens; });
  std::string shown = stream.text.add(tokenizer.token_bytes(id));
  stream.unsent_ids.push_back(id);
  if (stream.request().choice.logprobs >= 0) stream.unsent.push_back(std::move(token));
  if (stream.text.stopped() || stream.written >= stream.request().max_tokens) {
    if (!shown.empty())
      stream.from.answers->tell(stream.from.index, [&](AnswerNews& news) { news.text += shown; });
    return finish(stream, stream.text.stopped() ? Finish::Stop : Finish::Length);
  }
  stream.next = id;
  if (shown.empty()) return;
  stream.from.answers->tell(stream.from.index, [&](AnswerNews& news) {
    news.text += shown;
    news.written = stream.written;
    news.ids.insert(news.ids.end(), stream.unsent_ids.begin(), stream.unsent_ids.end());
    std::move(stream.unsent.begin(), stream.unsent.end(), std::back_inserter(news.tokens));
  });
  stream.unsent.clear(), stream.unsent_ids.clear();
}

/// What the beginning of a whole answer attended to; nothing where it was not asked for or there is no room.
std::vector<float> SchedulerWorker::look_back(Stream& stream) {
  Sequence& sequence = *stream.sequence;
  int64_t prompt = std::ssize(stream.request().prompt);
  if (!stream.request().attention || stream.length() <= prompt || keys_depend_on_history(sequence.position()))
    return {};
  try {
    auto answer = std::span(sequence.ids()).subspan(static_cast<size_t>(prompt));
    answer = answer.first(std::min(answer.size(), static_cast<size_t>(kAttentionRows)));
    const std::vector<int32_t> ids(answer.begin(), answer.end());
    sequence.truncate(prompt);
    make_room(2);
    return attention_mass(sequence, engine_, ids);
  } catch (const Error&) {
    return {};
  }
}

void SchedulerWorker::finish(Stream& stream, Finish how, const std::string& error) {
  if (stream.done) return;
  stream.done = true;
  auto now = Clock::now();
  Sequence& sequence = *stream.sequence;
  if (how != Finish::Failed && !keys_depend_on_history(sequence.position())) {
    int64_t known = sequence.cache().length();
    if (!options_.reuse_answers) known = std::min(known, std::ssize(stream.request().prompt));
    cache_.add(stream.of_class, std::span(sequence.ids()).first(static_cast<size_t>(known)),
               sequence.cache().pages());
  }
  bool whole = how == Finish::End || how == Finish::Stop || how == Finish::Length;
  std::vector<float> attention = whole ? look_back(stream) : std::vector<float>();
  // Its pages go back, and the figures know of it, before anybody hears of the end.
  sequence.truncate(0);
  double took = seconds(now - stream.from.asked), ran = seconds(now - stream.begun);
  int64_t used = pool_->taken() - cache_.evictable();
  figures([&](SchedulerFigures& f) {
    ++f.finished[static_cast<size_t>(how)];
    f.whole.add(took);
    f.pages_used = used;
    front_.answer_seconds_ = front_.answer_seconds_ == 0 ? ran : 0.8 * front_.answer_seconds_ + 0.2 * ran;
  });
  stream.from.answers->tell(stream.from.index, [&](AnswerNews& news) {
    news.text += stream.text.finish();
    news.written = stream.written;
    news.ids.insert(news.ids.end(), stream.unsent_ids.begin(), stream.unsent_ids.end());
    std::move(stream.unsent.begin(), stream.unsent.end(), std::back_inserter(news.tokens));
    news.decode_s = stream.writes ? seconds(now - stream.read) : 0;
    news.attention = std::move(attention);
    news.error = error;
    news.finish = how;
  });
}

void SchedulerWorker::remove_done() {
  auto removed = static_cast<int64_t>(streams_.remove_if([](const Stream& stream) { return stream.done; }));
  if (removed == 0) return;
  std::lock_guard lock(front_.mutex_);
  front_.running_ -= removed;
  if (front_.waiting_.empty() && front_.running_ == 0) front_.emptied_.notify_all();
}

/// Those that wait hear their place.
void SchedulerWorker::tell_places() {
  std::lock_guard lock(front_.mutex_);
  int64_t place = 0;
  for (Scheduler::Waiting& waiting : front_.waiting_) {
    if (++place == waiting.told_place) continue;
    waiting.told_place = place;
    waiting.answers->tell(waiting.index, [&](AnswerNews& news) { news.place = place; });
  }
}

}  // namespace longspan
