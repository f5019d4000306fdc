// How the scheduler reads prompts: what is in the cache or on the disk is not read again, and a pass is as
// long as the others can wait.
#include <algorithm>
#include <cassert>

#include "base/error.h"
#include "base/threads.h"
#include "generate/scheduler_worker.h"

namespace longspan {

namespace {

using Clock = std::chrono::steady_clock;

/// Rows of a pass over a prompt, at least, unless the prompt itself is shorter: products of fewer rows take
/// another way through the processor, so that the same prompt would give other bits when it is cut elsewhere.
constexpr int64_t kLeastRows = 16;
/// A pass over a prompt may always take this share of the time that the others' tokens took: a step that is
/// long anyway is not made much longer, and many answers do not starve the prompts.
constexpr double kShareOfWriting = 0.5;
/// Rows whose logits are kept at once when a prompt is scored.
constexpr int64_t kScoredRows = 64;

std::span<const int32_t> part(std::span<const int32_t> ids, int64_t from, int64_t count) {
  return ids.subspan(static_cast<size_t>(from), static_cast<size_t>(count));
}

}  // namespace

/// A part of one prompt, in turns. False when there is none to be read.
bool SchedulerWorker::read_prompt() {
  std::vector<Stream*> readers;
  for (Stream& stream : streams_)
    if (!stream.writes && !stream.done) readers.push_back(&stream);
  if (readers.empty()) return false;
  for (size_t i = 0; i < readers.size(); ++i) {
    Stream& stream = *readers[(turn_ + i) % readers.size()];
    bool read = false;
    guarded({readers.data() + (turn_ + i) % readers.size(), 1}, [&] {
      if (!stream.request().score_prompt) {
        take_from_cache(stream, Take::WholePages);
        // The last page, of which only some tokens are of use, waits until no other prompt brings it whole.
        if (behind_another(stream)) return;
        take_from_cache(stream, Take::APartToo);
      }
      read = true;
      read_pass(stream, rows_of_pass(stream));
    });
    if (!read && !stream.done) continue;
    turn_ = (turn_ + i) % readers.size() + (stream.writes || stream.done ? 0 : 1);
    return true;
  }
  return true;
}

/// Whether another prompt that begins alike is about to have read the next page: it need not be read twice.
bool SchedulerWorker::behind_another(const Stream& stream) const {
  int64_t at = stream.length();
  if (at % kPageTokens != 0 || std::ssize(stream.left()) < kPageTokens + kLeastRows) return false;
  auto page_end = part(stream.request().prompt, 0, at + kPageTokens);
  bool earlier = true;
  for (const Stream& other : streams_) {
    if (&other == &stream) {
      earlier = false;
      continue;
    }
    int64_t there = other.length();
    bool ahead = there > at || (there == at && earlier);
    if (other.done || other.writes || other.of_class != stream.of_class || !ahead ||
        there >= at + kPageTokens || std::ssize(other.request().prompt) < at + kPageTokens)
      continue;
    if (std::equal(page_end.begin(), page_end.end(), other.request().prompt.begin())) return true;
  }
  return false;
}

/// Pages that hold what comes next.
void SchedulerWorker::take_from_cache(Stream& stream, Take take) {
  const std::vector<int32_t>& prompt = stream.request().prompt;
  int64_t at = stream.length(), most = std::ssize(prompt) - kLeastRows;
  if (at % kPageTokens != 0 || most <= at || keys_depend_on_history(stream.sequence->position())) return;
  PrefixCache::Match match = cache_.find(stream.of_class, prompt, most);
  if (store_ && !stream.looked_on_disk) {
    stream.looked_on_disk = true;
    if (most - match.tokens >= kLeastKeptTokens) {
      take_from_disk(stream);
      if (stream.length() > match.tokens) return;
      match = cache_.find(stream.of_class, prompt, most);
    }
  }
  at = stream.length();
  int64_t usable = take == Take::APartToo ? match.tokens : match.tokens / kPageTokens * kPageTokens;
  if (usable <= at || at % kPageTokens != 0) return;
  for (int64_t from = at; from < usable; from += kPageTokens)
    stream.sequence->share(part(prompt, from, std::min(kPageTokens, usable - from)),
                           match.pages[static_cast<size_t>(from / kPageTokens)]);
  figures([&](SchedulerFigures& f) { f.reused_tokens += usable - at; });
  stream.from.answers->tell(stream.from.index, [&](AnswerNews& news) {
    news.read = usable;
    news.reused += usable - at;
  });
}

void SchedulerWorker::take_from_disk(Stream& stream) {
  const std::vector<int32_t>& prompt = stream.request().prompt;
  Sequence& sequence = *stream.sequence;
  int64_t document = std::ssize(prompt) - kLeastRows, held = stream.length();
  make_room(pages_for(document) + 1);
  ReadingStore::Found found = store_->find(sequence, prompt, document, held);
  if (options_.remark)
    for (const std::string& sentence : found.remarks) options_.remark(sentence);
  if (found.tokens == 0) return;
  int64_t whole = found.tokens / kPageTokens * kPageTokens;
  cache_.add(stream.of_class, part(prompt, 0, whole),
             sequence.cache().pages().first(static_cast<size_t>(whole / kPageTokens)));
  figures([&](SchedulerFigures& f) { f.stored_tokens += found.tokens - held; });
  stream.from.answers->tell(stream.from.index, [&](AnswerNews& news) {
    news.read = news.reused = found.tokens;
    news.stored = found.tokens - held;
  });
}

bool SchedulerWorker::others_write(const Stream& stream) const {
  return std::any_of(streams_.begin(), streams_.end(),
                     [&](const Stream& other) { return &other != &stream && other.writes && !other.done; });
}

/// As many as the others can wait for, kLeastRows at least, and never so that fewer are left for the last
/// pass.
int64_t SchedulerWorker::rows_of_pass(const Stream& stream) const {
  int64_t left = std::ssize(stream.left()), most = engine_.options().chunk;
  if (others_write(stream)) {
    double time = std::max(options_.step_seconds, kShareOfWriting * writing_seconds_);
    int64_t rows = stream.row_seconds > 0 ? static_cast<int64_t>(time / stream.row_seconds) : kLeastRows;
    most = std::min({most, options_.step_tokens, rows});
  }
  if (stream.request().score_prompt) most = std::min(most, kScoredRows);
  most = std::max(most, kLeastRows);
  int64_t rows = std::min(left, most);
  if (left - rows > 0 && left - rows < kLeastRows) rows = rows > 2 * kLeastRows ? left - kLeastRows : left;
  return std::min(rows, engine_.options().chunk);
}

void SchedulerWorker::read_pass(Stream& stream, int64_t rows) {
  Sequence& sequence = *stream.sequence;
  auto start = Clock::now();
  int64_t before = stream.length();
  bool short_pass = others_write(stream);
  bool last = rows == std::ssize(stream.left());
  auto ids = stream.left().first(static_cast<size_t>(rows));
  make_room(pages_for(rows) + 2);
  if (stream.request().score_prompt)
    score_pass(stream, rows);
  else if (last && stream.request().max_tokens > 0)
    sequence.feed(ids);
  else
    sequence.read_on(ids);
  stream.computed += rows;
  // Of long passes nothing follows for short ones, whose rows cost several times as much.
  if (short_pass)
    row_seconds_ = stream.row_seconds = seconds(Clock::now() - start) / static_cast<double>(rows);
  int64_t after = before + rows, pages = after / kPageTokens;
  bool shared = !keys_depend_on_history(sequence.position());
  if (shared && pages > before / kPageTokens)
    cache_.add(stream.of_class, part(sequence.ids(), 0, pages * kPageTokens),
               sequence.cache().pages().first(static_cast<size_t>(pages)));
  figures([&](SchedulerFigures& f) { f.prompt_tokens += rows; });
  stream.from.answers->tell(stream.from.index, [&](AnswerNews& news) { news.read = after; });
  if (last) prompt_read(stream);
}

/// The same with the logits of all rows; the first token of a text has no probability.
void SchedulerWorker::score_pass(Stream& stream, int64_t rows) {
  Sequence& sequence = *stream.sequence;
  const std::vector<int32_t>& prompt = stream.request().prompt;
  int64_t before = stream.length();
  sequence.feed_each(stream.left().first(static_cast<size_t>(rows)));
  if (before == 0) stream.scores.push_back({.id = prompt[0]});
  int64_t count = std::min(rows, std::ssize(prompt) - before - 1);
  size_t first = stream.scores.size();
  stream.scores.resize(first + static_cast<size_t>(count));
  parallel_for(count, [&](int64_t i) {
    auto at = static_cast<size_t>(before + 1 + i);
    stream.scores[first + static_cast<size_t>(i)] =
        scored(sequence.logits_after(at), prompt[at], stream.request().choice.logprobs);
  });
}

void SchedulerWorker::prompt_read(Stream& stream) {
  Sequence& sequence = *stream.sequence;
  stream.read = stream.told = Clock::now();
  stream.writes = true;
  if (!keys_depend_on_history(sequence.position()))
    cache_.add(stream.of_class, sequence.ids(), sequence.cache().pages());
  keep_later(stream);
  stream.from.answers->tell(stream.from.index, [&](AnswerNews& news) {
    news.prefill_s = seconds(stream.read - stream.begun);
    news.prompt = std::move(stream.scores);
  });
  if (stream.request().max_tokens > 0)
    choose(stream);
  else
    finish(stream, Finish::Length);
}

/// Remembers a long prompt that was read, for the disk.
void SchedulerWorker::keep_later(const Stream& stream) {
  constexpr size_t kMost = 8;
  int64_t chunk = engine_.options().chunk, tokens = stream.length() / chunk * chunk;
  if (!store_ || stream.computed < kLeastKeptTokens || tokens < kLeastKeptTokens) return;
  if (to_keep_.size() == kMost) to_keep_.pop_front();
  const Sequence& sequence = *stream.sequence;
  Sequence& kept = to_keep_.emplace_back(engine_, sequence.declared_length(), sequence.position(), pool_);
  for (int64_t from = 0; from < tokens; from += kPageTokens)
    kept.share(part(sequence.ids(), from, std::min(kPageTokens, tokens - from)),
               sequence.cache().pages()[static_cast<size_t>(from / kPageTokens)]);
}

/// Writes one of the remembered ones to the disk; false when there is none.
bool SchedulerWorker::keep_one() {
  if (to_keep_.empty()) return false;
  try {
    store_->keep(to_keep_.front(), to_keep_.front().cache().length());
  } catch (const Error& e) {
    if (options_.remark) options_.remark(e.what());
  }
  to_keep_.pop_front();
  return true;
}

}  // namespace longspan
